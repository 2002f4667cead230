"""Builds what runs in the guest: out-of-tree kernel modules and static programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from oopslab.command import run
from oopslab.kernel import Kernel
from oopslab.scenario import GUEST, Scenario

# Module BTF would need pahole; vendors' modules have none either.
_OPTIONS = ("CONFIG_DEBUG_INFO_BTF_MODULES=", "modules")


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
    # BUG() prints the path of its source, which is to tell no more than a vendor's would.
    if kernel.needs_root:
        _make_in_root(kernel, work)
    else:
        flags = (
            f"KCFLAGS=-ffile-prefix-map={work}=/usr/src/dkms -ffile-prefix-map={kernel.directory}="
        )
        # The compiler that the headers name may be older than any that this machine has.
        make = ["make", "-s", "-C", kernel.headers, f"M={work}", "CC=gcc", *_OPTIONS, flags]
        run(make, timeout=300)
    return {name: work / f"{name}.ko" for name in names}


def _make_in_root(kernel: Kernel, work: Path) -> None:
    """Run make with the kernel's folder as its root; the modules are brought back to *work*."""
    root = kernel.directory
    inside = Path("tmp") / work.parent.parent.name.lstrip(".") / "dkms"
    folder = root / inside
    shutil.copytree(work, folder)
    headers = f"/usr/src/{kernel.headers.name}"
    flags = f"KCFLAGS=-ffile-prefix-map=/{inside}=/usr/src/dkms"
    make = ["make", "-s", "-C", headers, f"M=/{inside}", *_OPTIONS, flags]
    mounts = "".join(f'mount --rbind /{name} "$0/{name}" && ' for name in ("dev", "proc"))
    script = f'{mounts}exec chroot "$0" "$@"'
    try:
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, root, *make]
        run(command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, timeout=300)
        for module in folder.glob("*.ko"):
            shutil.copy(module, work)
    finally:
        shutil.rmtree(folder.parent)


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
