"""The findings of use_after_free about slab objects: their proof, words and certainty."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Innocent, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    innocent,
    merge,
    object_steps,
    owners_first,
    use_steps,
    where,
)
from oopsight.diagnosis.doers import TASKS, freers_unseen, traces_of
from oopsight.diagnosis.freed_by import leavers, record
from oopsight.diagnosis.freed_ranking import AGAIN, Hints, Ranking, Story
from oopsight.evidence import Missing
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.evidence.use_after_free.out_of_section import OutOfSection


def unfound_finding(
    fault: Fault,
    steps: list[Step],
    followers: list[Culprit],
    flow: DataFlow | Missing,
    hints: Hints,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """The pattern of freed memory was met, and the object is not found: who freed it stays open."""
    leaving = leavers(hints.left)
    if leaving and isinstance(hints.left, LeftBehind):
        text = f"{hints.left.by} returned it: it had not been taken out"
        steps = [*steps, Step(text, steps[-1].because)]
        culprits = merge(leaving, followers)
    else:
        culprits = merge(freers_unseen(hints.doers), followers)
    culprits = owners_first(culprits, flow, modules)
    return Finding(
        title=f"use of freed memory in {fault.function}",
        summary=f"{where(fault.function, fault.module)} met the pattern of freed memory; the "
        "object is not to be found in the dump.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Boot with slub_debug=FPZU: the allocator then records who freed it.",),
        refines=refines,
    )


def object_finding(
    fault: Fault,
    steps: list[Step],
    users: ObjectUsers,
    ranking: Ranking,
    pattern: str | None,
    hints: Hints,
    modules: Modules | Missing,
    refines: tuple[str, ...],
) -> Finding:
    """An object was used that had been freed.

    :param steps: of the proof, up to the object
    :param pattern: that the bad value is the pattern of freed memory, in words
    """
    one, culprits = users.object, ranking.culprits
    steps = [*steps, *_object_steps(users, steps[-1].because)]
    if isinstance(hints.section, OutOfSection):
        steps.append(_section_step(hints.section))
    if not ranking.certain and culprits:
        steps += traces_of(culprits[0], hints.doers, hints.footprints, hints.prints)
    established = Certainty.INFERRED
    if (pattern or one.poisoned) and ranking.story is not Story.LENT:
        established = Certainty.SHOWN
    named, plain = _sure(users, ranking)
    return Finding(
        title=f"use after free of an object of {one.cache} in {fault.function}",
        summary=_summary(users, ranking),
        # That it was used after it was freed is one thing, who freed it another.
        certainty=established if named else Certainty.POSSIBLE,
        cause_certainty=established if plain else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=_innocent(users, ranking, modules),
        advice=(
            "Take the object off every list, and stop its timers and work, before it is freed; "
            "count its users.",
            *(
                ()
                if ranking.certain
                else ("slub_debug=FPZU lets the allocator record who frees it.",)
            ),
        ),
        refines=refines,
    )


def _object_steps(users: ObjectUsers, because: tuple[Pointer, ...]) -> list[Step]:
    """What shows that the object was free, whose it was and what the allocator recorded."""
    one, thing = users.object, _thing(users)
    carried: list[Pointer] = [one.head] if one.head is not None else list(because)
    if users.question in AGAIN:
        carried.extend(use.because for use in users.modules if use.because is not None)
        text = f"{thing} was freed and allocated again: {users.role}"
    elif one.poisoned:
        text = f"{thing} is filled with the pattern of freed objects, yet {users.role}"
    elif one.freed:
        text = f"{thing} is on the free list, yet {users.role}"
    else:
        text = f"of {thing}: {users.role}"
    steps = [Step(text, tuple(carried))]
    return [*steps, *object_steps(one, thing, "allocated", "freed"), *use_steps(users, one)]


def _section_step(section: OutOfSection) -> Step:
    """Who went on with it after the read section."""
    did = "returns" if section.helper else "goes on with"
    text = f"{section.function} [{section.module}] {did} what it got in a read section it has left"
    return Step(f"{text}, and takes no reference", (section.frame,))


def _thing(users: ObjectUsers) -> str:
    return f"{users.object.cache} object {users.object.address}"


_STORIES = {
    Story.OUTLIVED: "{blamed} used {thing} after its last counted user had let go of it: {role}.",
    Story.TOLD: "{used}: {role}. {blamed} had been told that it goes, and may not have found all "
    "that leads to it.",
    Story.OUTSIDE: "{used}: {role}. {blamed} had got it in a read section, which does not hold it "
    "any longer than that lasts.",
    Story.SHARED: "{thing} was used after its last reference had been given back: {role}. {blamed} "
    "may have taken none.",
    Story.MISCOUNTED: "{used}: {role}. {blamed} may have had a reference given back too often.",
    Story.TWO_PLACES: "{used}: {role}. {blamed} leaves such in two places of a table, and who "
    "frees them takes them out of one.",
    Story.TWO_FIELDS: "{used}: {role}. {blamed} leaves the pointer in two fields, each of which "
    "somebody frees it by.",
    Story.SECOND_COPY: "{used}: {role}. {blamed} takes such out of one place and leaves the "
    "pointer in the one that it was read from.",
    Story.USED: "{blamed} used {thing} after it had been freed: {role}.",
}
_THREAD = (
    "{thing} was used after the thread had ended whose task it was: {role}. Nobody had a reference "
    "to it; {blamed} is to blame for that, or another."
)
_TAKEN_BACK = "{thing} was used after {freer} had freed it: {role}. {blamed} left it in use."
_RECORDED = "{blamed} freed {thing} while it was still in use: {role}."
_SET_AGAIN = (
    "{used}: {role}. {blamed} sets up what others may have already, and who frees it takes it from "
    "them once."
)
_CAN_HAVE = "{used}: {role}. {blamed} can have freed it."
_UNKNOWN = "{used}: {role}. Who freed it, the dump does not tell."


def _summary(users: ObjectUsers, ranking: Ranking) -> str:
    thing = _thing(users)
    freer = ranking.freers[0].function if ranking.freers else None
    return _words(users, ranking).format(
        thing=thing,
        used=f"{thing} was used after it had been freed",
        role=users.role,
        blamed=blamed_first(ranking.culprits, "somebody"),
        freer=freer,
    )


def _words(users: ObjectUsers, ranking: Ranking) -> str:
    if ranking.story is Story.LENT:
        return _TAKEN_BACK
    if ranking.story is Story.SHARED and users.object.cache == TASKS:
        return _THREAD
    if ranking.story in _STORIES:
        return _STORIES[ranking.story]
    if ranking.certain:
        return _RECORDED
    if not ranking.culprits:
        return _UNKNOWN
    first = ranking.culprits[0].function
    again = any(first in use.sets_again for use in users.modules)
    return _SET_AGAIN if again else _CAN_HAVE


def _sure(users: ObjectUsers, ranking: Ranking) -> tuple[bool, bool]:
    """Whether it is established who is to blame, and whether the cause by itself is.

    Without a record it is only known who can have freed it. A text may be there for another reason.
    Of a helper and the function that called it, by the record, either may have freed too early.
    """
    unnamed = users.question == "refilled" or (record(users) is not None and not ranking.certain)
    outlived = ranking.story is Story.OUTLIVED
    open_ = unnamed or ranking.doubtful or bool(ranking.handed) or outlived
    helped = ranking.certain and len({one.function for one in ranking.freers}) > 1
    doubted = ranking.counted or ranking.story in (Story.OUTSIDE, Story.TOLD)
    named = (ranking.certain or ranking.own) and not (open_ or doubted or helped)
    alone = len(ranking.freers) == 1 and ranking.freers[0].function is not None
    guessed = any(use.guessed for use in users.modules)
    return named, (named or alone) and not (open_ or guessed)


def _innocent(
    users: ObjectUsers, ranking: Ranking, modules: Modules | Missing
) -> tuple[Innocent, ...]:
    """Modules that are not to blame, those with the reason first that the object itself gives."""
    blamed = {culprit.module for culprit in ranking.culprits}
    reasons = dict.fromkeys(ranking.handed, "uses the object, but makes none of its kind")
    if users.has_it is not None:
        reasons[users.has_it] = "has the memory now, and got it from the allocator in good faith"
    told = tuple(Innocent(name, reasons[name]) for name in sorted(reasons.keys() - blamed))
    others = innocent(modules, ranking.culprits)
    return (*told, *(one for one in others if one.module not in reasons))
