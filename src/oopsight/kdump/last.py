"""What brought this machine down last: from the dumps, pstore and the journal, whichever exists.

First, how the run before this one ended according to the journal, or to wtmp where there is none.
A dump or a record in pstore counts if it was made at that end and not before: a crash of last month
is not why the machine rebooted today. A run that was shut down in order ended so, whatever dumps
lie about. A journal that just breaks off is a loss of power, a reset by a watchdog or by hand, or
a crash without record; the hardware may say which.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass

from oopsight.kdump import boots, resets, wtmp
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Root

DUMPS = ("dump.*", "vmcore", "vmcore.*", "vmcore-incomplete")
LOGS = ("dmesg.*", "vmcore-dmesg.txt", "dmesg.txt")
PANIC = re.compile(
    r"Kernel panic - not syncing: .*|BUG: .*|Oops: .*|general protection fault.*"
    r"|watchdog: BUG: soft lockup.*|sysrq: Trigger a crash.*"
)
FATAL = re.compile(r"Kernel panic - not syncing: .*|sysrq: Trigger a crash.*")
LONGEST = 300
# Clocks of kernels and of file systems differ a little.
SLACK = 120.0
# Without any record of the end, a dump from this long before the boot is taken for it.
WINDOW = 6 * 3600.0


class Cause(str, enum.Enum):
    """How the last run of the machine ended."""

    CRASH = "crash"
    RESET = "reset"
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
    """Tell how the run before this one ended."""
    booted = _boot_time(host.root)
    run = boots.last_run(host)
    shut_down = _shutdown_in_wtmp(host, booted) if run is None else None
    since = _earliest(run, shut_down, booted)
    crash = _dump(host, since, booted) or _pstore(host.root, since)
    if crash:
        return crash
    if run is not None:
        return _from_journal(run) or _from_hardware(host, run) or _cut_off(run)
    if shut_down is not None:
        return Ending(
            Cause.ORDERLY, "an orderly shutdown", (f"{wtmp.PATH}: a shutdown",), "last -x"
        )
    return _from_hardware(host, None) or Ending(
        Cause.UNKNOWN,
        "no dump, nothing in pstore, and no record of the end of the boot before",
        (),
        "make the journal persistent (mkdir /var/log/journal) and set up kdump",
    )


def _earliest(run: boots.Run | None, shut_down: int | None, booted: float | None) -> float:
    """When the last run had not ended yet: a record of its end is not older."""
    if run is not None and run.orderly is None:
        # A run may be shorter than the slack, and a dump from before it is of another end.
        return max(run.ended - SLACK, min(run.begun, run.ended))
    if run is not None:
        return run.ended
    if shut_down is not None:
        return float(shut_down)
    return (booted or 0.0) - WINDOW


def dump_times(host: Host) -> list[tuple[float, str]]:
    """Return the dumps in or one folder below the target with their times, the newest last."""
    folder = host.distro.target(host.root).path or "/var/crash"
    found = {
        path
        for pattern in DUMPS
        for depth in ("", "*/")
        for path in host.root.glob(f"{folder}/{depth}{pattern}")
    }
    times = [(time, path) for path in found if (time := host.root.modified(path)) is not None]
    return sorted(times)


def _dump(host: Host, since: float, booted: float | None) -> Ending | None:
    # The capture kernel writes the dump before this boot; what is newer was put there by hand.
    until = float("inf") if booted is None else booted + SLACK
    dumps = [path for time, path in dump_times(host) if since <= time <= until]
    if not dumps:
        return None
    root, dump = host.root, dumps[-1]
    beside = dump.rsplit("/", 1)[0]
    further = f"oopsight analyze {dump}"
    report = root.read(f"{beside}/report.json")
    if report is not None:
        verdict = verdict_of(report)
        if verdict:
            shown = f"less {beside}/report.txt"
            return Ending(Cause.CRASH, verdict, (dump, f"{beside}/report.json"), shown)
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
        title, summary = verdict.get("title"), verdict.get("summary")
        if verdict.get("cause") is None and isinstance(title, str):
            verdict = f"{title} (no rule explains it)"
        else:
            verdict = summary or title
    return clean(verdict) if isinstance(verdict, str) and verdict else None


def _pstore(root: Root, since: float) -> Ending | None:
    # systemd-pstore moves the records to a folder for each boot, keeping their time or not.
    patterns = (
        "/sys/fs/pstore/dmesg-*",
        "/var/lib/systemd/pstore/*/dmesg.txt",
        "/var/lib/systemd/pstore/*/*/dmesg.txt",
        "/var/lib/systemd/pstore/*/dmesg-*",
    )
    found = [(root.modified(path), path) for pattern in patterns for path in root.glob(pattern)]
    for time, path in sorted(((t, p) for t, p in found if t is not None), reverse=True):
        line = _last_words(root.read(path) or "") if time >= since else None
        if line:
            return Ending(Cause.CRASH, f"the kernel crashed: {line}", (path,), f"less {path}")
    return None


def _from_journal(run: boots.Run) -> Ending | None:
    look = f"journalctl -b {run.number} -e"
    orderly = run.orderly
    if orderly is not None:
        by = f" {clean(run.who)}" if run.who else ""
        return Ending(Cause.ORDERLY, f"an orderly shutdown{by}", (clean(orderly.text),), look)
    words = [line for line in run.lines if boots.KERNEL in f" {line.text}"]
    ends = [line for line in words if line.time >= run.ended - boots.END_SECONDS]
    named = [line for line in ends if PANIC.search(line.text)]
    if named:
        first = next((line for line in named if not FATAL.search(line.text)), named[0])
        verdict = f"the kernel crashed: {_last_words(first.text)}"
        return Ending(Cause.CRASH, verdict, (clean(first.text),), look)
    return None


def _from_hardware(host: Host, run: boots.Run | None) -> Ending | None:
    found = resets.find(host.root, boots.this_run(host))
    if not found:
        return None
    records = tuple(clean(reset.record) for reset in found)
    if run is not None:
        records += (f"the journal's last line: {clean(run.lines[-1].text)}",)
    return Ending(Cause.RESET, clean(found[0].why), records, "dmesg | less")


def _cut_off(run: boots.Run) -> Ending:
    earlier = [line for line in run.lines if PANIC.search(line.text)]
    before = f"; some time before: {_last_words(earlier[-1].text)}" if earlier else ""
    return Ending(
        Cause.CUT_OFF,
        "the journal breaks off without a shutdown or a panic: power loss, a watchdog, a reset, "
        f"or a crash that left no record{before}",
        (clean(run.lines[-1].text),),
        "look into the management controller's event log (ipmitool sel list)",
    )


def _shutdown_in_wtmp(host: Host, booted: float | None) -> int | None:
    """When the run before this one was shut down, by wtmp; capture boots left out."""
    runs = wtmp.runs(host.root)
    # The last record is of this boot, unless nothing writes the file any more.
    if booted is None or not runs or abs(runs[-1].booted - booted) > WINDOW:
        return None
    dumped = [time for time, _ in dump_times(host)]
    for run in reversed(runs[:-1]):
        if run.shut_down and any(run.booted - SLACK <= time <= run.shut_down for time in dumped):
            continue
        return run.shut_down
    return None


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
