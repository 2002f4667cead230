"""A whole server in QEMU: it boots from its disk, and root sits at its second serial port."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from oopslab.command import tool
from oopslab.errors import LabError
from oopslab.qemu import DIES_WITH_US, Monitor

_POLL = 0.1  # seconds
_STATUS = re.compile(rb"@@(\d+)@@\r?\n")
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")


class Server:
    """A virtual machine with disks, which may reboot as it likes.

    :param work: folder for its console, its log and its sockets; made if it is not there
    :param patience: multiplies every timeout, for a machine that has much else to do
    :param kernel: boot this kernel, with *initrd* and *cmdline*, instead of the first disk
    """

    def __init__(
        self,
        work: Path,
        disks: list[Path],
        *,
        memory: int = 2048,
        patience: float = 1,
        kernel: Path | None = None,
        initrd: Path | None = None,
        cmdline: str = "",
    ) -> None:
        self.work = work
        self.disks = disks
        self.memory = memory  # MiB
        self.patience = patience
        self.direct = [("-kernel", kernel), ("-initrd", initrd), ("-append", cmdline)]
        self.greeting = ""  # what the login showed
        self._sockets: list[socket.socket] = []
        self._monitor: Monitor | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def console(self) -> str:
        """Everything that it wrote on its first serial port, over all its boots."""
        return (self.work / "console.log").read_text(errors="replace")

    def _argv(self, ports: list[Path]) -> list[str]:
        argv = [
            str(tool("qemu-system-x86_64")),
            *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(self.memory)),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-serial", f"file:{self.work / 'console.log'}"),
            *("-serial", f"unix:{ports[0]},server=on,wait=off"),
            *("-qmp", f"unix:{ports[1]},server=on,wait=off"),
        ]
        for option, value in self.direct if self.direct[0][1] else []:
            argv += [option, str(value)]
        for number, disk in enumerate(self.disks):
            argv += ["-drive", f"file={disk},if=none,format=raw,cache=unsafe,id=disk{number}"]
            argv += ["-device", f"virtio-blk-pci,drive=disk{number}"]
        return argv

    @contextlib.contextmanager
    def running(self) -> Iterator[Server]:
        """Switch it on, and make sure that it is gone in the end."""
        import tempfile

        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "console.log").touch()
        # Sockets have short names: their length is limited to 107 bytes.
        with tempfile.TemporaryDirectory(prefix="lab") as short:
            ports = [Path(short) / "seat", Path(short) / "qmp"]
            with (self.work / "qemu.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*DIES_WITH_US, *self._argv(ports)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            try:
                self._sockets = [self._connect(ports[0])]
                self._monitor = Monitor(ports[1])
                yield self
            except LabError as error:
                raise LabError(f"{error}\n{self._tail()}") from error
            finally:
                if self._monitor:
                    self._monitor.close()
                for each in self._sockets:
                    each.close()
                self._process.kill()
                self._process.wait()

    def _connect(self, port: Path) -> socket.socket:
        assert self._process is not None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            seat = socket.socket(socket.AF_UNIX)
            try:
                seat.connect(str(port))
            except OSError:
                seat.close()
                time.sleep(_POLL)
            else:
                return seat
        raise LabError(f"QEMU does not start: {(self.work / 'qemu.log').read_text()}")

    def _tail(self) -> str:
        return "\n".join(self.console.splitlines()[-25:])

    def log_in(self, timeout: float = 240) -> str:
        """Wait for root's prompt, and make the terminal a quiet one.

        :return: what the login showed, the message of the day with it
        """
        text = self._read_until(re.compile(rb"root@[\w-]+:\S*# "), timeout)
        self.greeting = _plain(text)
        self._send(
            "stty -echo cols 500; PS1=; PS2=; bind 'set enable-bracketed-paste off'; echo @@0@@"
        )
        self._read_until(re.compile(rb"\n@@0@@\r?\n"), 60)
        return self.greeting

    def shell(self, command: str, timeout: float = 120, *, check: bool = True) -> str:
        """Run a command line as root and return what it wrote.

        :raises LabError: it failed, unless *check* is false; or took longer than *timeout* seconds
        """
        self._send(f"{{ {command}\n}} 2>&1; echo @@$?@@")
        text = self._read_until(_STATUS, timeout, what=command)
        match = _STATUS.search(text)
        assert match is not None
        output = _plain(text[: match.start()])
        if check and match[1] != b"0":
            raise LabError(f"{command!r} failed ({match[1].decode()}): {output[-2000:]}")
        return output

    def start(self, command: str) -> None:
        """Type a command line from which there may be no return."""
        self._send(command)

    @property
    def is_off(self) -> bool:
        """Whether it does not run any more."""
        return self._process is None or self._process.poll() is not None

    def power_off(self, timeout: float = 120) -> None:
        """Shut it down in order, and wait until it is off."""
        assert self._process is not None
        self._send("poweroff")
        try:
            self._process.wait(timeout * self.patience)
        except subprocess.TimeoutExpired as error:
            raise LabError("it does not switch off") from error

    def reset(self) -> None:
        """Press the reset button."""
        assert self._monitor is not None
        self._monitor.execute("system_reset")

    def wait_for(self, pattern: str, timeout: float, *, start: int = 0) -> int:
        """Wait until the console shows *pattern* after position *start*; return where it ends."""
        deadline = time.monotonic() + timeout * self.patience
        while time.monotonic() < deadline:
            match = re.compile(pattern).search(self.console, start)
            if match:
                return match.end()
            time.sleep(_POLL)
        raise LabError(f"waited {timeout:.0f} s in vain for {pattern!r}")

    def _send(self, line: str) -> None:
        self._sockets[0].sendall(line.encode() + b"\n")

    def _read_until(self, pattern: re.Pattern[bytes], timeout: float, what: str = "") -> bytes:
        seat = self._sockets[0]
        deadline = time.monotonic() + timeout * self.patience
        text = b""
        while not pattern.search(text):
            seat.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                more = seat.recv(65536)
            except TimeoutError as error:
                last = _plain(text)[-1500:]
                wanted = what or pattern.pattern.decode()
                raise LabError(f"waited {timeout:.0f} s in vain for {wanted!r}: {last}") from error
            if not more:
                raise LabError("the machine is off")
            text += more
        return text


def _plain(text: bytes) -> str:
    return _ESCAPES.sub(b"", text).decode(errors="replace")
