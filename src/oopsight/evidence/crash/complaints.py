"""What the kernel had complained of before the crash, and lived on: warnings with a module's calls.

Who was warned of a pointer, a number or a state that is not right may well have left that behind
of which the machine then died.
"""

from __future__ import annotations

from collections.abc import Collection

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.bounds_report import parse
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name

_COMPLAINTS = (Kind.WARNING, Kind.BUG, Kind.REFCOUNT, Kind.LOCK_MISUSE, Kind.UBSAN)
_MOST = 16
_HEAD = 4
"""Lines of a report in which a check of bounds tells what it found."""


@dataclass(frozen=True)
class Complaint:
    """A report of the kernel's, and the module's function that it came from."""

    line: LogPointer
    title: str
    module: str
    functions: tuple[str, ...]
    """Of that module, on the way to the check; the innermost first."""
    bounds: bool = False
    """Whether it was a check of bounds: what it let pass may have been written over something."""


@dataclass(frozen=True)
class Complaints:
    """Those before the crash, the last one first."""

    found: tuple[Complaint, ...]

    def of(self, module: str | None) -> Complaint | None:
        """The last one that a module's code led to."""
        return next((one for one in self.found if one.module == module), None)

    def out_of_bounds(self, modules: Collection[str | None]) -> Complaint | None:
        """The last one of an access out of bounds: of one of some modules, failing that of any."""
        found = [one for one in self.found if one.bounds]
        return next((one for one in found if one.module in modules), next(iter(found), None))


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
            head = log.lines[report.first_line : report.first_line + _HEAD]
            bounds = any(parse(one.text) is not None for one in head)
            functions = tuple(dict.fromkeys(names))
            found.append(
                Complaint(line, report.title, str(frames[0].module), functions, bounds=bounds)
            )
    if not found:
        return Missing(Why.NOT_APPLICABLE, "the kernel had complained of no module's call before")
    return Complaints(tuple(reversed(found)))
