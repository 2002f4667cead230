"""What follows from a report of the heap's own checks: for the rules of each mistake."""

from __future__ import annotations

from collections.abc import Sequence

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import blamed_first, innocent, merge, track_step, where
from oopsight.diagnosis.tellers import told
from oopsight.evidence import Missing
from oopsight.evidence.corruption.writer_limits import WriterLimits
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake, blamable
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.plumbing import base_name

_REFINED = (
    "bug_on",
    "warning",
    "panic_called",
    "deliberate_panic",
    "null_dereference",
    "wild_pointer",
    "bad_function_pointer",
    "list_corruption",
    "refcount_error",
    "error_pointer",
    "user_pointer",
    "bad_page_state",
)


def freed_twice(report: MemoryReport, modules: Modules | Missing) -> Finding:
    """An object was freed that was free."""
    second, sure = _callers(
        report.stack, report.by, "freed the object that was free already", jumped=report.jumped
    )
    first, _ = _callers(
        report.freed,
        report.freed_by,
        "freed the object before, after the record",
        jumped=report.freed_jumped,
    )
    if first and second and first[0].module != second[0].module:
        # One of the two had no business with it: whoever did not allocate it.
        made = next((f.module for f in blamable(report.allocated)), None)
        if second[0].module == made:
            first, second = second, first
    culprits = merge(second[:1], first, second)
    # Which of two functions freed it once too often does not follow from the records.
    same = bool(first and second) and _names(first[:1]) == _names(second[:1])
    return _of_one(_finding(report, modules, "double_free", culprits, sure), sure=same)


def freed_wrongly(report: MemoryReport, modules: Modules | Missing) -> Finding:
    """An address was freed at which no object begins."""
    culprits, sure = _callers(
        report.stack, report.by, "freed what is no object", jumped=report.jumped
    )
    return _finding(report, modules, "invalid_free", culprits, sure)


def used_freed(report: MemoryReport, modules: Modules | Missing) -> Finding:
    """An object was accessed, or had been written to, while it was free."""
    caught = report.mistake is Mistake.USE_AFTER_FREE
    freers, sure = _callers(
        report.freed,
        report.freed_by,
        "freed the object while it was still in use, after the record",
        jumped=report.freed_jumped,
    )
    users, _ = _callers(report.stack, None, "used the object after it was freed")
    if not freers or (freers[0].module is None and users and users[0].module):
        return _finding(report, modules, "use_after_free", users if caught else freers, sure=False)
    sure = sure and not (report.mistake is Mistake.WRITTEN_FREE and report.may_be_run_over)
    guilty = freers[0].module
    mine = [one for one in users if one.module == guilty] if caught else []
    finding = _finding(report, modules, "use_after_free", merge(freers, mine), sure)
    # Of a helper and the function that called it, either may have freed too early.
    return _of_one(finding, sure=len(_names(freers)) == 1)


def _names(culprits: Sequence[Culprit]) -> set[tuple[str | None, str | None]]:
    return {(one.module, one.function) for one in culprits}


def _of_one(finding: Finding, *, sure: bool) -> Finding:
    """The finding, only possible in whom it blames where that may be one of several."""
    if sure or finding.certainty is Certainty.POSSIBLE:
        return finding
    return replace(finding, certainty=Certainty.POSSIBLE, cause_certainty=finding.certainty)


def wrote_over(
    report: MemoryReport, modules: Modules | Missing, limits: WriterLimits | Missing
) -> Finding:
    """Somebody accessed what lies beside an object."""
    strange = False
    if report.mistake is Mistake.OUT_OF_BOUNDS:
        found, sure = _callers(report.stack, None, "went past the end of the object")
        strange = _allocated_by_others(report, found)
    else:
        sure = report.only_writer
        why = "can have written past the end of the object, which its module allocated"
        if sure:
            why = f"the only function of {report.owner} that writes to memory at length; it owns it"
        found = [Culprit(report.owner, name, None, None, why) for name in report.writers]
    one = report.subject
    written = 1
    if one is not None and report.start is not None and report.length is not None:
        written = max(report.start + report.length - one.end, 1)
    sized = (report.cache or "").startswith("kmalloc")
    first = next(iter(found), None)
    makers = _made_by_another(report, first)
    before, after, by_others = told(
        first, limits, written, sized=sized, whole=False, crossed=bool(makers)
    )
    after += makers if _by_its_code_alone(first, limits) else []
    if not found:
        found, _ = _callers(report.allocated, None, "allocated the object that was too small")
    found = merge(before, found[:1], after, found)
    finding = _finding(report, modules, "heap_overflow", found, sure and not by_others)
    return _of_one(finding, sure=not strange)


def _by_its_code_alone(writer: Culprit | None, limits: WriterLimits | Missing) -> bool:
    """Whether nothing but numbers in its code tells a writer how far to go."""
    if writer is None or isinstance(limits, Missing) or writer.module != limits.module:
        return False
    limit = limits.of(writer.function or "")
    return limit is not None and limit.constant


def _made_by_another(report: MemoryReport, writer: Culprit | None) -> list[Culprit]:
    """Who had the object allocated, by the record, if that is another function of the module."""
    makers, _ = _callers(report.allocated, None, "allocated the object, which may be too small")
    if writer is None or not makers or makers[0].module != writer.module:
        return []
    return [] if writer.function in {one.function for one in makers} else makers[:1]


def _allocated_by_others(report: MemoryReport, found: Sequence[Culprit]) -> bool:
    """Whether no function of the writer's module had the object allocated, by the record.

    How large it is was then decided elsewhere, by whatever anybody had told.
    """
    makers = {frame.module for frame in report.allocated}
    return bool(found and makers) and found[0].module not in makers


def _callers(
    frames: Sequence[TrackFrame], by: TrackFrame | None, why: str, *, jumped: bool = False
) -> tuple[list[Culprit], bool]:
    """The first who can be to blame and its callers in the same module, and whether that is sure.

    :param by: the function it called, which left no frame
    :param jumped: whether it called one, known or not
    """
    able = blamable(frames)
    if not able:
        return [], False
    first = able[0]
    own = [one for one in able if one.module == first.module]
    found = [Culprit(one.module, base_name(one.function), None, None, why) for one in own]
    if by is not None:
        called = f"{why}; {first.function} had called it"
        found.insert(0, Culprit(by.module, base_name(by.function), None, None, called))
    return found[:2], first.module is not None and (by is not None or not jumped)


_WORDS = {
    "double_free": ("double free", "freed {thing} although it was free already"),
    "invalid_free": ("invalid free", "freed an address at which no object begins ({thing})"),
    "use_after_free": ("use after free", "freed {thing} while it was still in use"),
    "heap_overflow": ("heap overflow", "went past the end of {thing}"),
}
_ADVICE = {
    "double_free": "Set the pointer to NULL where the object is freed first, and find which of "
    "the two frees is the one too many.",
    "invalid_free": "Keep the address that the allocator returned, and free that.",
    "use_after_free": "Stop timers and work and clear every pointer to the object before it is "
    "freed; count its users.",
    "heap_overflow": "Compare each length that is written to such objects with the size that is "
    "allocated.",
}


def _finding(
    report: MemoryReport,
    modules: Modules | Missing,
    cause: str,
    culprits: list[Culprit],
    sure: bool,
) -> Finding:
    one = report.subject
    thing = f"an object of {report.cache}" if report.cache else "an object of the heap"
    if one is not None:
        thing = f"{one.cache} object {one.address}"
    steps = [Step(f"{report.checker} reported: {report.text.text}", (report.text,))]
    named = next(iter(report.blamable), None)
    lines: tuple[Pointer, ...] = tuple(report.lines[:1]) or (report.text,)
    if named is not None:
        does = (
            "came upon it"
            if report.mistake in (Mistake.OVERWRITTEN, Mistake.WRITTEN_FREE)
            else "did it"
        )
        steps.append(Step(f"{where(named.function, named.module)} {does}", lines))
    if report.because is not None:
        steps.append(
            Step(
                "the red zone of the object before it is overwritten too: it came from there",
                (report.because,),
            )
        )
    steps += _records(report, thing)
    if report.start is not None and report.length is not None and report.byte is not None:
        steps.append(
            Step(
                f"overwritten are {report.length} bytes at {report.start}, the first with "
                f"{report.byte:#x}",
                report.carried,
            )
        )
    title, does = _WORDS[cause]
    blamed = blamed_first(culprits, "somebody")
    can = "" if sure else "perhaps "
    return Finding(
        title=f"{title}: {report.checker} on an object of {report.cache or 'the heap'}",
        summary=f"{can}{blamed} {does.format(thing=thing)}.".capitalize()
        if not culprits
        else f"{blamed} {can}{does.format(thing=thing)}.",
        certainty=Certainty.INFERRED if sure else Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(_ADVICE[cause],),
        refines=_REFINED,
    )


def _records(report: MemoryReport, thing: str) -> list[Step]:
    """Who allocated and freed it, from the records in the dump, else as the report tells."""
    steps = []
    for what, frames in (("allocated", report.allocated), ("freed", report.freed)):
        track = report.subject.track(what) if report.subject is not None else None
        if track is not None:
            steps.append(track_step(track, thing))
        elif frames:
            calls = " <- ".join(where(f.function, f.module) for f in frames[:6])
            steps.append(Step(f"{thing} was {what}: {calls}", report.carried))
    return steps
