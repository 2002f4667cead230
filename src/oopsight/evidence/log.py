"""The kernel log of the dump, and the crash reports in it."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.pointers import LogPointer
from oopsight.oops import CrashReport, parse
from oopsight.session import Session
from oopsight.text import printable

MOST_CRASHES = 16


@dataclass(frozen=True)
class Log:
    """The ring buffer's records, oldest first, and what the first crash report in them says."""

    lines: tuple[LogPointer, ...]
    title: str | None
    """The first report's title, ``None`` where the log holds no report."""
    kind: str | None
    """Its symptom, a value of :class:`oopsight.kinds.Kind`."""
    function: str | None
    """The function that the text alone would blame."""
    crashes: tuple[CrashReport, ...] = ()
    """The crash reports in it, the first :data:`MOST_CRASHES`."""
    levels: tuple[int, ...] = ()
    """Of each line, as syslog numbers them: 3 is an error, 6 information."""
    user: tuple[int, ...] = ()
    """Which lines were written by programs, through ``/dev/kmsg``."""

    def find(self, *needles: str) -> LogPointer | None:
        """First line that contains one of the strings."""
        return next((line for line in self.lines if any(n in line.text for n in needles)), None)


def collect(session: Session) -> Log | Missing:
    """Read printk's records."""
    from drgn.helpers.linux.printk import get_printk_records

    records = get_printk_records(session.prog)
    rows = [(record, line) for record in records for line in record.text.split(b"\n")]
    lines = tuple(
        LogPointer(round(record.timestamp / 1e9, 6), printable(line)) for record, line in rows
    )
    if not lines:
        return Missing(Why.UNREADABLE, "the log buffer is empty")
    reports = parse("\n".join(f"[{line.seconds:12.6f}] {line.text}" for line in lines))
    first = reports[0] if reports else None
    return Log(
        lines=lines,
        title=first.title if first else None,
        kind=str(first.kind) if first else None,
        function=first.function if first else None,
        crashes=reports[:MOST_CRASHES],
        levels=tuple(record.level for record, _ in rows),
        user=tuple(index for index, (record, _) in enumerate(rows) if record.facility),
    )
