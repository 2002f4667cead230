"""The prompt at a real pseudo-terminal: completion, Ctrl-C, the pager, a change of size."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import oopslab

PATIENCE = 60.0
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """``oopsight shell`` behind a pseudo-terminal."""

    def __init__(self, arguments: list[str], home: Path) -> None:
        self.said = b""
        self.status: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "TERM": "xterm", "HOME": str(home), "PAGER": ""}
            os.execve(sys.executable, [sys.executable, "-m", "oopsight", *arguments], environment)  # noqa: S606  # the child of a fork
        self.resize(24, 100)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, pattern: str) -> str:
        """What is said up to the pattern; it is taken away."""
        said = self.hears(pattern, PATIENCE)
        if said is None:
            plain = _ESCAPES.sub(b"", self.said)
            pytest.fail(f"{pattern!r} was not said; this was: {plain[-2000:]!r}")
        return said

    def hears(self, pattern: str, seconds: float) -> str | None:
        """The same, or nothing where it is not said in time."""
        wanted = re.compile(pattern.encode())
        end = time.monotonic() + seconds
        while True:
            plain = _ESCAPES.sub(b"", self.said)
            found = wanted.search(plain)
            if found:
                self.said = plain[found.end() :]
                return plain[: found.end()].decode(errors="replace")
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._listen(left)

    def leave_pager(self) -> None:
        """What is typed before the pager has set up the terminal may be lost to it."""
        for _ in range(6):
            self.type("q")
            if self.hears("crash>", PATIENCE / 6) is not None:
                return
        pytest.fail("q did not end the pager")

    def wait(self, seconds: float) -> None:
        """Let time pass; as a terminal does, it answers meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._listen(left)

    def _listen(self, seconds: float) -> None:
        if not select.select([self.fd], [], [], seconds)[0]:
            return
        with contextlib.suppress(OSError):
            data = os.read(self.fd, 65536)
            self.said += data
            if b"\x1b[6n" in data:
                # The prompt asks where the cursor is.
                os.write(self.fd, b"\x1b[1;1R")

    def wait_for_completion(self, word: str) -> None:
        """The word, although the prompt may move the cursor between what was typed and the rest."""
        self.wait_for(r"[\s\x08]*".join(re.escape(char) for char in word))

    def close(self) -> int:
        """End it; its exit status. To end it twice does no harm."""
        if self.status is not None:
            return self.status
        self.status = self._end()
        return self.status

    def _end(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            end = time.monotonic() + 10
            while time.monotonic() < end:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    os.close(self.fd)
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.05)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        return -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    try:
        dump = oopslab.ensure("incident", kernel="6.1", capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    (tmp_path / ".crashrc").write_text("alias here p jiffies\n")
    made = Terminal(["shell", str(dump.vmcore), "--debug-dir", str(dump.debug_dir)], tmp_path)
    yield made
    made.close()


def test_a_session_at_a_terminal(terminal: Terminal) -> None:
    banner = terminal.wait_for("crash>")
    assert "PANIC:" in banner

    # The alias of ~/.crashrc is known.
    terminal.type("here\n")
    terminal.wait_for(r"jiffies = \$\d+ = \d+")
    terminal.wait_for("crash>")

    # Tab completes a command's name, a symbol and a member.
    terminal.type("timel\t")
    terminal.wait_for_completion("timeline")
    terminal.type(" -n 1\n")
    terminal.wait_for("panic")
    terminal.wait_for("crash>")
    terminal.type("sym linux_bann\t")
    terminal.wait_for_completion("linux_banner")
    terminal.type("\n")
    terminal.wait_for(r"\(R\) linux_banner")
    terminal.wait_for("crash>")
    terminal.type("struct task_struct.real_cr\t")
    terminal.wait_for_completion("real_cred")
    terminal.type("\n")
    terminal.wait_for(r"\[\d+\] const struct cred \*real_cred;")
    terminal.wait_for("crash>")

    # Ctrl-C ends the command and not the session.
    terminal.type("repeat -1 100 p 1+1\n")
    for _ in range(3):
        terminal.wait_for(r"= 2\s")
    terminal.type("\x03")
    terminal.wait_for(r"\^C")
    terminal.wait_for("crash>")
    terminal.type("p 40+2\n")
    terminal.wait_for(r"= 42")
    terminal.wait_for("crash>")

    # What does not fit goes through a pager, which q ends.
    terminal.resize(10, 80)
    terminal.type("log\n")
    terminal.wait_for("Linux version")
    terminal.wait(1.0)
    terminal.leave_pager()
    terminal.resize(40, 200)
    terminal.type("set scroll off\n")
    terminal.wait_for("scroll: off")
    terminal.wait_for("crash>")
    terminal.type("ps | grep init\n")
    terminal.wait_for(r"IN .* init")
    terminal.wait_for("crash>")
    terminal.type("nosuch\n")
    terminal.wait_for("no such command")
    terminal.wait_for("crash>")
    terminal.type("exit\n")
    assert terminal.close() == 0
