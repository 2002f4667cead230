"""Findings of the rule for overflows: an element behind a table's end, a byte before an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, flow_culprits, flow_steps, innocent, merge, where
from oopsight.evidence import Missing
from oopsight.evidence.corruption.byte_before import ByteBefore
from oopsight.evidence.corruption.neighbour_stores import NeighbourStore, NeighbourStores
from oopsight.evidence.corruption.terminators import Terminators
from oopsight.evidence.corruption.writers import Writer
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules

_HOW = {
    "one too many": "stores by an index that it lets be as large as {index}",
    "a bit": "sets or clears bits by a number that nothing keeps below {index}",
    "unchecked": "stores by an index that nothing keeps below {index}",
}


def by_an_index(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    beside: NeighbourStores,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """What a store into the object before can reach was written over by that, it may be."""
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    steps.append(
        Step(
            f"the {beside.before.cache} object {beside.before.address} ends before the one with "
            "the pointer begins",
            (beside.memory,),
        )
    )
    for one in beside.stores:
        claim = f"{one.function} {_said(one)}: that is where the pointer lies"
        steps.append(Step(claim, (one.module,)))
    first = beside.stores[0]
    user = where(fault.function, fault.module)
    culprits = _culprits(beside.stores, _said, flow, backtrace)
    return _finding(
        steps,
        culprits,
        modules,
        title=f"heap overflow from an object of {beside.before.cache} into the next one",
        summary=f"{where(first.function, first.module.name)} can have written past the end of the "
        f"object {beside.before.address} into the next one, {beside.object.address}; {user} then "
        "followed a pointer that is none.",
        advice=(
            "Compare the index with the number of elements before it is used; KASAN reports the "
            "next such access where it happens.",
        ),
        refines=(*refines, "bit_flip") if beside.one_bit else refines,
    )


def by_a_terminator(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    ends: Terminators,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """The lowest byte of a pointer that begins an object was written from the one before it."""
    steps = [fault_step(fault), *flow_steps(flow)]
    steps.append(
        Step(
            f"the pointer at the beginning of {ends.object.address} ends in a zero byte, unlike "
            f"those of the objects beside it; before it ends the {ends.before.cache} object "
            f"{ends.before.address}",
            (ends.memory,),
        )
    )
    why = "stores a zero right behind what it has allocated"
    steps.extend(Step(f"{one.function} {why}", (one.module,)) for one in ends.writers)
    first = ends.writers[0]
    culprits = _culprits(ends.writers, lambda _: why, flow, backtrace)
    return _finding(
        steps,
        culprits,
        modules,
        title=f"heap overflow from an object of {ends.before.cache} into the next one",
        summary=f"{where(first.function, first.module.name)} can have written one byte past the "
        f"end of the object {ends.before.address} into the next one, {ends.object.address}; "
        f"{where(fault.function, fault.module)} then followed a pointer that led elsewhere.",
        advice=("Allocate one byte more than the text has: its end counts, too.",),
        refines=(*refines, "null_dereference"),
    )


def _culprits(
    writers: Iterable[Writer | NeighbourStore],
    why: Callable[[Any], str],
    flow: DataFlow,
    backtrace: Backtrace,
) -> list[Culprit]:
    """Who can have written, and those of their modules that followed the pointer."""
    found = [Culprit(one.module.name, one.function, None, None, why(one)) for one in writers]
    modules = {one.module for one in found}
    users = flow_culprits(flow, backtrace, what="the overwritten pointer")
    return merge(found, [one for one in users if one.module in modules])


def _finding(
    steps: list[Step],
    culprits: list[Culprit],
    modules: Modules | Missing,
    *,
    title: str,
    summary: str,
    advice: tuple[str, ...],
    refines: tuple[str, ...],
) -> Finding:
    """Of a writer that only its code tells of."""
    return Finding(
        title=title,
        summary=summary,
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=advice,
        refines=refines,
    )


def _said(one: NeighbourStore) -> str:
    return _HOW[one.how].format(index=one.index)


def by_a_byte(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    before: ByteBefore,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """The highest byte of a pointer at an object's end was written from the object behind it."""
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    steps.append(
        Step(
            f"but for its highest byte, {before.byte:#04x}, the pointer would be right; behind it "
            f"begins the {before.behind.cache} object {before.behind.address}",
            (before.memory,),
        )
    )
    why = "stores a byte at a length less one, and lets that be zero"
    steps.extend(Step(f"{one.function} {why}", (one.module,)) for one in before.writers)
    first = before.writers[0]
    culprits = _culprits(before.writers, lambda _: why, flow, backtrace)
    return _finding(
        steps,
        culprits,
        modules,
        title=f"write before the beginning of an object of {before.behind.cache}",
        summary=f"{where(first.function, first.module.name)} can have written before the beginning "
        f"of the object {before.behind.address}, into the one before it, {before.object.address}; "
        f"{where(fault.function, fault.module)} then followed a pointer that is none.",
        advice=("Look whether the text is empty before its last character is taken off.",),
        refines=refines,
    )
