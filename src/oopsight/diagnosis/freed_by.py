"""Who freed an object that was still in use, or can have: for use_after_free."""

from __future__ import annotations

import re

from oopsight.cheap import replace
from oopsight.diagnosis import Culprit
from oopsight.diagnosis.blame import merge, track_culprits
from oopsight.evidence import Missing
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.memory.slab_tracks import Track
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.plumbing import base_name, why_plumbing

_JUMPED = "frees as its last act, by a jump: so it is not in the record, which lacks who freed it"
_LAST_REFERENCE = re.compile(r"_*(?:\w+_put|put_\w+|\w+_release|sk_free|fput|dput|iput)")
"""Functions of the kernel that free what they are given if nobody else has a reference to it."""


def record(users: ObjectUsers) -> Track | None:
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


def freers(users: ObjectUsers, one: SlabObject) -> list[Culprit]:
    """Who freed the object; where nobody recorded it, who can have."""
    track = record(users)
    if track is not None and track.by is not None:
        thing = f"{one.cache} object {one.address}"
        why = f"freed the object: {track.blamable[0].function} called it, after the record"
        return [Culprit(track.by.module, track.by.function, None, thing, why)]
    jumped = [
        Culprit(use.module, name, None, f"{one.cache} object {one.address}", _JUMPED)
        for use in users.modules
        for name in use.jumps
    ]
    if jumped:
        return jumped
    if track is not None and track.handed_on:
        return track_culprits(track, "called whoever freed the object, after the record", 1)
    recorded = track_culprits(track, "freed the object, after the allocator's record")
    if recorded:
        return recorded
    found: list[Culprit] = []
    for use in users.modules:
        thing = f"{one.cache} object {one.address}"
        if use.lent:
            why = f"tells the kernel that it is done with something; {use.why}"
        elif len(use.frees) == 1:
            why = f"the only function of {use.module} that frees memory; {use.why}"
        else:
            why = f"can free such objects; {use.why}"
        found.extend(Culprit(use.module, name, None, thing, why) for name in use.frees)
        if not use.frees:
            found.append(Culprit(use.module, None, None, thing, use.why))
    return found


def not_taken_out(free: list[Culprit], users: ObjectUsers) -> tuple[list[Culprit], bool]:
    """With those first who let go of an object that others still use, and whether there are any.

    Who does not wait for what runs for it, or for it to its end, then who leaves with others a
    member of it which another takes out. Those who take it out come last.
    """
    why = "frees such objects, and does not always call first what takes out a member of theirs"
    vain = "frees such objects after it may have waited for them in vain"
    left = [
        Culprit(use.module, name, None, None, vain)
        for use in users.modules
        for name in use.gives_up
    ]
    left += [
        Culprit(use.module, name, None, None, _as_others(why, use.takes_out.does))
        for use in users.modules
        if use.takes_out is not None
        for name in use.takes_out.leaves
    ]
    left += [
        Culprit(use.module, one.function, None, None, f"frees what it has told {one.by}() of")
        for use in users.modules
        for one in use.registered
    ]
    again = "sets up what others may have already, which then have it twice, and give it up once"
    left += [
        Culprit(use.module, name, None, None, again)
        for use in users.modules
        for name in use.sets_again
    ]
    does = {
        (use.module, name)
        for use in users.modules
        if use.takes_out is not None and use.takes_out.leaves
        for name in use.takes_out.does
    }
    guilty = {(one.module, one.function) for one in left}
    known = {(one.module, one.function) for one in free}
    # In the order that tells of all else.
    first = [one for one in free if (one.module, one.function) in guilty]
    first = merge(left, first) if len(left) == 1 else first
    first += [one for one in left if (one.module, one.function) not in known]
    others = sorted(free, key=lambda one: (one.module, one.function) in does)
    hurry = "frees such objects and does not wait for the function that runs for them"
    hasty = [
        Culprit(use.module, name, None, None, hurry)
        for use in users.modules
        for name in use.hurries
    ]
    return merge(hasty, first, others), bool(left or hasty)


def _as_others(why: str, names: tuple[str, ...]) -> str:
    return f"{why}, as {names[0]} does" if names else why


def waiting_last(free: list[Culprit], users: ObjectUsers) -> list[Culprit]:
    """With those last who first wait for readers or a completion, if others do not."""
    waits = {(use.module, name) for use in users.modules for name in use.waits}
    return sorted(free, key=lambda one: (one.module, one.function) in waits)


def with_inlined(culprits: list[Culprit], users: ObjectUsers) -> list[Culprit]:
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


def lent(one: SlabObject, freers: list[Culprit], followers: list[Culprit]) -> list[Culprit]:
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


def outlived(one: SlabObject, freers: list[Culprit], followers: list[Culprit]) -> list[Culprit]:
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
    # What the kernel calls to free it may be the owner's again: the outermost of its frames counts.
    own = [number for number, frame in enumerate(gone.calls) if frame.module == owner]
    by_count = (f.function for f in gone.calls[: max(own, default=0)] if f.module is None)
    if not any(_LAST_REFERENCE.fullmatch(name) for name in by_count):
        return []
    return merge([user for user in users if user.module != owner], freers)


def allocated_in_use(flow: DataFlow | Missing) -> list[Culprit]:
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


def leavers(left: LeftBehind | Missing) -> list[Culprit]:
    """Who frees such objects and leaves them where they can be looked up."""
    if not isinstance(left, LeftBehind) or left.on_stack:
        return []
    why = f"frees such objects, and does not take them out with {left.taken_out_by}"
    return [Culprit(left.module, name, None, None, why) for name in left.functions]
