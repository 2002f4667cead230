"""Builds what runs in the guest: out-of-tree kernel modules and static programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from oopslab.command import run
from oopslab.kernel import Kernel
from oopslab.scenario import GUEST, Scenario


def modules(scenario: Scenario, kernel: Kernel, work: Path) -> dict[str, Path]:
    """Build the scenario's modules for *kernel* in *work*.

    :return: the ``.ko`` files with their debug info, by module name
    """
    names = scenario.modules()
    if not names:
        return {}
    work.mkdir(parents=True)
    for path, text in scenario.under("module").items():
        (work / path).write_text(text)
    for header in GUEST.glob("*.h"):
        shutil.copy(header, work)
    (work / "Kbuild").write_text("".join(f"obj-m += {name}.o\n" for name in names))
    # Module BTF would need pahole; vendors' modules have none either. BUG() prints the path of its
    # source, which is to tell no more than a vendor's would.
    flags = f"KCFLAGS=-ffile-prefix-map={work}=/usr/src/dkms"
    options = [f"M={work}", "CONFIG_DEBUG_INFO_BTF_MODULES=", flags]
    run(["make", "-s", "-C", kernel.headers, *options, "modules"], timeout=300)
    return {name: work / f"{name}.ko" for name in names}


def stripped(module: Path, target: Path) -> Path:
    """A copy of *module* at *target* without debug info, as vendors ship theirs."""
    run(["strip", "--strip-debug", "-o", target, module])
    return target


def program(source: Path, target: Path) -> Path:
    """Compile the C file *source* into a static program at *target*."""
    target.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-static", "-O1", "-g0", "-s", "-Wall", "-Werror", "-pthread"]
    run(["gcc", *flags, "-o", target, source])
    return target
