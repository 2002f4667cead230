"""A reference count was wrong.

Finds
    ``refcount_t`` was taken below zero, up from zero, or beyond its limit; or a file was closed to
    which nobody had a reference any more.

Why it happens
    An object is put once more than it was got, or got when nobody holds it any more.

How it is decided
    ``refcount_warn_saturate()`` reported it. The function on the stack, helpers left out, did the
    last put or get; data flow names the object that holds the count. Where that function was handed
    the object by another of its module, which had read it from memory, that one comes first.
    Of a file that had no reference left when it was closed, the functions of modules that give
    files to processes and put them as well come first, then others that put files.

When it is wrong
    The put on the stack may be the right one, and an earlier one the one too many, or a get may be
    missing; a get from zero may follow a put too many: the verdict is *possible*. So it is where
    only the kernel's own functions are named and modules of others are loaded. Of an underflow
    those come first that give back what a field holds before a helper does so again, then those
    that give back on some ways what a caller hands them and gives back then as well, then those
    whose mappings give back what they hold as they end, and take nothing as they
    are copied by fork(), then those that give back the reference of the variable where the pointer
    was read and leave it there, or leave it on some ways, then those that duplicate what holds the
    pointer, or store it where it was read, without a reference; then one that takes references on
    some ways and gives back on others, then those that give back a reference to what any other
    field may hold, and leave it there always or on some ways; of a get from zero those that make
    such objects and do not set the count as others do, then the first two of an underflow.

Example
    ``refcount_t: underflow; use-after-free.`` from the release of a file whose session was dropped.

Look next
    ``struct`` of the object; all puts of it.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
    owners_first,
    where,
)
from oopsight.diagnosis.doers import (
    copiers,
    helpers_that_give_back,
    makers_that_omit,
    mappers,
    putters,
    putters_of_others,
    sharers,
    who_gives_back_before,
    who_miscounts,
    who_takes_and_gives_back,
)
from oopsight.diagnosis.file_count import file_count_finding
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.file_givers import FileGivers
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name, why_plumbing

_CHECKS = ("refcount_warn_saturate", "refcount_error_report")
# lib/refcount.c
_REPORTS = {
    "underflow; use-after-free": "was put more often than it was got",
    "addition on 0; use-after-free": "was got although nobody held it any more",
    "decrement hit 0; leaking memory": "fell to zero where it must not",
    "saturated; leaking memory": "was got too often and has reached its limit",
}

_TOO_FEW = ("underflow", "decrement hit 0")
"""Of a count that was given back more often than it was taken."""


def _reported(symptom: Symptom, why: str) -> list[Culprit]:
    """Whom the report in the log names, where the kernel lived on and died of something else."""
    frames = symptom.report.trace if symptom.report else ()
    found = [
        Culprit(frame.module, base_name(frame.function), None, None, why)
        for frame in frames
        if frame.reliable and why_plumbing(frame.function, None, frame.module) is None
    ]
    return found[:3]


def _handed_over(flow: DataFlow, counting: list[Culprit]) -> list[Culprit]:
    """Who had the object, where the function that counted is its module's own for that.

    It puts or gets whatever it is handed, once a call: which calls there are is its callers' doing.
    """
    way = flow.first
    serves = counting[0] if counting else None
    if serves is None or way.ended not in ("loaded", "returned") or not way.passed_by:
        return []
    function = base_name(way.function)
    if serves.module is None or way.module != serves.module or function == serves.function:
        return []
    why = f"had the object, and handed it to {serves.function}()"
    return [Culprit(way.module, function, way.end.source if way.end else None, None, why)]


def _certainty(text: str, named: list[Culprit], modules: Modules | Missing) -> Certainty:
    """How sure whoever is named is to blame.

    A put too many may be the one reported, one before it, or a get that nobody made. A get when the
    count is zero comes too late, or after a put too many. The kernel's
    own functions put what they got; where only they are named and other modules are loaded, one of
    these will have put it before.
    """
    if not text.startswith("saturated"):
        return Certainty.POSSIBLE
    foreign = isinstance(modules, Missing) or any(module.taints for module in modules.loaded)
    own = any(culprit.module for culprit in named)
    return Certainty.POSSIBLE if foreign and not own else Certainty.SHOWN


def refcount_error(
    symptom: Symptom,
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    log: Log | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    givers: FileGivers | Missing,
) -> Finding | Clear:
    """Decide whether a reference count is wrong."""
    if isinstance(givers, FileGivers):
        return file_count_finding(symptom, givers, modules)
    path = backtrace.crash_path if isinstance(backtrace, Backtrace) else ()
    here = any(frame.function in _CHECKS for frame in path[:4])
    if symptom.kind is not Kind.REFCOUNT and not here:
        return Clear("refcount_t reported nothing")
    line = log.find("refcount_t: ") if isinstance(log, Log) else None
    text = line.text.partition("refcount_t: ")[2].rstrip(".") if line else "its check failed"
    meaning = _REPORTS.get(text, f"was wrong: {text}")
    because: list[Pointer] = [one for one in (symptom.headline, line) if one is not None]
    if isinstance(fault, Fault) and here:
        because.append(fault.frame)
    steps = [Step(f"the kernel reported: refcount_t {text}", tuple(because))]
    last = "did the put or get that was reported"
    culprits: list[Culprit] = []
    thing = ""
    if here and isinstance(backtrace, Backtrace):
        culprits = frame_culprits(backtrace, last)
        first = next(iter(backtrace.blamable), None)
        if first is not None:
            steps.append(Step(f"{where(first.function, first.module)} {last}", (first.pointer,)))
        if isinstance(flow, DataFlow) and flow.subject == "argument":
            steps.extend(flow_steps(flow, 1))
            culprits = merge(
                _handed_over(flow, culprits),
                culprits,
                flow_culprits(flow, backtrace, what="the object"),
            )
            if flow.bad is not None and flow.bad.slab is not None:
                thing = f" of the {flow.bad.slab.cache} object {flow.bad.slab.address}"
    else:
        culprits = _reported(symptom, last)
    named = culprits
    did = blamed_first([one for one in culprits if one.why == last] or culprits, "somebody")
    on_stack = {base_name(frame.function) for frame in path}
    before, sharing, others = _by_code(text if here else "", flow, doers, on_stack)
    culprits = merge(before, sharing, others, culprits)
    culprits = owners_first(culprits, flow, modules)
    blamed = blamed_first(culprits, "somebody")
    missed = "" if before or not sharing else f" {blamed} may have taken no reference."
    return Finding(
        title=f"reference count error in {blamed}",
        summary=f"A reference count{thing} {meaning}; {did} {last}.{missed}",
        certainty=_certainty(text, named, modules),
        cause_certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Match each get with one put. The count may have been wrong before: look at all paths "
            "that put the object.",
        ),
    )


def _by_code(
    text: str, flow: DataFlow | Missing, doers: Doers | Missing, on_stack: set[str]
) -> tuple[list[Culprit], list[Culprit], list[Culprit]]:
    """Who can have made the count wrong, by the code of the module.

    :param text: of the kernel's report; empty where the machine lived on after it
    :return: who gives back too much; who takes nothing, or has it taken; and others
    """
    before = merge(
        who_miscounts(doers), who_gives_back_before(doers), helpers_that_give_back(doers)
    )
    if text.startswith("addition on 0"):
        return [], [], merge(makers_that_omit(doers), before)
    if not text.startswith(_TOO_FEW):
        return [], [], []
    sharing = sharers(doers)
    kept = flow.first.held_in if isinstance(flow, DataFlow) else None
    if kept is not None and kept.slab is not None:
        sharing = merge(copiers(doers, kept.slab), sharing)
    # Whoever ends an object with the field may leave the pointer in that; a variable stays.
    if kept is not None:
        before = merge(before, putters(doers, at_times=kept.slab is not None))
    others = merge(who_takes_and_gives_back(doers, on_stack), putters_of_others(doers, on_stack))
    return before, merge(mappers(doers), sharing), others
