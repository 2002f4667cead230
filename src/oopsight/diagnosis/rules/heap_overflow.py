"""An object was written over from the one before it.

Finds
    The bad pointer lies in an object of the slab allocator whose beginning, up to and over the
    pointer, is the continuation of what was written into the object before it; or code ran past
    the end of an area of vmalloc, or by an index out of an object to where nothing can be accessed.

Why it happens
    A copy is longer than the memory it goes to: a length taken from a user, a string without its
    end, a wrong size in the allocation.

How it is decided
    Data flow leads to the object that the bad pointer was read from, or the list check to the one
    whose list pointer is wrong; where the trace of it is lost, the lists in the data of the modules
    on the crash path are gone along, to the only entry that leads to it. A run of text, or of one
    byte repeated, begins in the object before it, or in the object itself, and goes on without a
    break over the pointer; or numbers do in equal steps; or the bytes on both sides of the border
    are in a module's data as one piece. Whose the first object is tell pointers in it, module
    variables that hold its address, and the allocator's records. Where a pointer is nonsense or
    damaged that tells nothing, it was an element of a table in the object before it, if the code of
    a module that makes such objects stores by an index that may be as large as to lead there; where
    only the highest byte of a pointer at the end of an object is wrong, a byte was stored before
    the next one, if such a module's code stores one at a number less one; where a pointer that
    begins an object ends in zero, as none beside it does, that was the end of a text, if such a
    module's code stores one right behind what it has allocated. An address in the guard page behind
    an area of vmalloc is an overflow by itself; where only numbers in memory told the module's
    function how far to go, the one that had the area made comes first. A store by an index that
    leads far out of a table on the heap is one as well; who replaced the table comes first if it
    left the index as it was.

    What the kernel writes to by itself, a file under ``/proc/sys``, one of debugfs, a module's
    parameter, has a pointer and a size: where the bad pointer lies within that, the kernel was told
    too much, and who told it comes first. Before the writers come functions that use more bytes of
    such objects than they allocate, or fill more of the object before than that has, by numbers in
    their code, and those that reckon with less for each element of a table than its users take; and
    a text in a module's own data is looked at as one in an object is.

    SLUB's report of an overwritten red zone tells whose object was written over from, by its
    record; KFENCE's of an access out of bounds who made that.

When it is wrong
    Binary data that is neither a series of numbers nor a copy of a module's data is only
    *possible*: others of the object's kind hold good pointers there. Text that legitimately fills
    both objects up to their borders would look the same, but would not be a pointer. What runs over
    a pointer within one object is only *possible*: the object may be another's by now. Which
    function wrote is chosen by what the module's functions can do, and one that stores a byte
    behind those before it, by a count without a limit, is asked as well; of several alike, by whose
    calls have left their return addresses on stacks. A caller that allows it more than was written
    comes before it, and so does a function that it asks whether the number fits; so does who
    computes the size of such objects, where the writer goes as far as fields tell. One whose limits
    are numbers in its code may be right, and the object too small: who makes such objects comes
    next, or first if others of the module go as far. All these are *possible*. Where nothing binds
    a module to the object, those that allocate such objects, or whose code has the number that
    fills it, are *possible*; before them goes a driver that the object leads to and that told the
    kernel how large such objects are to be, if it writes without a limit and they do not. Where the
    module whose object it is writes nowhere at length, a driver that does, and that objects of it
    lead to, is *possible*. What a store by an index can reach is *possible* as well. Whether an
    area of vmalloc was too small or an access too long is *possible* as well, if two functions of a
    module did that, or if the kernel allocated it: by a number that another function of the module
    may have told. Those in one table of functions with the first that do nothing but return
    something come next, and before it those that read none of the fields by which it went. So it is
    where KFENCE's record has nobody of the module on the way to the allocation.

Example
    A name of 60 bytes is copied into 24 at the end of a slot; the next slot's timer becomes text.

Look next
    ``rd -a`` across the border; boot with ``slub_debug=FZPU``, or build with KASAN.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
    object_steps,
    track_culprits,
    use_steps,
    where,
)
from oopsight.diagnosis.doers import footprint_step
from oopsight.diagnosis.index_overflow import (
    by_a_byte,
    by_a_small_allocation,
    by_a_terminator,
    by_a_text,
    by_an_index,
    by_the_kernel,
    out_of_a_table,
)
from oopsight.diagnosis.memory_report import wrote_over
from oopsight.diagnosis.tellers import told
from oopsight.evidence import Missing
from oopsight.evidence.corruption.beyond_table import BeyondTable
from oopsight.evidence.corruption.byte_before import ByteBefore
from oopsight.evidence.corruption.neighbour_stores import NeighbourStores
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.corruption.past_area import PastArea
from oopsight.evidence.corruption.small_allocations import SmallAllocations
from oopsight.evidence.corruption.terminators import Terminators
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.corruption.told_sizes import ToldSizes
from oopsight.evidence.corruption.writer_limits import WriterLimits
from oopsight.evidence.corruption.wrong_member import WrongMember
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.object_users import ModuleUse, ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.footprints import Footprint, Footprints
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer

_BESIDE = (Mistake.OUT_OF_BOUNDS, Mistake.OVERWRITTEN)
_REFINED = (
    "wild_pointer",
    "use_after_free",
    "list_corruption",
    "bad_function_pointer",
    "user_pointer",
    "refcount_error",
    "bug_on",
)


def heap_overflow(
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    users: ObjectUsers | Missing,
    report: MemoryReport | Missing,
    modules: Modules | Missing,
    footprints: Footprints | Missing,
    past_area: PastArea | Missing,
    limits: WriterLimits | Missing,
    beside: NeighbourStores | Missing,
    byte: ByteBefore | Missing,
    ends: Terminators | Missing,
    member: WrongMember | Missing,
    beyond: BeyondTable | Missing,
    told_sizes: ToldSizes | Missing,
    text: TextWriters | Missing,
    small: SmallAllocations | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether the object was written over from its neighbour."""
    if isinstance(report, MemoryReport) and report.mistake in _BESIDE:
        return wrote_over(report, modules, limits)
    if isinstance(fault, Missing):
        return absent(fault)
    if isinstance(backtrace, Missing):
        return absent(backtrace)
    if isinstance(told_sizes, ToldSizes):
        return by_the_kernel(fault, backtrace, flow, told_sizes, modules, _REFINED)
    if isinstance(small, SmallAllocations):
        return by_a_small_allocation(fault, backtrace, flow, small, modules, _REFINED)
    if isinstance(users, ObjectUsers) and users.overrun is not None:
        likelier = _one_too_many(users.overrun, beside)
        if likelier is not None and isinstance(flow, DataFlow):
            return by_an_index(fault, backtrace, flow, likelier, modules, _REFINED)
        if users.overrun.within and isinstance(member, WrongMember):
            return Clear(f"{member.function} read it from another place than the pointer has")
        return _slab(fault, backtrace, flow, users, modules, footprints, limits)
    if isinstance(flow, Missing):
        return absent(flow)
    if isinstance(text, TextWriters) and text.run is not None:
        return by_a_text(fault, backtrace, flow, text, text.run, modules, _REFINED)
    if isinstance(beside, NeighbourStores):
        return by_an_index(fault, backtrace, flow, beside, modules, _REFINED)
    if isinstance(byte, ByteBefore):
        return by_a_byte(fault, backtrace, flow, byte, modules, _REFINED)
    if isinstance(ends, Terminators):
        return by_a_terminator(fault, backtrace, flow, ends, modules, _REFINED)
    if isinstance(beyond, BeyondTable) and fault.access == "write" and not beyond.ran_on:
        return out_of_a_table(fault, backtrace, flow, beyond, modules, _REFINED)
    bad = flow.bad
    if isinstance(past_area, PastArea) and past_area.object is not None:
        return _past_the_end(fault, backtrace, flow, modules, past_area)
    if fault.exception == PAGE_FAULT and bad is not None and bad.kind == "vmalloc":
        if not bad.mapped:
            return _past_the_end(fault, backtrace, flow, modules, past_area)
        return Clear(f"{bad.address} is mapped")
    return Clear("the bad pointer's object does not continue what was written before it")


def _one_too_many(overrun: Overrun, beside: NeighbourStores | Missing) -> NeighbourStores | None:
    """Stores by an index with one too many, where the bytes do not tell that they go on."""
    if isinstance(beside, NeighbourStores) and beside.one_too_many and not overrun.sure:
        return beside
    return None


def _size_tellers(users: ObjectUsers) -> tuple[str, ...]:
    """Who told the kernel how large such objects are to be, and is all that is known of them."""
    return next((use.uses for use in users.modules[:1] if use.guessed and not use.writes), ())


def _writers(users: ObjectUsers, footprints: Footprints | Missing) -> list[Culprit]:
    found: list[Culprit] = []
    for use in users.modules:
        writes = _ordered(use, footprints)
        copies = [name for name in writes if name in use.copies_it]
        order = dict.fromkeys((*copies, *writes, *use.uses, *use.lends))
        why = f"copies memory; {use.why}"
        found.extend(
            Culprit(use.module, name, None, None, why if name in use.writes else use.why)
            for name in order
        )
        if not order:
            found.append(Culprit(use.module, None, None, None, use.why))
    return found


def _ordered(use: ModuleUse, footprints: Footprints | Missing) -> list[str]:
    """A module's writers; of those alike by their code, first who is known to have run."""
    ranks = dict(zip(use.writes, use.ranks, strict=False))

    def place(name: str) -> tuple[int, bool]:
        return ranks.get(name, 0), _ran(use.module, name, footprints) is None

    return sorted(use.writes, key=place)


def _ran(
    module: str | None, function: str | None, footprints: Footprints | Missing
) -> Footprint | None:
    """A call that tells of a writer's having run."""
    if isinstance(footprints, Missing) or module != footprints.module or function is None:
        return None
    return footprints.copying(function) or footprints.to(function)


def _slab(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    users: ObjectUsers,
    modules: Modules | Missing,
    footprints: Footprints | Missing,
    limits: WriterLimits | Missing,
) -> Finding | Undecided:
    overrun = users.overrun
    if overrun is None:
        return Undecided("no overwritten object was found")
    before = overrun.before
    writers = _writers(users, footprints)
    sized = before.cache.startswith("kmalloc") and not overrun.within
    tellers, passers, by_others = told(
        next(iter(writers), None),
        limits,
        overrun.elements,
        sized=sized,
        crossed=not overrun.within,
    )
    culprits = merge(
        tellers,
        writers[:1],
        passers,
        writers,
        track_culprits(before.track("allocated"), "allocated the object that was too small"),
    ) or [
        Culprit(reference.module, None, None, None, "its object was written over")
        for reference in users.object.refers[:1]
    ]
    steps = [fault_step(fault), *(flow_steps(flow, 1) if isinstance(flow, DataFlow) else ())]
    steps += _run_steps(users, overrun)
    made = _ran(culprits[0].module, culprits[0].function, footprints) if culprits else None
    steps += [footprint_step(made)] if made is not None else []
    blamed = blamed_first(culprits, "somebody")
    if culprits and culprits[0].function in _size_tellers(users):
        blamed = f"{blamed} may have asked for too little memory: somebody"
    elif not any(use.writes for use in users.modules) and any(u.lends for u in users.modules):
        blamed = f"what {blamed} made, or handed to another module, was too small: somebody"
    user = where(fault.function, fault.module) if fault.address != fault.pc else "the kernel"
    title, past = _past(users.object, overrun)
    blamable = tuple(culprits or flow_culprits(flow, backtrace, what="the overwritten pointer"))
    named = _is_named(users, overrun) and not by_others
    ended = isinstance(flow, DataFlow) and flow.bad is not None and flow.bad.kind == "null"
    doubtful = overrun.within or (overrun.binary and not overrun.sure)
    return Finding(
        title=title,
        summary=f"{blamed} wrote past the end of {past}; {user} then followed a pointer made of "
        f"{overrun.kind.rstrip(',')}.",
        certainty=Certainty.INFERRED if named else Certainty.POSSIBLE,
        cause_certainty=None if doubtful else Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=blamable,
        innocent=innocent(modules, blamable),
        advice=(
            f"Check every length that is written to such objects ({before.size} bytes each); "
            "slub_debug=FZPU catches the next one where it is freed, KASAN where it happens.",
        ),
        refines=(*_REFINED, "null_dereference") if ended else _REFINED,
    )


def _run_steps(users: ObjectUsers, overrun: Overrun) -> list[Step]:
    """What was written, from where to where, and whose the objects are."""
    before, one = overrun.before, users.object
    inside = overrun.start - before.address
    run = (
        f"{overrun.kind} begins at offset {inside:#x} of the {before.cache} object {before.address}"
    )
    beyond = overrun.end - one.address
    over = f"goes on {beyond} bytes into the next object {one.address}, over the pointer"
    if overrun.within:
        over = "goes on over the pointer behind it in the same object"
    carried = (overrun.memory, *((overrun.source,) if overrun.source is not None else ()))
    steps = [Step(f"a run of {run} and {over}: {overrun.text!r}", carried)]
    steps += object_steps(before, "the object it begins in", "allocated")
    if not overrun.within:
        steps += object_steps(one, "the object it runs into", "allocated")
    return [*steps, *use_steps(users, before)]


def _past(one: SlabObject, overrun: Overrun) -> tuple[str, str]:
    """The title, and what was written past the end of."""
    before = overrun.before
    if overrun.within:
        title = f"overflow of an array within an object of {before.cache}"
        return title, f"an array in the object {before.address} into the pointer behind it"
    title = f"heap overflow from an object of {before.cache} into the next one"
    return title, f"the object {before.address} into the next one, {one.address}"


def _is_named(users: ObjectUsers, overrun: Overrun) -> bool:
    """Whether something names the writer; the overflow itself is in the memory for all to see.

    Not within one object: what lies there may be what its owner has there, and the pointer to it
    stale, or no pointer to such an object at all.
    """
    if overrun.within or any(use.guessed or use.lends for use in users.modules):
        return False
    able = [name for use in users.modules for name in use.writes]
    if overrun.binary:
        # Numbers and copies name no writer; the only one that can have written is he.
        copies = [name for use in users.modules for name in use.copies_it]
        return overrun.sure and (len(able) == 1 or len(copies) == 1)
    return len(set(able)) == 1 or (not able and overrun.before.track("allocated") is not None)


def _made_too_small(past: PastArea | Missing) -> list[Culprit]:
    """Who had the area made, if that is another function of a module than went past its end."""
    if isinstance(past, Missing) or past.maker_module is None:
        return []
    if (past.maker, past.maker_module) == (past.runner, past.runner_module):
        return []
    why = "allocated the memory, which may be too small"
    return [Culprit(past.maker_module, past.maker, None, None, why)]


def _made_by_kernel(past: PastArea | Missing) -> bool:
    """Whether the kernel had the area made: as large as anybody may have told it."""
    return isinstance(past, PastArea) and past.maker is not None and past.maker_module is None


def _unaware(past: PastArea | Missing) -> list[Culprit]:
    """Who told how large the area is to be by none of the fields that the runner goes by."""
    if isinstance(past, Missing):
        return []
    why = f"returns a number to the kernel, the size perhaps; {past.runner} goes by other fields"
    return [Culprit(past.runner_module, name, None, None, why) for name in past.unaware]


def _size_told(past: PastArea | Missing) -> list[Culprit]:
    """Who can have told the kernel how large the area is to be."""
    if isinstance(past, Missing):
        return []
    why = f"returns a number to the kernel, from one table with {past.runner}: the size, perhaps"
    return [Culprit(past.runner_module, name, None, None, why) for name in past.tellers]


def _behind(fault: Fault, flow: DataFlow, one: SlabObject | None) -> tuple[str, str, Step]:
    """The kind of memory that an access was behind, the memory itself, and what shows it."""
    bad = flow.bad
    because: list[Pointer] = [fault.frame]
    if fault.unmapped is not None:
        because.append(fault.unmapped)
    if one is not None:
        because += [one.head] if one.head is not None else []
        name = f"the {one.cache} object {one.address}"
        text = f"the address is {(fault.address or 0) - one.end:#x} bytes behind {name}"
        went = f"{name}, to where nothing can be accessed"
        return (f"an object of {one.cache}", went, Step(text, tuple(because)))
    detail = bad.detail if bad is not None else ""
    text = f"the address is behind the last page of {detail}: its guard page"
    return "a vmalloc area", f"{detail} into its guard page", Step(text, tuple(because))


def _past_the_end(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    modules: Modules | Missing,
    past: PastArea | Missing,
) -> Finding:
    one = past.object if isinstance(past, PastArea) else None
    kind, went, step = _behind(fault, flow, one)
    steps = [fault_step(fault), step, *flow_steps(flow, 1)]
    runners = frame_culprits(backtrace, "ran past the end of it")
    makers = _made_too_small(past)
    culprits = merge(
        _unaware(past),
        runners[:1],
        makers,
        _size_told(past),
        runners,
        flow_culprits(flow, backtrace, what="the pointer"),
    )
    ran = blamed_first(runners or culprits, fault.function)
    summary = f"{ran} ran past the end of {went}"
    open_ = one is not None or bool(makers) or _made_by_kernel(past)
    if isinstance(past, PastArea) and past.bound is not None:
        read = past.bound.instruction
        text = f"how far to go {past.bound.function} took from memory alone: {read.text}"
        steps.append(Step(text, (read,)))
        open_ = open_ or past.maker is None
        if makers and past.maker_module == past.runner_module:
            culprits = merge(makers, culprits)
            summary += f"; {blamed_first(makers, ran)} may have made it too small"
    return Finding(
        title=f"access past the end of {kind} in {ran}",
        summary=f"{summary}.",
        certainty=Certainty.POSSIBLE if open_ else Certainty.SHOWN,
        cause_certainty=Certainty.SHOWN if open_ and one is None else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Check the length of the copy, or the size of the allocation.",),
        refines=_REFINED,
    )
