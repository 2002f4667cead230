"""The virtual machine of a rehearsal: QEMU, its console, and the questions put to its kernel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oopsight.kdump.cmdline import MiB
from oopsight.kdump.errors import KdumpError

QEMU = {"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"}
PACKAGES = "qemu-system-x86 (Debian, Ubuntu), qemu-kvm (RHEL, Fedora), qemu-x86 (SUSE)"
SEARCH = f"{os.environ.get('PATH', '')}:/usr/bin:/usr/libexec:/usr/local/bin"
CHUNK = 1 << 16
MAX_CONSOLE = 64 << 20
STEP = 0.25  # seconds between two looks at the console
# QEMU's device for the driver by which the host reaches its disk.
DISKS = {
    "virtio_blk": ("virtio-blk-pci",),
    "nvme": ("nvme,serial=rehearsal",),
    "ahci": ("ahci,id=bus", "ide-hd,bus=bus.0"),
    "ata_piix": ("ide-hd",),
    "virtio_scsi": ("virtio-scsi-pci,id=bus", "scsi-hd,bus=bus.0"),
    "megaraid_sas": ("megasas,id=bus", "scsi-hd,bus=bus.0"),
    "vmw_pvscsi": ("pvscsi,id=bus", "scsi-hd,bus=bus.0"),
}


@dataclass(frozen=True)
class Disk:
    """A device or image that the machine sees; it is never written to, changes go elsewhere."""

    path: Path
    driver: str = "virtio_blk"


@dataclass(frozen=True)
class Plan:
    """What is to be run. ``memory`` is in bytes; ``accelerator`` is ``kvm`` or ``tcg``."""

    kernel: Path
    initrd: bytes
    command_line: str
    memory: int
    disks: tuple[Disk, ...]
    accelerator: str


def program() -> str:
    """Return the path of QEMU.

    :raises KdumpError: it is not installed, or this machine is of another kind than x86-64
    """
    kind = os.uname().machine
    if kind != "x86_64":
        raise KdumpError(f"rehearsals are known for x86-64 alone, and this machine is {kind}", 7)
    for name in (QEMU[kind], "qemu-kvm"):
        found = shutil.which(name, path=SEARCH)
        if found:
            return found
    raise KdumpError(f"QEMU is not installed: install {PACKAGES}", 7)


def accelerator() -> str:
    """``kvm`` where this process may use it; software emulation is ten times as slow."""
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


class Machine:
    """A running machine."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self._folder = folder
        self._process = process
        self._said = bytearray()
        self._serial = self._connect("serial")
        self._monitor = self._connect("monitor")
        self._replies = self._monitor.makefile("r")
        self._replies.readline()
        self._command("qmp_capabilities")
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def console(self) -> str:
        """Everything that it has said."""
        return bytes(self._said).decode(errors="replace")

    def _listen(self) -> None:
        # The machine loses letters where nobody takes them at once.
        with contextlib.suppress(OSError):
            while piece := self._serial.recv(CHUNK):
                self._said += piece[: MAX_CONSOLE - len(self._said)]

    @property
    def is_running(self) -> bool:
        """Whether it has neither been switched off nor tried to reboot."""
        return self._process.poll() is None

    def ask_for_memory(self) -> None:
        """SysRq-m by the serial line: a break, then the letter. The kernel answers at once."""
        with contextlib.suppress(OSError):
            self._command("chardev-send-break", id="serial")
            self._serial.sendall(b"m")

    def close(self) -> None:
        """Switch it off."""
        self._process.kill()
        self._process.wait()
        self._listener.join(STEP)
        self._replies.close()
        self._serial.close()
        self._monitor.close()

    def _command(self, name: str, **arguments: Any) -> None:
        self._monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        while line := self._replies.readline():
            reply = json.loads(line)
            if "return" in reply or "error" in reply:
                return

    def _connect(self, name: str) -> socket.socket:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.is_running:
            port = socket.socket(socket.AF_UNIX)
            try:
                port.connect(str(self._folder / name))
            except OSError:
                port.close()
                time.sleep(STEP)
            else:
                return port
        last = (self._folder / "errors").read_text(errors="replace").strip().splitlines()
        raise KdumpError(f"QEMU does not start: {last[-1] if last else 'no message'}")


@contextlib.contextmanager
def running(plan: Plan) -> Iterator[Machine]:
    """Switch a machine on, and make sure that it is gone in the end.

    :raises KdumpError: QEMU is not installed or does not start
    """
    qemu = program()
    with tempfile.TemporaryDirectory(prefix="rehearsal") as name:
        folder = Path(name)
        (folder / "initrd").write_bytes(plan.initrd)
        with (folder / "errors").open("wb") as errors:
            process = subprocess.Popen(
                [qemu, *_arguments(plan, folder)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        try:
            machine = Machine(folder, process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        try:
            yield machine
        finally:
            machine.close()


def _arguments(plan: Plan, folder: Path) -> list[str]:
    arguments = [
        *("-accel", plan.accelerator, "-cpu", "host" if plan.accelerator == "kvm" else "max"),
        *("-m", str(plan.memory // MiB), "-smp", "1", "-no-reboot"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none"),
        *("-chardev", "socket,id=serial,path=serial,server=on,wait=on"),
        *("-serial", "chardev:serial", "-qmp", "unix:monitor,server=on,wait=off"),
        *("-kernel", str(plan.kernel), "-initrd", str(folder / "initrd")),
        *("-append", plan.command_line),
    ]
    for number, disk in enumerate(plan.disks):
        path = str(disk.path).replace(",", ",,")
        # What is written goes into a file of its own, which is gone in the end.
        drive = f"file={path},if=none,id=disk{number},format=raw,snapshot=on,file.locking=off"
        arguments += ["-drive", drive]
        *buses, device = DISKS[disk.driver]
        suffix = f"bus{number}"
        for bus in buses:
            arguments += ["-device", bus.replace("id=bus", f"id={suffix}")]
        device = device.replace("bus=bus", f"bus={suffix}").replace("rehearsal", f"disk{number}")
        arguments += ["-device", f"{device},drive=disk{number}"]
    return arguments
