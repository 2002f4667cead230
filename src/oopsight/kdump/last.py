"""What brought this machine down last: from the dumps, pstore and the journal, whichever exists.

Order of trust: a dump (or its log) written after the last boot began tells most; then pstore, the
kernel's last words kept by firmware; then how the journal of the boot before ends. Its end is
orderly if systemd said that it shut down; otherwise the power or a watchdog cut it, and no record
can tell which.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass

from oopsight.kdump.checks import Host
from oopsight.kdump.host import Root

DUMPS = ("dump.*", "vmcore", "vmcore.*", "vmcore-incomplete")
LOGS = ("dmesg.*", "vmcore-dmesg.txt", "dmesg.txt")
PANIC = re.compile(
    r"Kernel panic - not syncing: .*|BUG: .*|Oops: .*|general protection fault.*"
    r"|watchdog: BUG: soft lockup.*|sysrq: Trigger a crash.*"
)
ORDERLY = re.compile(
    r"(?:Reached target .*(?:Reboot|Power[- ]Off|Halt|Shutdown)"
    r"|Shutting down\.|(?:reboot|poweroff|halt)\.target|System is (?:rebooting|powering down))"
)
WHO = re.compile(r"sudo\[\d+\]:\s+(\S+) : .*COMMAND=(\S*(?:reboot|shutdown|poweroff|halt)\S*.*)")
LONGEST = 300


class Cause(str, enum.Enum):
    """How the last run of the machine ended."""

    CRASH = "crash"
    ORDERLY = "orderly"
    CUT_OFF = "cut-off"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Ending:
    """The cause, a sentence, the records that show it, and the command to look further."""

    cause: Cause
    verdict: str
    because: tuple[str, ...] = ()
    next_step: str = ""


def find(host: Host) -> Ending:
    """Tell how the boot before this one ended."""
    booted = _boot_time(host.root)
    journal = _journal(host)
    crash = _dump(host, booted) or _pstore(host.root)
    if crash:
        return crash
    return _from_journal(journal)


def newest_dump(root: Root, folder: str) -> str | None:
    """Return the newest dump in or one folder below a target, ``None`` if there is none."""
    found = [
        path
        for pattern in DUMPS
        for depth in ("", "*/")
        for path in root.glob(f"{folder}/{depth}{pattern}")
    ]
    times = [(time, path) for path in found if (time := root.modified(path)) is not None]
    return max(times)[1] if times else None


def _dump(host: Host, booted: float | None) -> Ending | None:
    root = host.root
    folder = host.distro.target(root).path or "/var/crash"
    dump = newest_dump(root, folder)
    if dump is None:
        return None
    written = root.modified(dump) or 0.0
    # The capture kernel writes the dump just before this boot; an older one is another story.
    if booted is not None and not booted - 86400 <= written <= booted + 60:
        return None
    beside = dump.rsplit("/", 1)[0]
    further = f"oopsight analyze {dump}"
    report = root.read(f"{beside}/report.json")
    if report is not None:
        verdict = verdict_of(report)
        if verdict:
            return Ending(Cause.CRASH, verdict, (dump, f"{beside}/report.json"), further)
    for pattern in LOGS:
        for log in root.glob(f"{beside}/{pattern}"):
            line = _last_words(root.read(log) or "")
            if line:
                return Ending(Cause.CRASH, f"the kernel crashed: {line}", (dump, log), further)
    return Ending(Cause.CRASH, "the kernel crashed and left a dump", (dump,), further)


def verdict_of(report: str) -> str | None:
    """Return the verdict of a JSON report in one line; ``None`` if it has none."""
    try:
        verdict = json.loads(report).get("verdict")
    except (ValueError, AttributeError):
        return None
    if isinstance(verdict, dict):
        verdict = verdict.get("text") or verdict.get("summary") or verdict.get("title")
    return clean(verdict) if isinstance(verdict, str) and verdict else None


def _pstore(root: Root) -> Ending | None:
    patterns = ("/sys/fs/pstore/dmesg-*", "/var/lib/systemd/pstore/*/dmesg.txt")
    for path in (path for pattern in patterns for path in reversed(root.glob(pattern))):
        line = _last_words(root.read(path) or "")
        if line:
            return Ending(Cause.CRASH, f"the kernel crashed: {line}", (path,), f"less {path}")
    return None


def _from_journal(journal: list[str] | None) -> Ending:
    if not journal:
        return Ending(
            Cause.UNKNOWN,
            "no dump, nothing in pstore, and no journal of the boot before",
            (),
            "make the journal persistent (mkdir /var/log/journal) and set up kdump",
        )
    look = "journalctl -b -1 -e"
    for line in reversed(journal):
        if PANIC.search(line):
            return Ending(
                Cause.CRASH, f"the kernel crashed: {_last_words(line)}", (clean(line),), look
            )
    tail = [line for line in journal[-200:] if ORDERLY.search(line)]
    if tail:
        who = [match for line in journal if (match := WHO.search(line))]
        by = f" by {clean(who[-1][1])}: {clean(who[-1][2])}" if who else ""
        return Ending(Cause.ORDERLY, f"an orderly shutdown{by}", (clean(tail[-1]),), look)
    return Ending(
        Cause.CUT_OFF,
        "the journal breaks off without a shutdown or a panic: power loss, a watchdog, a reset, "
        "or a crash that left no record",
        (clean(journal[-1]),),
        "look into the management controller's event log (ipmitool sel list)",
    )


def _journal(host: Host) -> list[str] | None:
    ran = host.probe.run(("journalctl", "-b", "-1", "-n", "2000", "--no-pager"), timeout=60)
    return ran.out.splitlines() if ran is not None and ran.code == 0 else None


def _boot_time(root: Root) -> float | None:
    match = re.search(r"^btime (\d+)", root.read("/proc/stat") or "", re.MULTILINE)
    return float(match[1]) if match else None


def _last_words(text: str) -> str | None:
    """The first line that names a crash: what follows it is mostly its consequence."""
    match = PANIC.search(text)
    return clean(match[0]) if match else None


def clean(text: str) -> str:
    """Escape what a terminal would obey; records of a crash are nobody's to trust."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)[:LONGEST].strip()
