"""A warning that panics.

Finds
    A WARN() whose report brought the machine down because ``panic_on_warn`` is set.

Why it happens
    Code met a state that should not be. Without the setting the machine would have gone on.

How it is decided
    The first report is a warning, or one that followed it, and the panic was called for it. Where
    the check is in the kernel's own code, the innermost function of a module that called it is
    suspect; a module whose init or exit function left no frame, as it ended in a jump, is found by
    its state. If the kernel was called with a number or a name, that call is what is wrong. If it
    was handed an object, whoever set such objects up may be to blame: of a device without a release
    function, or a timer that was not initialised, these come first. Of handlers that had returned,
    the warning itself may name the one that it is about. Of a call that gives back what a field
    tells, whoever does so as well and leaves field and object as they were comes first. Of objects
    that were left in a slab cache as it was destroyed, those come first that can have lost them, by
    the module's code. Of a disk's request that the kernel met alone, a driver's handler comes first
    that can end one and answer that it has not taken it.

When it is wrong
    What the kernel complains of may be an object's state, or what else the caller was in, or what a
    module's exit function finds of the work of others; then who is to blame is *possible* only. As
    with a BUG(), the state that a module's own check found may have been brought about by somebody
    who is not on the stack: other functions of the module that write to what was compared come
    first, and who is to blame is *possible*, too.

Example
    ``remove_proc_entry()`` warns of a name that ``gwcon_exit()`` never created.

Look next
    The lines of the log before the warning; ``p panic_on_warn``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.blame import merge
from oopsight.diagnosis.handed_back import who_hands_back
from oopsight.diagnosis.lost_track import with_losers
from oopsight.diagnosis.places import (
    called_before,
    culprits,
    set_up_by,
    state_culprits,
    state_step,
    suspects,
    switched_by,
    title_of,
    wrote_state,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.bug_site import BugSite, where
from oopsight.evidence.crash.called_before import CalledBefore
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.exhaustion.left_objects import LeftObjects
from oopsight.evidence.modules.module_transition import ModuleTransition
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.uneven_switches import UnevenSwitches
from oopsight.evidence.modules.warned_object import WarnedObject
from oopsight.evidence.pointers import LogPointer, Pointer
from oopsight.evidence.use_after_free.handed_back import HandedBack
from oopsight.kinds import Kind

_KINDS = (Kind.WARNING, Kind.REFCOUNT)
# As "%pS" prints a pointer to a function: "timer: expire+0x0/0x100 [drv] preempt leak: …".
_NAMED = re.compile(r"\b(?P<function>\w+)(?:\.[\w.]+)?\+0x0/0x[0-9a-f]+ \[(?P<module>\w+)")
_ON_WARNING = ("check_panic_on_warn", "__warn")


def warning(  # each is a fact
    symptom: Symptom,
    backtrace: Backtrace,
    log: Log | Missing,
    site: BugSite | Missing,
    transition: ModuleTransition | Missing,
    writers: StateWriters | Missing,
    prints: Prints | Missing,
    warned: WarnedObject | Missing,
    left: LeftObjects | Missing,
    switches: UnevenSwitches | Missing,
    handed: HandedBack | Missing,
    called: CalledBefore | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a warning brought the machine down, and whose it is."""
    first, symptom = symptom, _warned(symptom, log, backtrace)
    if symptom.kind not in _KINDS:
        return Clear(f"the first report is no warning, but {symptom.kind}")
    panic = log.find("panic_on_warn set") if isinstance(log, Log) else None
    if panic is None:
        return Clear("a warning was printed, but the panic was not for it")
    blamed = suspects(backtrace)
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    checked = backtrace.fault
    place = title_of(checked) if checked is not None else symptom.title
    at = (*headline, *((checked.pointer,) if checked is not None else ()))
    steps = [Step(f"WARN() in {place}{where(site)}", at)] if at else []
    if first is not symptom and first.headline is not None:
        steps.append(Step(f"reported before: {first.headline.text}", (first.headline,)))
    before = _before(log, symptom)
    if before is not None:
        steps.append(Step(f"printed just before: {before.text}", (before,)))
    found = _who(backtrace, blamed, transition, _handler(before), writers, prints, warned)
    if found is None:
        return Undecided("no function on the crash path can be to blame")
    told, who, sure = _handing_back(found, handed, at)
    if who and who[0].module is None and checked is not None:
        more, who = called_before(called, who, (checked.pointer,))
        told, sure = [*told, *more], sure and not more
    if isinstance(switches, UnevenSwitches):
        who, sure = switched_by(switches, who), False
    steps += told
    kind = None
    if isinstance(left, LeftObjects):
        # Who destroys a cache has mostly not lost what is in it.
        steps.append(Step(f"objects were left in cache {left.cache}", (left.line,)))
        losing, who = with_losers(who, left.losers)
        steps += losing
        sure, kind = False, symptom.kind
    steps.append(Step("panic_on_warn is set: the warning became a panic", (panic,)))
    return Finding(
        title=f"warning in {place}, with panic_on_warn",
        kind=kind,
        summary=f"{place} warned{where(site)}; the machine panics on warnings.",
        certainty=Certainty.INFERRED if sure else Certainty.POSSIBLE,
        cause_certainty=None if sure else Certainty.INFERRED,
        depth=Depth.SYMPTOM,
        chain=tuple(steps),
        culprits=who,
        advice=("Mend what the warning complains of; panic_on_warn is meant for testing.",),
    )


_Who = tuple[Sequence[Step], tuple[Culprit, ...], bool]
"""What more there is to tell, who is to blame, and whether that is sure."""


def _who(
    backtrace: Backtrace,
    blamed: tuple[Frame, ...],
    transition: ModuleTransition | Missing,
    handler: Culprit | None,
    writers: StateWriters | Missing,
    prints: Prints | Missing,
    warned: WarnedObject | Missing,
) -> _Who | None:
    if not any(frame.module for frame in blamed):
        if isinstance(transition, ModuleTransition):
            return _in_transition(transition)
        if handler is not None:
            return [], (handler,), True
    if not blamed:
        return None
    who = culprits(blamed, "its call, or its check, raised the warning")
    checked, steps = backtrace.fault, []
    told = warned.told if isinstance(warned, WarnedObject) else None
    if checked is None or blamed[0].index != checked.index:
        given = f", with {told}" if told is not None else ""
        steps.append(Step(f"called for {title_of(blamed[0])}{given}", (blamed[0].pointer,)))
    if checked is None or blamed[0].module is None:
        return steps, who, True
    if checked.module is None:
        again = isinstance(warned, WarnedObject) and warned.given_back
        return steps, set_up_by(warned, who), told is not None and not again
    # A module's own check tells that the state is wrong, not who brought it about.
    state = wrote_state(writers, blamed)
    if state is None:
        return steps, who, False
    return [*steps, state_step(state)], state_culprits(state, who, prints), False


def _handing_back(found: _Who, handed: HandedBack | Missing, at: tuple[Pointer, ...]) -> _Who:
    """With the driver's handler first that gives up a request and leaves it to the kernel."""
    drivers = who_hands_back(handed)
    if not drivers:
        return found
    return (*found[0], Step(drivers[0].why, at)), tuple(merge(drivers, found[1])), False


def _in_transition(transition: ModuleTransition) -> _Who:
    """A module's init or exit function, which called the kernel as its last act."""
    step = Step(
        f"module {transition.module} was in its {transition.phase} function", (transition.state,)
    )
    why = f"part of the module's {transition.phase}; it ends in a jump and leaves no frame"
    named = [Culprit(transition.module, name, None, None, why) for name in transition.functions]
    unnamed = Culprit(transition.module, None, None, None, "it was in its exit function")
    # What it undoes, or finds there already, others of its functions may have done.
    return [step], tuple(named) or (unnamed,), False


def _handler(text: LogPointer | None) -> Culprit | None:
    """The module's function that the warning names: it was called, and had returned by then."""
    match = _NAMED.search(text.text) if text is not None else None
    if match is None:
        return None
    return Culprit(match["module"], match["function"], None, None, "the warning names it")


def _warned(first: Symptom, log: Log | Missing, backtrace: Backtrace) -> Symptom:
    """The warning that the machine panicked on, where something else was reported before it."""
    warned = any(frame.function in _ON_WARNING for frame in backtrace.frames)
    if first.kind in _KINDS or not warned or not isinstance(log, Log):
        return first
    report = next((one for one in log.crashes[1:] if one.kind in _KINDS), None)
    if report is None:
        return first
    at = report.first_line
    headline = log.lines[at] if at < len(log.lines) else None
    return Symptom(report.kind, report.title, "log", headline, report)


def _before(log: Log | Missing, symptom: Symptom) -> LogPointer | None:
    """The line before the report, which often says what is wrong, printed in the same instant."""
    if isinstance(log, Missing) or symptom.headline is None or symptom.headline not in log.lines:
        return None
    index = log.lines.index(symptom.headline)
    line = log.lines[index - 1] if index else None
    if line is not None and line.text.startswith("------------"):
        line = log.lines[index - 2] if index > 1 else None
    if line is None or symptom.headline.seconds - line.seconds > 0.01 or not line.text.strip():
        return None
    return line
