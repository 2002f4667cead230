"""Puts the guests' initial RAM disks together."""

from __future__ import annotations

import lzma
import re
import shlex
from pathlib import Path

from oopslab import build
from oopslab.command import run, tool
from oopslab.cpio import Archive
from oopslab.errors import LabError, LabUnavailable
from oopslab.kernel import Kernel
from oopslab.packages import Suite
from oopslab.scenario import GUEST, Scenario

# virtio-blk carries the results out; qemu_fw_cfg tells QEMU where VMCOREINFO is.
_TRANSPORT = ("virtio_pci", "virtio_blk", "qemu_fw_cfg")
_FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "etc", "var/log", "var/run", "mnt", "home")
_DYNAMIC = re.compile(r"(?:=> )?(/\S+) \(0x")


def distribution_modules(kernel: Kernel, names: tuple[str, ...]) -> list[tuple[str, bytes]]:
    """The distribution's modules *names* and what they depend on, in loading order.

    :return: name and uncompressed content of each
    """
    files = {
        path.name.split(".")[0].replace("-", "_"): path
        for path in kernel.modules_dir.rglob("*.ko*")
    }
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in ordered:
            return
        if name not in files:
            return  # built into this kernel
        content = files[name].read_bytes()
        if files[name].suffix == ".xz":
            content = lzma.decompress(content)
        match = re.search(rb"\0depends=([^\0]*)\0", content)
        for needed in match[1].decode().split(",") if match and match[1] else []:
            add(needed.replace("-", "_"))
        ordered[name] = content

    for name in names:
        add(name)
    return list(ordered.items())


def _system(archive: Archive, kernel: Kernel, names: tuple[str, ...]) -> None:
    """Busybox, the folders, and the distribution's modules with their loading order."""
    for folder in _FOLDERS:
        archive.directory(folder)
    busybox = tool("busybox")
    if "statically linked" not in run(["file", "-L", busybox]):
        raise LabUnavailable("busybox is not the static one: run lab/install-tools")
    archive.file("bin/busybox", busybox.resolve(), 0o755)
    for applet in sorted(set(run([busybox, "--list"]).split()) - {"busybox"}):
        archive.symlink(f"bin/{applet}", "busybox")
    order = []
    for name, content in distribution_modules(kernel, names):
        path = f"lib/modules/{kernel.release}/kernel/{name}.ko"
        archive.file(path, content)
        order.append(f"/{path}")
    archive.file("etc/modules-load.list", "".join(f"{path}\n" for path in order))


def with_libraries(archive: Archive, path: str, program: Path) -> None:
    """Add a program of this machine and the shared libraries it needs."""
    archive.file(path, program.resolve(), 0o755)
    for library in _DYNAMIC.findall(run(["ldd", program])):
        archive.file(library, Path(library).resolve(), 0o755)


def guest(
    scenario: Scenario,
    kernel: Kernel,
    modules: dict[str, Path],
    work: Path,
    capture: bytes | None,
    capture_cmdline: str,
) -> bytes:
    """The RAM disk of the machine that crashes.

    :param modules: the scenario's modules, by name
    :param capture: the RAM disk of the capture kernel, for kdump
    :param capture_cmdline: the capture kernel's command line
    """
    archive = Archive()
    _system(archive, kernel, _TRANSPORT + scenario.settings.kernel_modules)
    for source in sorted(GUEST.glob("*.c")):
        binary = build.program(source, work / "guest" / source.stem)
        archive.file(f"usr/libexec/{source.stem}", binary, 0o755)
    archive.file("init", GUEST / "init", 0o755)
    archive.file("etc/rc.local", scenario.texts["init.sh"], 0o755)
    sysctl = ["kernel.panic_on_oops=1", *scenario.settings.sysctl]
    archive.file("etc/sysctl.conf", "".join(f"{setting}\n" for setting in sysctl))
    for path, text in scenario.under("user").items():
        source = work / "user" / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        binary = build.program(source, source.with_suffix(""))
        archive.file(f"usr/bin/{source.stem}", binary, 0o755)
    for name, module in modules.items():
        shipped = build.stripped(module, work / f"{name}.shipped.ko")
        archive.file(f"lib/modules/{kernel.release}/extra/{name}.ko", shipped)
    for path, text in scenario.under("files").items():
        archive.file(path, text, 0o755 if text.startswith("#!") else 0o644)
    for package in scenario.settings.packages:
        _package(archive, package, work)
    if capture is not None:
        archive.file("boot/vmlinuz", kernel.vmlinuz)
        archive.file("boot/initrd.img", capture)
        archive.file("etc/kdump-cmdline", capture_cmdline)
        with_libraries(archive, "sbin/kexec", tool("kexec"))
    return archive.to_bytes()


def _package(archive: Archive, package: str, work: Path) -> None:
    """Add the programs of a Debian package, with the libraries they need, as Debian 12 has them."""
    suite = Suite("bookworm")
    target = work / f"package-{package}"
    suite.unpack([package, *suite.libraries(package)], target)
    for path in sorted(target.rglob("*")):
        inside = str(path.relative_to(target))
        if path.is_dir() or inside.startswith(("usr/share", "etc")):
            continue
        is_program = re.match(r"(usr/)?s?bin/", inside)
        if not is_program and ".so" not in path.name:
            continue
        if path.is_symlink():
            archive.symlink(inside, str(path.readlink()))
        else:
            archive.file(inside, path, 0o755)
    if not any((target / folder).is_dir() for folder in ("bin", "usr/bin")):
        raise LabError(f"Debian's {package} holds no program")


def capture_system(kernel: Kernel, command: list[str]) -> bytes:
    """The RAM disk of the capture kernel: it runs *command* (makedumpfile) onto the second disk."""
    archive = Archive()
    _system(archive, kernel, _TRANSPORT)
    with_libraries(archive, "bin/makedumpfile", tool("makedumpfile"))
    archive.file("init", GUEST / "capture-init", 0o755)
    archive.file("etc/dump-command", shlex.join(command) + "\n")
    return archive.to_bytes()
