"""Host trees of six distributions, made by hand from the documented formats."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oopsight.kdump.checks import Host
from oopsight.kdump.host import Ran, Root
from oopslab.cpio import Archive

RAM_KB = 8 * 1024 * 1024 - 512 * 1024
MAKEDUMPFILE = (
    "makedumpfile: version 1.7.6 (released on 1 Nov 2024)\n\0lzo\tenabled\n\0"
    "snappy\tdisabled\n\0zstd\tenabled\n\0"
)
ROOT_ARGS = "root=UUID=1111-2222 ro quiet"


@dataclass
class FakeProbe:
    """A probe with plenty of space and servers that answer."""

    free: int | None = 100 << 30
    answers: bool | None = True
    ran: list[tuple[str, ...]] = field(default_factory=list)

    def free_bytes(self, path: str) -> int | None:
        return self.free

    def connects(self, host: str, port: int) -> bool | None:
        return self.answers

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        self.ran.append(tuple(argv))
        return Ran(0, "", "")


class Tree:
    """A tree in a folder, written and damaged by the tests."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.probe = FakeProbe()
        self.kernel = ""
        self.initrd = ""
        self.service = ""
        self.config = ""

    def put(self, path: str, text: str = "") -> None:
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def put_bytes(self, path: str, content: bytes) -> None:
        self.put(path)
        (self.folder / path.lstrip("/")).write_bytes(content)

    def link(self, path: str, target: str) -> None:
        place = self.folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def text(self, path: str) -> str:
        return (self.folder / path.lstrip("/")).read_text()

    def remove(self, path: str) -> None:
        (self.folder / path.lstrip("/")).unlink()

    def edit(self, path: str, old: str, new: str) -> None:
        text = self.text(path)
        assert old in text, f"{path} of {self.name} has no {old!r}"
        self.put(path, text.replace(old, new))

    @property
    def host(self) -> Host:
        return Host(Root(self.folder), self.probe)


def _common(tree: Tree, os_release: str, cmdline: str) -> None:
    tree.put("/etc/os-release", os_release)
    tree.put("/proc/sys/kernel/osrelease", tree.kernel + "\n")
    tree.put("/proc/cmdline", cmdline + "\n")
    rows = {"MemTotal": RAM_KB, "MemFree": 4 << 20, "Buffers": 4096, "Cached": 1 << 20}
    meminfo = "".join(f"{name}: {value:>12} kB\n" for name, value in rows.items())
    tree.put("/proc/meminfo", meminfo + f"AnonPages: {1 << 20} kB\n")
    tree.put("/proc/cpuinfo", "".join(f"processor\t: {number}\n" for number in range(4)))
    tree.put("/proc/iomem", "00100000-bfffffff : System RAM\n  90000000-afffffff : Crash kernel\n")
    tree.put("/proc/mounts", "/dev/vda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n")
    for name, value in {
        "panic_on_oops": 1,
        "sysrq": 438 if tree.name in {"debian12", "ubuntu2404"} else 16,
        "softlockup_panic": 0,
        "panic": 0,
        "kexec_load_disabled": 0,
    }.items():
        tree.put(f"/proc/sys/kernel/{name}", f"{value}\n")
    tree.put("/sys/kernel/kexec_crash_loaded", "1\n")
    tree.put("/sys/kernel/kexec_crash_size", f"{512 << 20}\n")
    tree.put("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n")
    tree.put("/sys/block/vda/size", "0\n")
    _devices(tree)
    tree.put("/usr/sbin/kexec")
    tree.put("/usr/sbin/makedumpfile", MAKEDUMPFILE)
    tree.put(f"/usr/lib/systemd/system/{tree.service}", "[Unit]\n")
    wants = "basic" if tree.service == "kdump-tools.service" else "multi-user"
    tree.link(
        f"/etc/systemd/system/{wants}.target.wants/{tree.service}",
        f"/usr/lib/systemd/system/{tree.service}",
    )
    (tree.folder / "var/crash").mkdir(parents=True)
    put_initrd(tree, "virtio_pci", "virtio_blk", "ext4")


def _devices(tree: Tree) -> None:
    """A virtio disk as /sys shows it, and the modules of the kernel; ext4 is built into it."""
    pci = "/sys/devices/pci0000:00/0000:00:04.0"
    tree.put(f"{pci}/virtio1/block/vda/vda1/partition", "1\n")
    tree.link(f"{pci}/driver", "../../../bus/pci/drivers/virtio-pci")
    tree.link(f"{pci}/virtio1/driver", "../../../../bus/virtio/drivers/virtio_blk")
    tree.link("/sys/bus/pci/drivers/virtio-pci/module", "../../../../module/virtio_pci")
    tree.link("/sys/bus/virtio/drivers/virtio_blk/module", "../../../../module/virtio_blk")
    tree.link("/sys/class/block/vda1", f"../../{pci.removeprefix('/sys/')}/virtio1/block/vda/vda1")
    files = ("virtio/virtio_pci", "block/virtio_blk", "net/e1000", "md/dm-mod", "md/dm-crypt")
    rows = [f"kernel/drivers/{name}.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n" for name in files]
    tree.put(f"/lib/modules/{tree.kernel}/modules.dep", "".join(rows))


def uefi_program(*, signed: bool, cmdline: str | None = None) -> bytes:
    """A UEFI program of one section: a kernel, or with a command line a unified kernel image."""
    headers = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 64)
    optional = struct.pack("<H", 0x20B).ljust(112, b"\0") + bytes(4 * 8)
    optional += struct.pack("<II", 4096, 16) if signed else bytes(8)
    optional = optional.ljust(240, b"\0")
    headers += b"PE\0\0" + struct.pack(
        "<HH12xHH", 0x8664, int(cmdline is not None), len(optional), 0
    )
    if cmdline is None:
        return headers + optional
    place = struct.pack("<8sIIII16x", b".cmdline", len(cmdline), 0, 512, 512)
    return (headers + optional + place).ljust(512, b"\0") + cmdline.encode().ljust(512, b"\0")


def put_initrd(tree: Tree, *modules: str) -> None:
    """A capture initrd as distributions make them: microcode first, then what is compressed."""
    microcode = Archive()
    microcode.file("kernel/x86/microcode/AuthenticAMD.bin", "code")
    rest = Archive()
    for name in modules:
        rest.file(f"usr/lib/modules/{tree.kernel}/kernel/{name}.ko.xz", "module")
    first = microcode.to_bytes()
    padding = bytes(-len(first) % 512)
    tree.put_bytes(tree.initrd, first + padding + gzip.compress(rest.to_bytes()))


def _grub_cfg(kernel: str, crashkernel: str) -> str:
    linux = f"/boot/vmlinuz-{kernel} {ROOT_ARGS}"
    return (
        f"menuentry 'Linux' {{\n\tlinux\t{linux} {crashkernel}\n}}\n"
        f"menuentry 'Linux (recovery mode)' {{\n\tlinux\t{linux} single\n}}\n"
    )


def _debian(tree: Tree, os_release: str) -> None:
    tree.service, tree.config = "kdump-tools.service", "/etc/default/kdump-tools"
    tree.initrd = f"/var/lib/kdump/initrd.img-{tree.kernel}"
    crashkernel = "crashkernel=384M-:512M"
    _common(tree, os_release, f"BOOT_IMAGE=/boot/vmlinuz {ROOT_ARGS} {crashkernel}")
    tree.link("/var/lib/kdump/initrd.img", tree.initrd)
    tree.link("/var/lib/kdump/vmlinuz", f"/boot/vmlinuz-{tree.kernel}")
    tree.put(
        tree.config,
        '# kdump-tools\nUSE_KDUMP=1\nKDUMP_COREDIR="/var/crash"\n#MAKEDUMP_ARGS="-c -d 31"\n',
    )
    tree.put(
        "/etc/default/grub",
        'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX=""\n',
    )
    tree.put(
        "/etc/default/grub.d/kdump-tools.cfg",
        f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {crashkernel}"\n',
    )
    tree.put("/boot/grub/grub.cfg", _grub_cfg(tree.kernel, crashkernel))


def debian12(tree: Tree) -> None:
    tree.kernel = "6.1.0-35-amd64"
    _debian(tree, 'ID=debian\nVERSION_ID="12"\n')


def ubuntu2404(tree: Tree) -> None:
    tree.kernel = "6.8.0-60-generic"
    _debian(tree, 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n')


def _rhel(tree: Tree, os_release: str, crashkernel: str) -> None:
    tree.service, tree.config = "kdump.service", "/etc/kdump.conf"
    tree.initrd = f"/boot/initramfs-{tree.kernel}kdump.img"
    _common(tree, os_release, f"BOOT_IMAGE=(hd0)/vmlinuz {ROOT_ARGS} {crashkernel}")
    tree.put(
        tree.config,
        "#nfs my.server:/x\npath /var/crash\ncore_collector makedumpfile -l -d 31\n",
    )
    tree.put(
        "/etc/default/grub", f'GRUB_CMDLINE_LINUX="{crashkernel} rhgb"\nGRUB_ENABLE_BLSCFG=true\n'
    )


def _entry(tree: Tree, options: str) -> None:
    tree.put(
        f"/boot/loader/entries/abc-{tree.kernel}.conf",
        f"title Linux\nversion {tree.kernel}\nlinux /vmlinuz-{tree.kernel}\noptions {options}\n",
    )


def rhel8(tree: Tree) -> None:
    tree.kernel = "4.18.0-553.el8_10.x86_64"
    _rhel(tree, 'ID="rhel"\nVERSION_ID="8.10"\n', "crashkernel=auto")
    _entry(tree, "$kernelopts $tuned_params")
    text = f"# GRUB Environment Block\nkernelopts={ROOT_ARGS} crashkernel=auto\n"
    tree.put("/boot/grub2/grubenv", text + "#" * (1024 - len(text)))


def rhel9(tree: Tree) -> None:
    tree.kernel = "5.14.0-503.el9_5.x86_64"
    crashkernel = "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M"
    _rhel(tree, 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="9.5"\n', crashkernel)
    _entry(tree, f"{ROOT_ARGS} {crashkernel}")
    tree.put("/etc/kernel/cmdline", f"{ROOT_ARGS} {crashkernel}\n")


def fedora(tree: Tree) -> None:
    tree.kernel = "6.11.4-301.fc41.x86_64"
    crashkernel = "crashkernel=2G-64G:256M,64G-:512M"
    _rhel(tree, "ID=fedora\nVERSION_ID=41\n", crashkernel)
    _entry(tree, f"{ROOT_ARGS} {crashkernel}")


def sles15(tree: Tree) -> None:
    tree.kernel = "6.4.0-150600.21-default"
    tree.service, tree.config = "kdump.service", "/etc/sysconfig/kdump"
    tree.initrd = f"/var/lib/kdump/initrd-{tree.kernel}"
    crashkernel = "crashkernel=440M,high crashkernel=72M,low"
    _common(tree, 'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\n', f"{ROOT_ARGS} {crashkernel}")
    tree.initrd = f"/boot/initrd-{tree.kernel}-kdump"
    put_initrd(tree, "virtio_pci", "virtio_blk")
    tree.put(tree.config, 'KDUMP_SAVEDIR="file:///var/crash"\nKDUMP_DUMPLEVEL="31"\n')
    tree.put("/etc/default/grub", f'GRUB_CMDLINE_LINUX_DEFAULT="quiet {crashkernel}"\n')
    tree.put("/boot/grub2/grub.cfg", _grub_cfg(tree.kernel, crashkernel))


TREES: dict[str, Callable[[Tree], None]] = {
    make.__name__: make for make in (debian12, ubuntu2404, rhel8, rhel9, fedora, sles15)
}


def build(folder: Path, name: str) -> Tree:
    """Make the healthy tree of a distribution."""
    tree = Tree(folder, name)
    TREES[name](tree)
    return tree
