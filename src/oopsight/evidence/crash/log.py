"""The kernel log of the dump, and the crash reports in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.pointers import LogPointer
from oopsight.kernel.printk_ring import KernelLog, LogRecord, read_log
from oopsight.oops import CrashReport, parse
from oopsight.session import Session, dump_memory
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn.helpers.linux.printk import PrintkRecord

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
    unchecked: tuple[str, ...] = ()
    """What of it could not be read."""

    def find(self, *needles: str) -> LogPointer | None:
        """First line that contains one of the strings."""
        return next((line for line in self.lines if any(n in line.text for n in needles)), None)


def kernel_log(session: Session) -> KernelLog:
    """Read printk's records.

    :raises SymbolError: if the ring buffer's head is not in the dump
    :raises drgn.FaultError: if some of the buffer of a kernel before 5.10 is not
    """
    if session.info.vmcoreinfo.symbol("prb") is not None:
        memory = dump_memory(session.prog, session.info)
        return read_log(memory.read, memory.vmcoreinfo)
    from drgn.helpers.linux.printk import get_printk_records

    records = get_printk_records(session.prog)
    return KernelLog(tuple(_older(record) for record in records), lost=0)


def _older(record: PrintkRecord) -> LogRecord:
    """A record of a kernel before 5.10, as drgn reads it."""
    tid, cpu = record.caller_tid, record.caller_cpu
    return LogRecord(
        nanoseconds=record.timestamp,
        text=record.text,
        level=record.level,
        facility=record.facility,
        caller=f"T{tid}" if tid is not None else f"C{cpu}" if cpu is not None else "",
        context={key.decode("ascii", "replace"): v for key, v in record.context.items()},
    )


def collect(session: Session) -> Log | Missing:
    """Read printk's records."""
    log = kernel_log(session)
    rows = [(record, line) for record in log.records for line in record.text.split(b"\n")]
    lines = tuple(
        LogPointer(round(record.nanoseconds / 1e9, 6), printable(line)) for record, line in rows
    )
    if not lines:
        return Missing(Why.UNREADABLE, "the log buffer is empty, or none of it is in the dump")
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
        unchecked=(f"{log.lost} of its records are not in the dump",) if log.lost else (),
    )
