"""Runs a guest in QEMU until it is dead, watching its serial console."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oopslab.command import tool
from oopslab.errors import LabError

DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What starts a machine that ends with us, even if we are killed."""
_POLL = 0.1  # seconds between two looks at the console


class Monitor:
    """A connection to QEMU's machine protocol (QMP)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(120)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream = self._socket.makefile("rw")
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        line = self._stream.readline()
        if not line:
            raise LabError("QEMU closed its monitor")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def execute(self, command: str, **arguments: Any) -> None:
        """Run a QMP command to its end; LabError with QEMU's words where it fails."""
        request = {"execute": command, "arguments": arguments}
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        while True:
            answer = self._read()
            if "error" in answer:
                raise LabError(f"QMP {command}: {answer['error']['desc']}")
            if "return" in answer:
                return

    def close(self) -> None:
        """End the connection."""
        self._stream.close()
        self._socket.close()


@dataclass
class Machine:
    """A virtual machine; its files are in *work*."""

    work: Path
    kernel: Path
    initrd: Path
    cmdline: str
    memory: int  # MiB
    cpus: int
    cpu: str  # QEMU's model with its options
    disks: list[Path] = field(default_factory=list)
    pokable: bool = False  # its memory is written from outside
    told: bool = True  # whether it has the device by which a guest tells of VMCOREINFO

    @property
    def console(self) -> Path:
        """Everything that the guest wrote on its first serial port."""
        return self.work / "console.log"

    def argv(self) -> list[str]:
        """QEMU's command line."""
        argv = [
            str(tool("qemu-system-x86_64")),
            *("-accel", "tcg", "-cpu", self.cpu, "-m", str(self.memory), "-smp", str(self.cpus)),
            *("-nodefaults", "-display", "none", "-no-reboot", "-no-user-config"),
            *(("-device", "vmcoreinfo") if self.told else ()),
            *("-serial", f"file:{self.console}"),
            *("-qmp", "unix:qmp,server=on,wait=off"),
            *("-kernel", str(self.kernel), "-initrd", str(self.initrd), "-append", self.cmdline),
        ]
        if self.pokable:
            argv += ["-gdb", "unix:gdb,server=on,wait=off"]
        for number, disk in enumerate(self.disks):
            argv += ["-drive", f"file={disk},if=none,format=raw,cache=unsafe,id=disk{number}"]
            argv += ["-device", f"virtio-blk-pci,drive=disk{number}"]
        return argv

    @contextlib.contextmanager
    def running(self) -> Iterator[Guest]:
        """Start the machine, and make sure that it is gone in the end."""
        self.console.touch()
        with (self.work / "qemu.log").open("wb") as log:
            process = subprocess.Popen(
                [*DIES_WITH_US, *self.argv()],
                cwd=self.work,  # a socket's path is limited to 107 bytes: QEMU gets it relative
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        guest = Guest(self, process)
        try:
            yield guest
        finally:
            guest.close()
            process.kill()
            process.wait()


@dataclass
class Guest:
    """A running machine."""

    machine: Machine
    process: subprocess.Popen[bytes]
    _monitor: Monitor | None = None

    @property
    def monitor(self) -> Monitor:
        """Its QMP connection."""
        if self._monitor is None:
            # By a link with a short path, for the same reason as above.
            with _short_path(self.machine.work) as short:
                self._monitor = Monitor(short / "qmp")
        return self._monitor

    def close(self) -> None:
        """End the QMP connection where one was made."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None

    def poke(self, writes: Mapping[int, bytes]) -> None:
        """Write into virtual memory, through QEMU's gdb server; the guest is held meanwhile.

        :param writes: bytes by address
        """
        with _short_path(self.machine.work) as short, socket.socket(socket.AF_UNIX) as stub:
            stub.settimeout(30)
            stub.connect(str(short / "gdb"))
            for address, data in writes.items():
                answer = _gdb(stub, f"M{address:x},{len(data):x}:{data.hex()}")
                if answer != "OK":
                    raise LabError(f"QEMU does not write at {address:#x}: {answer!r}")
            _gdb(stub, "D")

    def text(self) -> str:
        """The console until now."""
        return self.machine.console.read_text(errors="replace")

    def wait_for(self, pattern: str | None, timeout: float) -> None:
        """Wait until the console shows *pattern*, or with None until QEMU ends by itself.

        :raises LabError: neither happened within *timeout* seconds
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            if pattern is None:
                if ended:
                    return
            elif re.search(pattern, self.text()):
                return
            elif ended:
                raise LabError(f"the guest ended without showing {pattern!r}: {self._tail()}")
            time.sleep(_POLL)
        what = "to end" if pattern is None else f"for {pattern!r}"
        raise LabError(f"waited {timeout:.0f} s in vain {what}: {self._tail()}")

    def _tail(self) -> str:
        lines = self.text().splitlines()[-12:]
        return "\n".join(lines + (self.machine.work / "qemu.log").read_text().splitlines()[-3:])


def _gdb(stub: socket.socket, command: str) -> str:
    """Send a packet of the gdb remote protocol, and give the answer."""
    stub.sendall(f"${command}#{sum(command.encode()) % 256:02x}".encode())
    received = b""
    while (packet := re.search(rb"\$([^#]*)#[0-9a-f]{2}", received)) is None:
        part = stub.recv(4096)
        if not part:
            raise LabError(f"QEMU's gdb server ended the connection after {command[:20]!r}")
        received += part
    stub.sendall(b"+")
    return packet[1].decode()


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lab") as short:
        link = Path(short) / "w"
        link.symlink_to(folder)
        yield link
