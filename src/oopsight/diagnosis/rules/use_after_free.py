"""Memory was used after it had been freed.

Finds
    The bad value was read from an object that the slab allocator holds as free, or it is the
    pattern that the allocator writes over freed objects; or such an object is still on a list.

Why it happens
    The last user frees an object while a timer, a list, a work item or another task still has a
    pointer to it.

How it is decided
    Data flow leads from the fault to the object that the bad value was read from. The allocator's
    free lists say whether it is free, or its bytes are the pattern 0x6b (``slub_debug=P``); or what
    was read from it is the allocator's own link of a free object, of which nothing is left; or a
    free object holds the bad value as its link, as after a walk that frees what it goes on from.
    Where the allocator keeps records (``slub_debug=U``) they name who freed it. Else the module is
    found to which the object belongs: by the pointers to a module that still lie in it, by the
    module's variables that hold its address, or by the crash path; and of its functions those that
    free. Where the record names the kernel alone, as for what devres frees, the module is blamed
    that had the object from it: who used it, or else who allocated it. Where its owner gave back
    the last reference, and another module used it, that module comes first, and the verdict is
    *possible*.
    SLUB's report of a free object that was written to, and KFENCE's of an access to one, carry the
    record of who freed it. Pages and vmalloc areas count too: a pointer that a module still keeps
    leads to a free page, to a page that a variable of another module points to, or to where no area
    is any more. So do a lock that somebody waits for in a free object, and a lock or queue entry on
    the stack of a task that is in another function now: to blame is who puts entries of its own
    frame on a list and can return without taking them off. Of several modules, one that makes no
    such objects was only handed it; of several functions that free, those that do not take out of
    an IDR or XArray what a lookup or walk there gave come first.

When it is wrong
    The object may have been freed after the value was read: without the pattern the verdict is
    *inferred*. Freed memory that was given to somebody else since is recognised only where two
    modules hold it, where it was on a list as it was allocated again, or where it is on the list of
    a module by now that has nothing to do with who used it; that is *possible* only. Of pages and
    vmalloc areas a wrong pointer may merely look so: there too it is mostly so. Without the
    allocator's records the freeing function is chosen by what it can do, not by what it did, and
    the verdict is only *possible*. First comes who frees what the field held and leaves the
    pointer there, then who frees and allocates nothing; who uses it only where none stands out.
    A function that stores something in what it frees is less suspect if the freed object holds
    other bytes there, and so is one that stops the timer, work or thread that then used the object,
    and one that frees only what had the pointer to it, and still has; of two alike comes first
    whose bytes are there, then whose call still has its return address on some stack, or who has
    printed something.

Example
    A device's ``release`` frees a structure whose timer is still pending; the timer softirq finds
    0x6b6b6b6b6b6b6b6b in it.

Look next
    ``kmem -s`` and ``rd`` of the object; boot with ``slub_debug=FPZU`` for the allocator's records.
"""

from __future__ import annotations

import re

from oopsight.cheap import replace
from oopsight.diagnosis import (
    Certainty,
    Clear,
    Culprit,
    Depth,
    Finding,
    Innocent,
    Step,
    Undecided,
    absent,
)
from oopsight.diagnosis.blame import (
    fault_step,
    flow_culprits,
    flow_steps,
    function_first,
    innocent,
    merge,
    owners_first,
    reference_step,
    track_culprits,
    track_step,
    where,
)
from oopsight.diagnosis.doers import (
    freers_by_code,
    freers_unseen,
    gave_back_itself,
    managers,
    traces_of,
    uncounted,
)
from oopsight.diagnosis.gone_lock import gone_lock_finding
from oopsight.diagnosis.left_on_stack import left_on_stack_finding
from oopsight.diagnosis.lost_memory import lost_memory_finding
from oopsight.diagnosis.memory_report import used_freed
from oopsight.evidence import Missing
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.hangs.gone_lock import GoneLock
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.memory.slab_tracks import Track
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.footprints import Footprints
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.pointers import Pointer
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.evidence.use_after_free.lost_memory import LostMemory
from oopsight.evidence.use_after_free.registrants import Registrants
from oopsight.plumbing import base_name, why_plumbing

_WHILE_FREE = (Mistake.USE_AFTER_FREE, Mistake.WRITTEN_FREE)
_AGAIN = ("reused", "refilled", "listed")
_FREED_PATTERN = "POISON_FREE)"
_LAST_REFERENCE = re.compile(r"_*(?:\w+_put|put_\w+|\w+_release|sk_free|fput|dput|iput)")
"""Functions of the kernel that free what they are given if nobody else has a reference to it."""


def _poison(flow: DataFlow | Missing, report: ListReport | Missing) -> str | None:
    """Whether the bad value is the pattern of freed memory, in words."""
    if isinstance(flow, DataFlow) and flow.bad is not None and _FREED_PATTERN in flow.bad.detail:
        return f"{flow.bad.address} is the pattern that the allocator fills freed objects with"
    was = report.entry("was") if isinstance(report, ListReport) else None
    if was is not None and _FREED_PATTERN in was.owner.detail:
        return f"{was.owner.address} is the pattern that the allocator fills freed objects with"
    return None


def _record(users: ObjectUsers) -> Track | None:
    """The allocator's record of the free in question.

    Memory that has been given away may have been freed by others since. Of what is freed after a
    grace period, RCU's own functions are all that is recorded.
    """
    track = users.object.track("freed")
    if track is None or not (track.blamable or track.by):
        return None
    if users.question != "refilled":
        return track
    mine = {use.module for use in users.modules}
    return track if any(frame.module in mine for frame in track.blamable) else None


def _freers(users: ObjectUsers, one: SlabObject) -> list[Culprit]:
    """Who freed the object; where nobody recorded it, who can have."""
    track = _record(users)
    if track is not None and track.by is not None:
        thing = f"{one.cache} object {one.address}"
        why = f"freed the object: {track.blamable[0].function} called it, after the record"
        return [Culprit(track.by.module, track.by.function, None, thing, why)]
    if track is not None and track.handed_on:
        return track_culprits(track, "called whoever freed the object, after the record", 1)
    recorded = track_culprits(track, "freed the object, after the allocator's record")
    if recorded:
        return recorded
    found: list[Culprit] = []
    for use in users.modules:
        thing = f"{one.cache} object {one.address}"
        if len(use.frees) == 1:
            why = f"the only function of {use.module} that frees memory; {use.why}"
        else:
            why = f"can free such objects; {use.why}"
        found.extend(Culprit(use.module, name, None, thing, why) for name in use.frees)
        if not use.frees:
            found.append(Culprit(use.module, None, None, thing, use.why))
    return found


def _with_inlined(culprits: list[Culprit], users: ObjectUsers) -> list[Culprit]:
    """After a function that frees, those inlined into it in which it does."""
    inner = {
        (use.module, outer): [one for other, one in use.inlined if other == outer]
        for use in users.modules
        for outer, _ in use.inlined
    }
    found: list[Culprit] = []
    for culprit in culprits:
        found.append(culprit)
        if culprit.module is not None and culprit.function is not None:
            why = f"frees memory, inlined in {culprit.function}"
            names = inner.get((culprit.module, culprit.function), ())
            found += [replace(culprit, function=name, why=why) for name in names]
    return merge(found)


def _lent(one: SlabObject, freers: list[Culprit], followers: list[Culprit]) -> list[Culprit]:
    """Whose mistake it is that an object was in use when the kernel freed it: a module's functions.

    The kernel gives back what it manages for its drivers when their time is over, as devres does:
    it acts on its own account, and who has been lent the memory must have let go of it by then.
    """
    if not freers or any(freer.module for freer in freers):
        return []
    why = "had the object from the kernel, and left it in use when the kernel took it back"
    made = one.track("allocated")
    makers = [frame for frame in made.blamable if frame.module] if made is not None else []
    used = [follower for follower in followers if follower.module]
    return merge(used, [Culprit(one.module, one.function, None, None, why) for one in makers[:2]])


def _outlived(one: SlabObject, freers: list[Culprit], followers: list[Culprit]) -> list[Culprit]:
    """Who kept an object of another module without a reference to it, and then that module.

    The kernel frees what it counts the users of when the last of them lets go. Its owner, who had
    it made, may do so; that it was used thereafter tells of a user who was not counted, or of a
    reference that was given back once too often.
    """
    made, gone = one.track("allocated"), one.track("freed")
    owner = next((f.module for f in made.blamable if f.module), None) if made is not None else None
    users = [follower for follower in followers if follower.module]
    if gone is None or owner is None or not users or users[0].module == owner:
        return []
    if any(freer.module != owner for freer in freers):
        return []
    # What the kernel calls to free it may be the owner's again.
    last = max(number for number, frame in enumerate(gone.calls) if frame.module == owner)
    by_count = (f.function for f in gone.calls[:last] if f.module is None)
    if not any(_LAST_REFERENCE.fullmatch(name) for name in by_count):
        return []
    return merge([user for user in users if user.module != owner], freers)


def _allocated_in_use(flow: DataFlow | Missing) -> list[Culprit]:
    """The function on the stack that had allocated the object in this very call.

    Whatever freed it was called by that function, in between.
    """
    if isinstance(flow, Missing) or len(flow.ways) < 2:
        return []
    way = flow.ways[1]
    if way.ended != "returned" or "alloc" not in (way.returned_by or ""):
        return []
    if why_plumbing(way.function, None, way.module) is not None:
        return []
    why = f"got the object from {way.returned_by} and used it after what it called had freed it"
    return [Culprit(way.module, base_name(way.function), None, None, why)]


def _leavers(left: LeftBehind | Missing) -> list[Culprit]:
    """Who frees such objects and leaves them where they can be looked up."""
    if not isinstance(left, LeftBehind) or left.on_stack:
        return []
    why = f"frees such objects, and does not take them out with {left.taken_out_by}"
    return [Culprit(left.module, name, None, None, why) for name in left.functions]


def _registered(registrants: Registrants | Missing, near: list[Culprit]) -> list[Culprit]:
    """Who registers entries of the kind that was freed; of modules near the crash, these alone."""
    if isinstance(registrants, Missing):
        return []
    suspected = {culprit.module for culprit in near}
    found = [one for one in registrants.modules if one.module.name in suspected]
    return [
        Culprit(one.module.name, name, None, None, f"puts such entries there by {one.by}()")
        for one in found or registrants.modules
        for name in one.functions
    ]


def use_after_free(
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    users: ObjectUsers | Missing,
    lost: LostMemory | Missing,
    memory: MemoryReport | Missing,
    gone: GoneLock | Missing,
    left: LeftBehind | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    registrants: Registrants | Missing,
    footprints: Footprints | Missing,
    prints: Prints | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether freed memory was used."""
    if isinstance(memory, MemoryReport) and memory.mistake in _WHILE_FREE:
        return used_freed(memory, modules)
    if isinstance(gone, GoneLock):
        return gone_lock_finding(gone, modules)
    if isinstance(fault, Missing):
        return absent(fault)
    if isinstance(backtrace, Missing):
        return absent(backtrace)
    pattern = _poison(flow, report)
    freed = users if isinstance(users, ObjectUsers) and users.overrun is None else None
    if freed is None and isinstance(lost, LostMemory) and isinstance(flow, DataFlow):
        return lost_memory_finding(fault, backtrace, flow, lost, modules, _REFINED)
    if isinstance(left, LeftBehind) and left.on_stack and isinstance(flow, DataFlow):
        return left_on_stack_finding(fault, backtrace, flow, left, report, modules, _REFINED)
    if freed is None and pattern is None:
        return Clear("the bad value was not read from freed memory, as far as it can be followed")
    steps = [fault_step(fault)]
    if isinstance(report, ListReport):
        steps.append(Step(f"the list check reported: {report.text.text}", (report.text,)))
    if isinstance(flow, DataFlow):
        steps.extend(flow_steps(flow))
    because: tuple[Pointer, ...] = steps[-1].because
    if pattern is not None:
        steps.append(Step(pattern, because))
    followers = flow_culprits(flow, backtrace, what="the pointer to freed memory")
    leavers = _leavers(left)
    if freed is None:
        if leavers and isinstance(left, LeftBehind):
            steps.append(
                Step(f"{left.by} returned it: it had not been taken out", steps[-1].because)
            )
            followers = merge(leavers, followers)
        else:
            followers = merge(freers_unseen(doers), followers)
        followers = owners_first(followers, flow, modules)
        # The object itself is not found: who freed it stays open.
        return Finding(
            title=f"use of freed memory in {fault.function}",
            summary=f"{where(fault.function, fault.module)} met the pattern of freed memory; the "
            "object is not to be found in the dump.",
            certainty=Certainty.POSSIBLE,
            depth=Depth.ROOT_CAUSE,
            chain=tuple(steps),
            culprits=tuple(followers),
            innocent=innocent(modules, followers),
            advice=("Boot with slub_debug=FPZU: the allocator then records who freed it.",),
            refines=_REFINED,
        )
    one = freed.object
    thing = f"{one.cache} object {one.address}"
    carried: list[Pointer] = [one.head] if one.head is not None else list(because)
    if freed.question in _AGAIN:
        carried.extend(use.because for use in freed.modules if use.because is not None)
        text = f"{thing} was freed and allocated again: {freed.role}"
    elif one.poisoned:
        text = f"{thing} is filled with the pattern of freed objects, yet {freed.role}"
    else:
        text = f"{thing} is on the free list, yet {freed.role}"
    steps.append(Step(text, tuple(carried)))
    for what in ("allocated", "freed"):
        track = one.track(what)
        if track is not None:
            steps.append(track_step(track, thing))
    owner = reference_step(one)
    if owner is not None:
        steps.append(owner)
    steps.extend(
        Step(f"{use.module}: {use.why}", (use.because,))
        for use in freed.modules
        if use.because is not None and not one.tracks and not one.refers
    )
    freers = _freers(freed, one)
    if freed.question in _AGAIN and isinstance(flow, DataFlow):
        # Whoever has it now got it from the allocator in good faith.
        mine = {flow.first.module} | {f.module for f in backtrace.blamable}
        freers = [one for one in freers if one.module in mine] or freers
    record = _record(freed)
    doubtful = False
    if freed.question == "listed" and record is None:
        # Who has just allocated it frees such objects as well, where something fails.
        busy = {f.function for f in backtrace.blamable}
        others = [one for one in freers if one.function not in busy]
        doubtful = 0 < len(others) < len(freers)
        freers = others or freers
    certain = record is not None and (not record.handed_on or record.by is not None)
    makers = {use.module for use in freed.modules if use.allocates or use.guessed}
    handed = {use.module for use in freed.modules if use.allocates is False} if makers else set()
    if handed:
        freers = [freer for freer in freers if freer.module in makers] or freers
    several = not certain and len(freers) != 1 and freed.question != "listed" and not handed
    users_first = several and any(f.module for f in followers)
    if several and not gave_back_itself(followers, doers):
        freers, singled = freers_by_code(freers, doers, one, footprints, prints)
        left_it = {(leaver.module, leaver.function) for leaver in leavers}
        left_in = any((freer.module, freer.function) in left_it for freer in freers)
        freers = merge(leavers, freers) if left_in else freers
        users_first = users_first and not singled and not left_in
    culprits = merge(followers, freers) if users_first else merge(freers, followers)
    own = [] if certain else _allocated_in_use(flow)
    if own:
        culprits, users_first = merge(own, culprits), True
    lent = _lent(one, freers, followers) if certain else []
    outlived = _outlived(one, freers, followers) if certain else []
    if lent or outlived:
        culprits = lent or outlived
    elif certain:
        # Who met what another had freed is a victim.
        guilty = {freer.module for freer in freers}
        culprits = [culprit for culprit in culprits if culprit.module in guilty]
    elif handed:
        # Whoever makes such objects frees them; the others were given it to use.
        culprits = [culprit for culprit in culprits if culprit.module in makers] or culprits
    counted, sharing = uncounted(doers, one, freers)
    if not lent and not outlived:
        culprits = merge(sharing, culprits)
    if not certain:
        culprits = merge(_registered(registrants, culprits), managers(doers), culprits)
    culprits = function_first(culprits)
    if not certain:
        culprits = _with_inlined(culprits, freed)
    if not certain and culprits:
        steps += traces_of(culprits[0], doers, footprints, prints)
    blamed = where(culprits[0].function or "", culprits[0].module) if culprits else "somebody"
    if culprits and culprits[0].function is None:
        blamed = f"module {culprits[0].module}"
    if lent:
        summary = (
            f"{thing} was used after {freers[0].function} had freed it: {freed.role}. {blamed} "
            "left it in use."
        )
    elif outlived:
        summary = (
            f"{blamed} used {thing} after its last counted user had let go of it: {freed.role}."
        )
    elif sharing:
        summary = (
            f"{thing} was used after its last reference had been given back: {freed.role}. "
            f"{blamed} may have taken none."
        )
    elif certain:
        summary = f"{blamed} freed {thing} while it was still in use: {freed.role}."
    elif users_first:
        summary = f"{blamed} used {thing} after it had been freed: {freed.role}."
    else:
        summary = (
            f"{thing} was used after it had been freed: {freed.role}. {blamed} can have freed it."
        )
    # Without a record it is only known who can have freed it. A text may be there for another
    # reason.
    unnamed = freed.question == "refilled" or (record is not None and not certain)
    named = (certain or bool(own)) and not (unnamed or doubtful or handed or outlived or counted)
    alone = len(freers) == 1 and freers[0].function is not None
    guessed = any(use.guessed for use in freed.modules)
    plain = (named or alone) and not (unnamed or doubtful or handed or outlived or guessed)
    seen = (pattern or one.poisoned) and not lent
    established = Certainty.SHOWN if seen else Certainty.INFERRED
    return Finding(
        title=f"use after free of an object of {one.cache} in {fault.function}",
        summary=summary,
        # That it was used after it was freed is one thing, who freed it another.
        certainty=established if named else Certainty.POSSIBLE,
        cause_certainty=established if plain else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=(
            *(
                Innocent(name, "uses the object, but makes none of its kind")
                for name in sorted(handed - {culprit.module for culprit in culprits})
            ),
            *(one for one in innocent(modules, culprits) if one.module not in handed),
        ),
        advice=(
            "Take the object off every list, and stop its timers and work, before it is freed; "
            "count its users.",
            *(() if certain else ("slub_debug=FPZU lets the allocator record who frees it.",)),
        ),
        refines=_REFINED,
    )


_REFINED = (
    "null_dereference",
    "wild_pointer",
    "bad_function_pointer",
    "list_corruption",
    "refcount_error",
    "error_pointer",
    "user_pointer",
)
