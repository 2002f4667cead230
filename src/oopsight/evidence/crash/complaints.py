"""What the kernel had complained of before the crash, and lived on: warnings with a module's calls.

Who was warned of a pointer, a number or a state that is not right may well have left that behind
of which the machine then died.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name

_COMPLAINTS = (Kind.WARNING, Kind.BUG, Kind.REFCOUNT, Kind.LOCK_MISUSE)
_MOST = 16


@dataclass(frozen=True)
class Complaint:
    """A report of the kernel's, and the module's function that it came from."""

    line: LogPointer
    title: str
    module: str
    functions: tuple[str, ...]
    """Of that module, on the way to the check; the innermost first."""


@dataclass(frozen=True)
class Complaints:
    """Those before the crash, the last one first."""

    found: tuple[Complaint, ...]

    def of(self, module: str | None) -> Complaint | None:
        """The last one that a module's code led to."""
        return next((one for one in self.found if one.module == module), None)


def collect(log: Log, symptom: Symptom, modules: Modules) -> Complaints | Missing:
    """Look through the reports that precede the decisive one."""
    end = symptom.report.first_line if symptom.report is not None else len(log.lines)
    foreign = {module.name for module in modules.loaded if module.taints}
    found = []
    for report in log.crashes[:_MOST]:
        if report.kind not in _COMPLAINTS or report.first_line >= min(end, len(log.lines)):
            continue
        frames = [frame for frame in report.trace if frame.reliable and frame.module in foreign]
        names = (base_name(f.function) for f in frames if f.module == frames[0].module)
        if frames:
            line = log.lines[report.first_line]
            found.append(
                Complaint(line, report.title, str(frames[0].module), tuple(dict.fromkeys(names)))
            )
    if not found:
        return Missing(Why.NOT_APPLICABLE, "the kernel had complained of no module's call before")
    return Complaints(tuple(reversed(found)))
