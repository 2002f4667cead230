"""How earlier runs of the machine ended, as its journal has it.

kdump itself boots the machine: on Debian the capture kernel runs systemd on the host's own disk and
leaves a boot in the journal that ends in an orderly reboot. Such boots are told by ``elfcorehdr=``
on their command line, and passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.kdump.checks import Host

LINES = 2000
TAIL = 200
BOOTS = 4  # looked back at most: capture boots may lie between
# The end of a run counts as its last two minutes; an oops before that did not end it.
END_SECONDS = 120.0
CAPTURE = re.compile(r"(?<!\S)elfcorehdr=")
ORDERLY = re.compile(
    r"systemd\[1\]: (?:Reached target .*(?:reboot|power[- ]?off|halt|shutdown|kexec).*"
    r"|Shutting down\.)"
    r"|systemd-logind\[\d+\]: (?:System is (?:rebooting|powering down|halting)"
    r"|The system will (?:reboot|power off|halt) now)",
    re.IGNORECASE,
)
ACTION = r"(?:reboot|shutdown|poweroff|halt|kexec|init [06])"
# Who or what asked for a shutdown, each with a sentence about it.
WHO = (
    (re.compile(rf"sudo\[\d+\]:\s+(\S+) : .*COMMAND=(.*\b{ACTION}\b.*)"), "by {0}: {1}"),
    (re.compile(rf"pkexec\[\d+\]: (\S+): Executing command .*COMMAND=(.*\b{ACTION}\b[^\]]*)"),
     "by {0}: {1}"),
    (re.compile(r"(unattended-upgrades?)\S*: .*[Rr]eboot"), "by {0}"),
    (re.compile(r"systemd-logind\[\d+\]: (Power key pressed|Reboot key pressed|Lid closed)"),
     "{0}"),
    (re.compile(r"systemd\[1\]: (Ctrl-Alt-Del was pressed|Received SIGINT)"),
     "by the keyboard ({0})"),
    (re.compile(r"(qemu-ga|vmtoolsd)\S*: .*(?:shutdown|reboot)"), "by the hypervisor ({0})"),
)  # fmt: skip
SESSION = re.compile(r"systemd-logind\[\d+\]: New session (\S+) of user (\S+?)\.?$")
SESSION_END = re.compile(r"systemd-logind\[\d+\]: Removed session (\S+?)\.?$")
KERNEL = " kernel: "


@dataclass(frozen=True)
class Line:
    """A line of the journal: seconds since the epoch, and the text without the time."""

    time: float
    text: str


@dataclass(frozen=True)
class Run:
    """The last lines of one run of the machine, the newest last; never empty."""

    number: int
    begun: float
    """When the journal's first line of the kernel was written."""
    lines: tuple[Line, ...]

    @property
    def ended(self) -> float:
        """When the journal's last line was written."""
        return self.lines[-1].time

    @property
    def orderly(self) -> Line | None:
        """The line that says that the machine was shut down, ``None`` if it just ends."""
        return next((line for line in self.lines[-TAIL:] if ORDERLY.search(line.text)), None)

    @property
    def who(self) -> str | None:
        """Who or what asked for the shutdown, as far as the journal tells."""
        for line in reversed(self.lines):
            for pattern, sentence in WHO:
                match = pattern.search(line.text)
                if match:
                    return sentence.format(*match.groups())
        users = self._logged_in()
        return f"nobody is recorded to have asked for it; logged in: {users}" if users else None

    def _logged_in(self) -> str:
        sessions: dict[str, str] = {}
        for line in self.lines:
            if match := SESSION.search(line.text):
                sessions[match[1]] = match[2]
            elif (match := SESSION_END.search(line.text)) and not ORDERLY.search(line.text):
                sessions.pop(match[1], None)
        return ", ".join(sorted(set(sessions.values())))


def last_run(host: Host) -> Run | None:
    """Return the run before this one, capture boots left out; ``None`` if there is no record."""
    for number in range(1, BOOTS + 1):
        kernel = _read(host, number, "-k")
        if not kernel:
            return None
        if any(CAPTURE.search(line.text) for line in kernel[:LINES]):
            continue
        lines = _read(host, number, "-n", str(LINES))
        return Run(-number, kernel[0].time, lines) if lines else None
    return None


def _read(host: Host, number: int, *options: str) -> tuple[Line, ...]:
    """Lines of an earlier boot; empty if there is no record of it."""
    ran = host.probe.run((*_journalctl(number), *options, "-o", "short-unix"), timeout=60)
    return _lines(ran.out) if ran is not None and not ran.code else ()


def this_run(host: Host) -> list[str]:
    """Return the running kernel's own log, which may tell of the reset before it."""
    ran = host.probe.run((*_journalctl(0), "-k", "-o", "cat"), timeout=60)
    if ran is None or ran.code or not ran.out.strip():
        ran = host.probe.run(("dmesg",), timeout=60)
    return ran.out.splitlines() if ran is not None and not ran.code else []


def _journalctl(number: int) -> tuple[str, ...]:
    return ("journalctl", "--no-pager", "-q", "-b", str(-number))


def _lines(text: str) -> tuple[Line, ...]:
    found = []
    for row in text.splitlines():
        time, _, rest = row.partition(" ")
        if re.fullmatch(r"\d+\.\d+", time):
            found.append(Line(float(time), rest))
        elif found:
            # A message of several lines goes on.
            found.append(Line(found[-1].time, rest))
    return tuple(found)
