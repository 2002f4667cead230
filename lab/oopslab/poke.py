"""Faults of the hardware: bytes of the guest's memory changed from outside, while it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from oopslab.errors import LabError
from oopslab.kernel import Kernel
from oopslab.qemu import Guest


def poke(guest: Guest, work: Path, kernel: Kernel, script: str) -> None:
    """Write what the function ``poke`` of *script* says.

    It is given a :class:`drgn.Program` of the guest as it is now, and returns bytes by address.
    """
    memory = work / "now.elf"
    guest.monitor.execute("stop")
    try:
        guest.monitor.execute("dump-guest-memory", paging=False, protocol=f"file:{memory}")
        names: dict[str, Any] = {}
        exec(compile(script, "poke", "exec"), names)  # the scenario's own code
        writes = names["poke"](_program(memory, kernel))
    finally:
        memory.unlink(missing_ok=True)
    if not writes:
        raise LabError("the scenario found nothing to poke")
    guest.poke(writes)
    guest.monitor.execute("cont")


def _program(memory: Path, kernel: Kernel) -> Any:
    import drgn

    program = drgn.Program()
    program.set_core_dump(memory)
    program.set_enabled_debug_info_finders([])
    with contextlib.suppress(drgn.MissingDebugInfoError):  # of the modules, not asked about
        program.load_debug_info([kernel.vmlinux], main=True)
    return program
