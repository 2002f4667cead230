"""A server's disk: Debian with systemd and GRUB, installed as an installer would, without a mount.

mmdebstrap makes the file tree, mke2fs writes it into a partition, and the machine itself, booted
once from outside, puts its boot loader onto its disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from pathlib import Path

from oopslab.cache import locked, new_directory, root
from oopslab.command import run
from oopslab.errors import LabUnavailable
from oopslab.kernel import Kernel
from oopslab.packages import mirrors
from oopslab.server import Server

SIZE = 4 << 30  # bytes; sparse
START = 1 << 20  # where the partition begins, as installers align it
SECTOR = 512
UUID = "7d1c9b52-4f0a-4a35-9a3e-0c8a6e2f5b11"
_FORM = 2  # raise it when a disk is made in another way
HOSTNAME = "app-node-07"

PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "libpam-systemd", "login", "passwd", "sudo", "procps"),
    *("kmod", "e2fsprogs", "file", "initramfs-tools", "zstd", "grub-pc"),
    *("python3", "python3-venv", "ca-certificates"),
)
# What is not wanted on the disk, to keep it small.
EXCLUDED = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*", "/usr/share/info/*")

# The first serial port is the console, the second one is a seat at which root is logged in.
SEAT = "serial-getty@ttyS1.service"
FILES = {
    "etc/hostname": f"{HOSTNAME}\n",
    "etc/hosts": f"127.0.0.1 localhost {HOSTNAME}\n",
    "etc/fstab": f"UUID={UUID} / ext4 errors=remount-ro 0 1\n",
    f"etc/systemd/system/{SEAT}.d/seat.conf": (
        "[Service]\nExecStart=\n"
        "ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I dumb\n"
    ),
    "etc/default/grub": (
        'GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR="Debian"\n'
        'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0,115200"\n'
        "GRUB_TERMINAL=console\n"
    ),
}


def installed(kernel: Kernel) -> Path:
    """The folder with ``disk.img``, a Debian with *kernel* that boots by its own GRUB.

    Made on first use, in about three minutes, and kept; copy it before writing to it.

    :raises LabUnavailable: not root, which mmdebstrap and mke2fs need to keep owners
    """
    recipe = repr((_FORM, PACKAGES, EXCLUDED, FILES, SIZE, kernel.release))
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    target = root() / "disks" / f"{kernel.release}-{key}"
    with locked(target):
        if not target.exists():
            if os.geteuid() != 0:
                raise LabUnavailable("making a server's disk needs root")
            with new_directory(target) as work:
                _install(kernel, work)
    return target


def _install(kernel: Kernel, work: Path) -> None:
    tree = work / "tree"
    _bootstrap(kernel, tree)
    for path, text in FILES.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    wants = tree / "etc/systemd/system/getty.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / SEAT).symlink_to("/lib/systemd/system/serial-getty@.service")
    run(["chroot", tree, "passwd", "-d", "root"])
    for name in ("vmlinuz", "initrd.img"):
        shutil.copy(tree / "boot" / f"{name}-{kernel.release}", work / name)
    shutil.copy(tree / "var/lib/dpkg/status", work / "status")
    disk = work / "disk.img"
    write(disk, tree, SIZE, UUID)
    shutil.rmtree(tree)
    with Server(
        work / "run",
        [disk],
        kernel=work / "vmlinuz",
        initrd=work / "initrd.img",
        cmdline=f"root=UUID={UUID} ro console=ttyS0,115200 quiet",
    ).running() as server:
        server.log_in()
        server.shell("grub-install /dev/vda", timeout=180)
        server.shell("update-grub", timeout=180)
        server.power_off()
    shutil.rmtree(work / "run")


def _bootstrap(kernel: Kernel, tree: Path) -> None:
    """Let mmdebstrap make the file tree, from the mirror that this machine's own apt uses."""
    main, security = mirrors()
    options = [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    include = ",".join([*PACKAGES, f"linux-image-{kernel.release}"])
    run(
        [
            *("mmdebstrap", "--variant=minbase", "--quiet"),
            '--aptopt=Acquire::Check-Valid-Until "false"',
            *options,
            f"--include={include}",
            *(kernel.suite, tree),
            f"deb {main} {kernel.suite} main",
            f"deb {security} {kernel.suite}-security main",
        ],
        timeout=1200,
    )


def write(disk: Path, tree: Path, size: int, uuid: str) -> None:
    """Write *tree* into the only partition, ext4, of a new disk image of *size* bytes."""
    with disk.open("wb") as file:
        file.truncate(size)
        file.write(_partition_table(size))
    run(
        [
            *("mke2fs", "-q", "-t", "ext4", "-U", uuid, "-d", tree),
            *("-E", f"offset={START},root_owner=0:0", disk, f"{(size - START) >> 10}k"),
        ],
        timeout=600,
    )


def _partition_table(size: int) -> bytes:
    """A master boot record: one Linux partition, active, to the end of the disk."""
    # Addresses by cylinder are of no use beyond 8 GB; this marks them as not to be used.
    unused = b"\xfe\xff\xff"
    first, count = START // SECTOR, (size - START) // SECTOR
    entry = b"\x80" + unused + b"\x83" + unused + struct.pack("<II", first, count)
    return bytes(440) + struct.pack("<IH", 0x0B5E55ED, 0) + entry.ljust(64, b"\0") + b"\x55\xaa"


def extract(disk: Path, paths: tuple[str, ...], target: Path) -> None:
    """Read files and folders out of a disk image, without mounting it, to the same place below."""
    for path in paths:
        parent = target / Path(path).parent.relative_to("/")
        parent.mkdir(parents=True, exist_ok=True)
        run(["debugfs", "-R", f"rdump {path} {parent}", f"{disk}?offset={START}"], timeout=300)


def copy(disk: Path, target: Path) -> Path:
    """A copy of a disk image to write to, as sparse as the original."""
    run(["cp", "--sparse=always", "--reflink=auto", disk, target])
    return target
