"""The demonstration: a real crash through real kdump, and the verdict on it."""

from __future__ import annotations

import subprocess
import sys
import time

from oopslab.kernel import fetch, kernel
from oopslab.make import ensure


def demo(oopsight: str) -> int:
    """Crash a kernel with the incident, then run ``OOPSIGHT analyze`` on the dump.

    :return: the exit status of that command
    """
    started = time.monotonic()

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}", file=sys.stderr, flush=True)

    chosen = kernel("6.1")
    progress(f"Debian's kernel {chosen.release} and its debug symbols (once: 320 MB to download)")
    fetch(chosen)
    progress("crashing it in QEMU: kdump's capture kernel writes the dump (about 20 s)")
    dump = ensure("incident", "6.1", "kdump")
    progress(f"the dump: {dump.vmcore} ({dump.vmcore.stat().st_size >> 20} MiB)")
    command = [oopsight, "analyze", str(dump.vmcore), "--debug-dir", str(dump.debug_dir)]
    progress(" ".join(command))
    return subprocess.run(command, check=False).returncode
