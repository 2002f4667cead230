"""What ``sys`` shows: the machine, its kernel, when and how long it ran."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.session import Session
from oopsight.text import c_string, printable


@dataclass(frozen=True)
class System:
    """The crashed machine."""

    release: str
    version: str
    machine: str
    node: str
    cpus: int
    uptime: float
    """Seconds since boot."""
    crash_time: int | None
    """Seconds since the epoch."""
    tainted: str
    """Taint flags, ``cat /proc/sys/kernel/tainted`` in letters."""
    dump_format: str
    dump_problems: tuple[str, ...]
    vmlinux: str


def collect(session: Session) -> System:
    """Read ``init_uts_ns`` and ``tk_core``."""
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.panic import tainted
    from drgn.helpers.linux.timekeeping import ktime_get_seconds

    prog = session.prog
    uts = prog["init_uts_ns"].name
    return System(
        release=printable(c_string(uts.release)),
        version=printable(c_string(uts.version)),
        machine=printable(c_string(uts.machine)),
        node=printable(c_string(uts.nodename)),
        cpus=sum(1 for _ in for_each_present_cpu(prog)),
        uptime=float(ktime_get_seconds(prog).value_()),
        crash_time=session.info.vmcoreinfo.crash_time,
        tainted=tainted(prog),
        dump_format=session.info.format,
        dump_problems=session.info.problems,
        vmlinux=str(session.symbols.path),
    )
