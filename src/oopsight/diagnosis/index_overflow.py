"""Findings of the rule for overflows: an element behind a table's end, a byte before an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import fault_step, flow_culprits, flow_steps, innocent, merge, where
from oopsight.evidence import Missing
from oopsight.evidence.corruption.beyond_table import BeyondTable
from oopsight.evidence.corruption.byte_before import ByteBefore
from oopsight.evidence.corruption.neighbour_stores import NeighbourStore, NeighbourStores
from oopsight.evidence.corruption.small_allocations import SmallAllocations
from oopsight.evidence.corruption.terminators import Terminators
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.corruption.told_sizes import ToldSizes
from oopsight.evidence.corruption.writers import Writer
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.text import printable

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


def out_of_a_table(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    beyond: BeyondTable,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """The index led out of a table on the heap; who replaced the table may have left it so."""
    steps = [fault_step(fault), *flow_steps(flow, 1), table_step(beyond)]
    culprits = changers_first(flow_culprits(flow, backtrace, what="the index"), beyond)
    user = where(fault.function, fault.module)
    return _finding(
        steps,
        culprits,
        modules,
        title=f"index out of a table on the heap in {fault.function}",
        summary=f"{user} stored by an index that leads out of its table, {beyond.table.detail}.",
        advice=(
            "Compare the index with the number of elements before it is used, and set it anew "
            "where the table is replaced.",
        ),
        refines=refines,
    )


def by_the_kernel(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    one: ToldSizes,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """What the kernel was told of as a text or a number goes on over the pointer."""
    told = one.told
    steps = [fault_step(fault), *(flow_steps(flow, 1) if isinstance(flow, DataFlow) else ())]
    text = f"{told.what} is to have {told.size} bytes at {told.data}: the pointer lies in them"
    steps.append(Step(text, (one.memory,)))
    why = f"told the kernel that {told.what} has {told.size} bytes"
    found = [Culprit(one.module, name, None, None, why) for name in one.functions]
    users = flow_culprits(flow, backtrace, what="the overwritten pointer")
    mine = [culprit for culprit in users if culprit.module == one.module]
    culprits = merge(found or [Culprit(one.module, None, None, None, why)], mine)
    return _finding(
        steps,
        culprits,
        modules,
        title=f"{told.what} is larger than what it stands for",
        summary=f"The kernel was told that {told.what} has {told.size} bytes, and has a pointer "
        f"written over with them; {where(fault.function, fault.module)} then followed that.",
        advice=(f"Give {told.what} the size, or the type, of the field that it stands for.",),
        refines=(*refines, "null_dereference"),
        sure=True,
    )


def by_a_text(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    text: TextWriters,
    run: BytesPointer,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """A text in a module's data goes on over a pointer behind it."""
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    before = printable(bytes.fromhex(run.bytes))
    steps.append(Step(f"a text begins at {run.address} and goes on over it: {before!r}", (run,)))
    why = "copies memory in the module in whose data the text goes on over the pointer"
    found = [Culprit(text.module.name, name, None, None, why) for name in text.functions]
    user = where(fault.function, fault.module)
    return _finding(
        steps,
        merge(found, flow_culprits(flow, backtrace, what="the overwritten pointer")),
        modules,
        title=f"overflow of a text in the data of {text.module.name}",
        summary=f"A text was written past its end in the data of {text.module.name}, over the "
        f"pointer behind it; {user} then followed that.",
        advice=("Check every length that is written to the module's variables.",),
        refines=refines,
        sure=True,
    )


def by_a_small_allocation(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    small: SmallAllocations,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """Who makes such objects uses more of them than is allocated."""
    steps = [fault_step(fault), *(flow_steps(flow) if isinstance(flow, DataFlow) else ())]
    found: list[Culprit] = []
    for one in small.found:
        why = f"allocates {one.allocated} bytes and uses {one.used} of them"
        if one.user is not None:
            why = f"reckons with {one.allocated} bytes for each element, and {one.user} with"
            why += f" {one.used}"
        steps.append(Step(f"{one.function} {why}: the rest is the next object's", (small.module,)))
        made = f"makes the cache that {one.function} uses {one.used} bytes of each object of"
        found += [Culprit(small.module.name, name, None, None, made) for name in one.by]
        found.append(Culprit(small.module.name, one.function, None, None, why))
    users = flow_culprits(flow, backtrace, what="the overwritten pointer")
    mine = [culprit for culprit in users if culprit.module == small.module.name]
    first = small.found[0]
    user = where(fault.function, fault.module)
    claim = f"uses {first.used} bytes of objects of {first.allocated}"
    if first.user is not None:
        claim = f"reckons with {first.allocated} bytes for each element of a table; {first.user}"
        claim += f" uses {first.used}"
    return _finding(
        steps,
        merge(found, mine),
        modules,
        title=f"objects of {small.object.cache} that are too small in {small.module.name}",
        summary=f"{where(first.function, small.module.name)} {claim}, and so what lies behind "
        f"them; {user} then followed a pointer that is none.",
        advice=("Allocate as much as the structure takes that is used: sizeof(*pointer).",),
        refines=refines,
    )


def table_step(beyond: BeyondTable) -> Step:
    """Where the table ends."""
    how = f"{beyond.beyond} bytes behind its end"
    if beyond.beyond < 0:
        how = f"{-beyond.beyond} bytes before its beginning"
    pointer = (beyond.pointer,) if beyond.pointer is not None else ()
    return Step(f"the table is {beyond.table.detail}; the access was {how}", pointer)


def changers_first(culprits: list[Culprit], beyond: BeyondTable | Missing) -> list[Culprit]:
    """Who puts another table there and leaves the index, before who used that.

    Behind them, where nobody compares the index with anything.
    """
    if isinstance(beyond, Missing) or not culprits:
        return culprits
    module = culprits[0].module
    why = "puts another table there, and leaves the index as it was"
    found = [Culprit(module, name, None, None, why) for name in beyond.changers]
    return merge(found, culprits) if beyond.bounded else merge(culprits[:1], found, culprits)


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
    if ends.back is not None:
        text = f"the entry at {ends.back.address - 8:#x}, but for that byte, still leads back to it"
        steps.append(Step(text, (ends.back,)))
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
    sure: bool = False,
) -> Finding:
    """Of a writer that only its code tells of.

    :param sure: whether that something was written over is more than what code can do
    """
    return Finding(
        title=title,
        summary=summary,
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if sure else None,
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
