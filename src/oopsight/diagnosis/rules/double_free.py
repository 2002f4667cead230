"""Memory was freed that was free already.

Finds
    The allocator stops, or reports, because the object that it is given is free.

Why it happens
    An error path frees what the normal path frees as well, or a pointer stays behind after its
    object was freed.

How it is decided
    The allocator's own check ended the kernel (``BUG_ON(object == fp)`` in mm/slub.c), or it
    reported "Object already free", as KFENCE reports an "invalid free" of what is free. The
    function that called it is on the stack; data flow finds what it passed, and the free lists say
    that this object is free. Where what was passed cannot be followed, the check itself compared
    it, and whoever the kernel called through a table, and went on to the allocator by a jump, is
    found by the table to which the object still points. A report tells who freed it first as well.
    A packet is freed in several pieces: where the kernel stops as it frees one for a module, and a
    piece of it is free, it was freed before. ``vfree()`` or ``vunmap()`` warned of a "nonexistent
    vm area", and at the address in the vmalloc range nothing is mapped now.

When it is wrong
    Without ``slub_debug`` only two frees of the same object in a row are noticed by the kernel. Who
    freed it first is known only from the allocator's records. Unless the same function freed it
    both times, the first of the two may be the one too many: who is to blame is *possible* only, as
    it is where the object cannot be read. Where two modules freed it, the one that had not
    allocated it is suspect. Without a record, first named is who frees what the field holds, and
    leaves the pointer. Before all comes who frees such objects and has not first called what takes
    them back from others, as the function at work has: these may have had it freed again; and who
    gives the same back twice on one way, or frees outright what it has put. What lies in an object
    that is free as well was freed with it: then who left the pointer to that one. Where another
    object held the pointer, who duplicates such objects as a whole comes first, or copies a part of
    one to another with the pointer in it; then who frees what
    a field holds before a helper does so again; then a helper that frees on some ways what it is
    handed, and on others leaves that to its caller, who frees it now; then who has put it into a
    second field, by which another frees it; then who else has the helper at work free the same, and
    keeps what held it.

Example
    A failed upload frees its buffer and leaves the pointer; closing the file frees it again.

Look next
    ``kmem -s`` of the object, ``dis`` of the caller; the object's other users.
"""

from __future__ import annotations

import itertools
import re

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
    modules_first,
    track_culprits,
    track_step,
)
from oopsight.diagnosis.doers import (
    callers_first,
    copied_along,
    copiers,
    freed_before,
    helpers_that_give_back,
    keepers_of_freed,
    left_threads,
    owned_twice,
    who_gives_back_before,
    who_miscounts,
)
from oopsight.diagnosis.memory_report import freed_twice
from oopsight.diagnosis.refused import refused_finding, still_known
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.memory.refused_object import RefusedObject
from oopsight.evidence.memory.slab_tracks import Track, TrackFrame
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.known_calls import FREES_PACKETS
from oopsight.evidence.modules.module_roles import PACKETS
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer, Pointer
from oopsight.plumbing import base_name
from oopsight.plumbing.mechanisms import ALLOCATOR

_FREES = ("kfree", "kmem_cache_free", "kvfree", "slab_free")
_PACKET_GOES = re.compile(r"_*(?:kfree_skb\w*|skb_(?:release|free)_\w+|kfree_skbmem)")
"""What a packet is freed by, within the kernel: net/core/skbuff.c."""
_SAID = ("Object already free", "double-free", "double free")
_NO_AREA = ("Trying to vfree() nonexistent", "Trying to vunmap() nonexistent")
"""mm/vmalloc.c"""


def double_free(
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    log: Log | Missing,
    report: MemoryReport | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    refused: RefusedObject | Missing,
    users: ObjectUsers | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a free object was freed."""
    if isinstance(report, MemoryReport) and report.mistake is Mistake.DOUBLE_FREE:
        return freed_twice(report, modules)
    if isinstance(fault, Missing):
        return absent(fault)
    if isinstance(backtrace, Missing):
        return absent(backtrace)
    no_area = log.find(*_NO_AREA) if isinstance(log, Log) else None
    if no_area is not None and isinstance(flow, DataFlow) and _of_no_area(fault, backtrace, flow):
        return _area_again(fault, backtrace, flow, no_area, modules, doers)
    said = log.find(*_SAID) if isinstance(log, Log) else None
    if not _in_allocator(fault, backtrace) and said is None:
        if isinstance(users, ObjectUsers) and _frees_packet(backtrace, users.object):
            return _packet_again(fault, backtrace, users.object, flow, modules)
        return Clear("the allocator did not stop at, nor report, an object that was free")
    bug = log.find("kernel BUG at mm/sl") if isinstance(log, Log) else None
    reports = tuple(line for line in (bug, said) if line is not None)
    known = flow if isinstance(flow, DataFlow) and flow.subject == "argument" else None
    slab = known.bad.slab if known is not None and known.bad is not None else None
    if known is None or slab is None:
        if isinstance(refused, RefusedObject):
            earlier = _with_first_free([], known, backtrace, doers, None) if known else []
            return refused_finding(fault, backtrace, refused, reports, earlier, modules)
        if known is not None and (known.checker or "").lstrip("_").startswith(_FREES):
            helping = merge(
                who_miscounts(doers), helpers_that_give_back(doers, _on_stack(backtrace))
            )
            earlier = merge(helping, freed_before(doers))
            return _unseen(fault, backtrace, known, earlier, modules)
        return Undecided("what was passed to the allocator is not known to be one of its objects")
    if not slab.freed and said is None:
        return Clear(f"the object {slab.address} that was passed is not free")
    return _freed_again(fault, backtrace, known, slab, reports, modules, doers, refused)


def _in_allocator(fault: Fault, backtrace: Backtrace) -> bool:
    """Whether a check of the allocator's stopped the machine."""
    inner = next((f for f in backtrace.crash_path if not f.inline), None)
    return fault.exception == INVALID_OPCODE and inner is not None and inner.plumbing == ALLOCATOR


def _frees_packet(backtrace: Backtrace, one: SlabObject) -> bool:
    """Whether a module had a packet freed of which a part is free."""
    inner = itertools.takewhile(lambda f: f.module is None, backtrace.crash_path)
    names = [base_name(frame.function) for frame in inner if not frame.inline]
    called = bool(names) and len(names) < len([f for f in backtrace.crash_path if not f.inline])
    return called and one.freed and one.cache.startswith(PACKETS) and all(map(_frees_skb, names))


def _frees_skb(name: str) -> bool:
    return name in FREES_PACKETS or _PACKET_GOES.fullmatch(name) is not None


def _packet_again(
    fault: Fault,
    backtrace: Backtrace,
    one: SlabObject,
    flow: DataFlow | Missing,
    modules: Modules | Missing,
) -> Finding:
    """A packet was freed, and its data or itself was free already."""
    thing = f"{one.cache} object {one.address}"
    freed = frame_culprits(backtrace, "had the packet freed, which was free already")
    culprits = modules_first(freed)
    blamed = blamed_first(culprits, "somebody")
    met = flow_steps(flow) if isinstance(flow, DataFlow) else []
    carried: tuple[Pointer, ...] = (one.head,) if one.head is not None else (fault.frame,)
    return Finding(
        title=f"double free of a packet by {blamed}",
        summary=f"{blamed} had a packet freed although its {thing} was free already.",
        # What it was handed to before may have been wrong to free it.
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=(
            fault_step(fault),
            *met,
            Step(f"it was freeing the packet of which {thing}, which is free, is a part", carried),
        ),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Find which function takes the packet over, and frees it, also where it fails.",),
        refines=("use_after_free", "null_dereference", "wild_pointer"),
    )


def _of_no_area(fault: Fault, backtrace: Backtrace, flow: DataFlow) -> bool:
    """Whether the allocator stopped over an address where vmalloc() would map, and has nothing."""
    hole = flow.bad is not None and flow.bad.kind == "vmalloc-hole"
    return hole and _in_allocator(fault, backtrace)


def _area_again(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    said: LogPointer,
    modules: Modules | Missing,
    doers: Doers | Missing,
) -> Finding:
    """An area of vmalloc() was freed, and is there no more.

    :param said: what the allocator said of it
    """
    second = "freed the area that was free already"
    now = merge(_checker(flow, backtrace, second), frame_culprits(backtrace, second, 2))
    blamed = blamed_first(_inlined_last(now, backtrace), "somebody")
    culprits = _with_first_free(now, flow, backtrace, doers, None)
    return Finding(
        title=f"double free of an area of vmalloc() by {blamed}",
        summary=f"{blamed} freed an area of vmalloc() where there is none any more.",
        # The pointer may have been damaged; who freed the area first is told by code alone.
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=(
            fault_step(fault),
            Step("the allocator itself found fault with what it was given", (said,)),
            *flow_steps(flow),
        ),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Set the pointer to NULL where the area is freed first.",),
        refines=("warning",),
    )


def _freed_again(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    slab: SlabObject,
    reports: tuple[Pointer, ...],
    modules: Modules | Missing,
    doers: Doers | Missing,
    refused: RefusedObject | Missing,
) -> Finding:
    """An object was freed that was free.

    :param reports: what the allocator said of it in the log
    """
    thing = f"{slab.cache} object {slab.address}"
    track = slab.track("freed")
    second = "freed the object that was free already"
    culprits = merge(
        _checker(flow, backtrace, second),
        frame_culprits(backtrace, second, 2),
        track_culprits(track, "freed the object before, after the allocator's record"),
        flow_culprits(flow, backtrace, what="the object"),
    )
    # What the kernel itself freed, a handler had before that it had called further in.
    before: list[Culprit] = []
    if not culprits or culprits[0].module is None:
        before = _called_back(flow.called_back or flow.called_within)
    culprits = merge(before, culprits)
    blamed = blamed_first(culprits, "somebody")
    summary = f"{blamed} freed {thing} although it was free already."
    certainty = Certainty.SHOWN if slab.freed else Certainty.INFERRED
    if before:
        summary = (
            f"{flow.checker} freed {thing} although it was free already; {blamed}, which the "
            "kernel had called just before, had it until then."
        )
        certainty = Certainty.INFERRED if flow.called_back else Certainty.POSSIBLE
    elif not any(one.module for one in culprits) and _others(modules):
        # The kernel frees what is its own; who freed it before has returned long since.
        certainty = Certainty.POSSIBLE
    elif track is None or not _by_itself(track, culprits):
        # The first free may be the one too many.
        certainty = Certainty.POSSIBLE
        on_stack = _on_stack(backtrace)
        again = [one for one in who_miscounts(doers) if one.function in on_stack]
        # Who does so by a helper that frees on some ways only may be right to think it never does.
        again = merge(helpers_that_give_back(doers, on_stack) if again else [], again)
        leaving = merge(again, still_known(refused), left_threads(doers, slab))
        culprits = merge(leaving, _with_first_free(culprits, flow, backtrace, doers, track))
    return Finding(
        title=f"double free of an object of {slab.cache} by {blamed}",
        summary=summary,
        certainty=certainty,
        cause_certainty=Certainty.SHOWN if slab.freed else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(_given_steps(fault, flow, slab, thing, reports)),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Set the pointer to NULL where the object is freed first, and find which of the two "
            "frees is the one too many; slub_debug=FPZU lets the allocator record both.",
        ),
        refines=("use_after_free", "bug_on"),
    )


def _by_itself(track: Track, culprits: list[Culprit]) -> bool:
    """Whether, by the allocator's record, the same function freed the object both times."""
    first = track_culprits(track, "", 1)
    if not first or not culprits:
        return False
    now = culprits[0]
    return (first[0].module, first[0].function) == (now.module, now.function)


def _given_steps(
    fault: Fault, flow: DataFlow, slab: SlabObject, thing: str, reports: tuple[Pointer, ...]
) -> list[Step]:
    """What shows that the allocator was given a free object."""
    steps = [fault_step(fault)]
    if reports:
        steps.append(Step("the allocator itself found fault with what it was given", reports))
    steps.extend(flow_steps(flow, 1))
    carried: tuple[Pointer, ...] = (slab.head,) if slab.head is not None else (fault.frame,)
    steps.append(Step(f"{flow.checker} was given {thing}, which is free already", carried))
    track = slab.track("freed")
    return steps if track is None else [*steps, track_step(track, thing)]


def _with_first_free(
    culprits: list[Culprit],
    flow: DataFlow,
    backtrace: Backtrace,
    doers: Doers | Missing,
    track: Track | None,
) -> list[Culprit]:
    """Before those that free now, who can have freed it before: by another object, say.

    That one holds the pointer as well, as a copy does.

    :param track: the record of the first free, which tells who of them did
    """
    kept = flow.first.held_in
    copying = [] if kept is None or kept.slab is None else copiers(doers, kept.slab)
    on_stack = _on_stack(backtrace)
    # What lies in an object that is free was freed with it.
    outer = kept is not None and kept.slab is not None and kept.slab.freed
    leaving = freed_before(doers, on_stack, 1 if outer else 0)
    helping = merge(
        who_miscounts(doers),
        who_gives_back_before(doers),
        helpers_that_give_back(doers, on_stack),
    )
    now = _inlined_last(callers_first(culprits, doers), backtrace)
    field = doers.field(0) if isinstance(doers, Doers) else None
    copying = merge(copying, copied_along(field))
    twice = owned_twice(field, on_stack)
    before = merge(helping, twice, keepers_of_freed(doers, on_stack), leaving)
    if track is not None:
        names = {base_name(frame.function) for frame in track.blamable}
        before = [one for one in before if one.function in names]
    return merge(copying, before, now)


def _on_stack(backtrace: Backtrace) -> set[str]:
    return {base_name(frame.function) for frame in backtrace.crash_path}


def _inlined_last(culprits: list[Culprit], backtrace: Backtrace) -> list[Culprit]:
    """With the function that a helper was inlined into before that helper."""
    inlined = {base_name(frame.function) for frame in backtrace.crash_path if frame.inline}
    return sorted(culprits[:2], key=lambda one: one.function in inlined) + culprits[2:]


def _called_back(handlers: tuple[TrackFrame, ...]) -> list[Culprit]:
    """Modules that had the object before, where the kernel itself frees it the second time.

    A handler that answers that the object is to be dropped, or was not taken, leaves it to the
    caller.
    """
    why = "was called with the object by the kernel, which then freed it itself"
    return [Culprit(one.module, base_name(one.function), None, None, why) for one in handlers]


def _others(modules: Modules | Missing) -> bool:
    """Whether modules that are not the kernel's own are loaded, or which are is not known."""
    return isinstance(modules, Missing) or any(module.taints for module in modules.loaded)


def _unseen(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    before: list[Culprit],
    modules: Modules | Missing,
) -> Finding:
    """The allocator stopped while it freed, but the object's state cannot be read."""
    why = "was freeing the object when the allocator stopped"
    culprits = merge(_checker(flow, backtrace, why), frame_culprits(backtrace, why, 2))
    blamed = blamed_first(culprits, "somebody")
    culprits = merge(before, culprits)
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    return Finding(
        title=f"object refused by the allocator when {blamed} freed it",
        summary=f"The allocator stopped when {blamed} freed an object; whether that was free "
        "already cannot be read from this dump.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Boot with slub_debug=FPZU, which tells a second free from other damage.",),
        refines=("use_after_free", "bug_on"),
    )


def _checker(flow: DataFlow, backtrace: Backtrace, why: str) -> list[Culprit]:
    """A function of a module that jumped on to the allocator as its last act: it left no frame.

    The call outside names it, or it was called through a pointer that the dump still has.
    """
    on_stack = {frame.function for frame in backtrace.crash_path}
    first = flow.first.steps[0]
    for function, module in ((flow.checker, flow.checker_module), (first.function, first.module)):
        if function is not None and module is not None and function not in on_stack:
            return [Culprit(module, base_name(function), None, None, why)]
    return []
