"""Who comes first of those who can have freed an object that was in use: for use_after_free."""

from __future__ import annotations

from enum import Enum

from oopsight.cheap import dataclass
from oopsight.diagnosis import Culprit
from oopsight.diagnosis.blame import function_first, merge
from oopsight.diagnosis.doers import (
    freers_by_code,
    gave_back_itself,
    managers,
    owned_twice,
    putters_leaving,
    uncounted,
    who_miscounts,
)
from oopsight.diagnosis.freed_by import (
    allocated_in_use,
    freers,
    leavers,
    lent,
    not_taken_out,
    outlived,
    record,
    waiting_last,
    with_inlined,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.footprints import Footprints
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.use_after_free.asked_provider import AskedProvider
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.evidence.use_after_free.out_of_section import OutOfSection
from oopsight.evidence.use_after_free.slot_copies import SlotCopies

AGAIN = ("reused", "refilled", "listed")
"""Questions about objects that were freed and allocated again."""


@dataclass(frozen=True)
class Hints:
    """What else tells who can have freed an object."""

    left: LeftBehind | Missing
    doers: Doers | Missing
    footprints: Footprints | Missing
    prints: Prints | Missing
    copies: SlotCopies | Missing
    section: OutOfSection | Missing
    asked: AskedProvider | Missing


class Story(Enum):
    """What seems to have happened to a freed object; of several the one of whom it names first."""

    TOLD = "another module that had the pointer had been told that the object goes"
    OUTSIDE = "who used it had got it in a read section, and had left that"
    LENT = "the kernel took back what a module had had from it"
    OUTLIVED = "its owner gave back the last reference while another used it"
    MISCOUNTED = "somebody gives back more than was taken"
    SHARED = "somebody shares it without a reference"
    TWO_PLACES = "somebody leaves such in two places of a table"
    TWO_FIELDS = "somebody leaves such in two fields, each of which somebody frees it by"
    SECOND_COPY = "somebody takes such out of one place, and leaves the pointer in another"
    USED = "who used it comes before who can have freed it"
    FREED = "somebody freed it"


@dataclass(frozen=True)
class Ranking:
    """Who is to blame for a freed object, and how that was found."""

    culprits: list[Culprit]
    freers: list[Culprit]
    """Who freed it, or can have."""
    story: Story
    certain: bool
    """Whether the allocator's record names who freed it."""
    doubtful: bool
    """Whether those were passed over who are at work on the object."""
    handed: set[str]
    """Modules that make no such objects, if another does."""
    own: bool
    """Whether the function that used it had allocated it."""
    counted: bool
    """Whether its users are counted."""


def rank(
    users: ObjectUsers,
    followers: list[Culprit],
    flow: DataFlow | Missing,
    backtrace: Backtrace,
    hints: Hints,
) -> Ranking:
    """Put in order who can have freed an object.

    :param followers: who brought the bad value in
    """
    one, known = users.object, record(users)
    certain = known is not None and (not known.handed_on or known.by is not None)
    free, doubtful = _candidates(users, flow, backtrace)
    makers, handed = _made_by(users)
    free = [freer for freer in free if freer.module in makers] or free
    several = len(free) != 1 or _are_helpers(free, hints.doers)
    several = several and not certain and users.question != "listed" and not handed
    users_first = several and any(f.module for f in followers)
    went_on = not certain and gave_back_itself(followers, hints.doers)
    if several and not went_on:
        free, stands_out = _by_code(users, free, hints)
        users_first = users_first and not stands_out
    if not certain and not went_on:
        free, omitted = not_taken_out(waiting_last(free, users), users)
        users_first = users_first and not omitted
    # Who has it given back goes on to use it, whoever frees it then.
    users_first = users_first or went_on
    culprits = merge(followers, free) if users_first else merge(free, followers)
    own = [] if certain else allocated_in_use(flow)
    if own:
        culprits, users_first = merge(own, culprits), True
    borrowed = lent(one, free, followers) if certain else []
    kept = outlived(one, free, followers) if certain else []
    culprits = borrowed or kept or _of_their_modules(culprits, free, makers, certain=certain)
    counted, sharing = uncounted(hints.doers, one, free)
    left = _left_in_table(hints.copies, free)
    twice = [] if certain else _owned_twice(hints.doers, users, free)
    second = [] if certain else _second_copies(hints.doers, users)
    again = [] if certain else who_miscounts(hints.doers)
    if not borrowed and not kept:
        leaving = [] if certain else putters_leaving(hints.doers, one)
        culprits = merge(again, sharing, left, twice, leaving, second, culprits)
    outside = _out_of_section(hints.section)
    told = _told(hints.asked)
    culprits = merge(told, outside, culprits)
    if any(freer.module not in (None, users.has_it) for freer in free):
        # Whose the memory is now is a victim.
        culprits = [one for one in culprits if one.module != users.has_it]
    told_of = {
        Story.TOLD: told,
        Story.OUTSIDE: outside,
        Story.LENT: borrowed,
        Story.OUTLIVED: kept,
        Story.MISCOUNTED: again,
        Story.SHARED: sharing,
        Story.TWO_PLACES: left,
        Story.TWO_FIELDS: twice,
        Story.SECOND_COPY: second if culprits[:1] == second[:1] else [],
        Story.USED: culprits if users_first else [],
    }
    return Ranking(
        culprits=_in_order(culprits, users, hints, certain=certain),
        freers=free,
        story=next((story for story, found in told_of.items() if found), Story.FREED),
        certain=certain,
        doubtful=doubtful,
        handed=handed,
        own=bool(own),
        counted=bool(counted),
    )


def _left_in_table(copies: SlotCopies | Missing, free: list[Culprit]) -> list[Culprit]:
    """Who leaves the object in a place of a table, where who can have freed it took it out."""
    if isinstance(copies, Missing) or not free or free[0].module != copies.module:
        return []
    if free[0].function not in copies.freers:
        return []
    name = copies.name or "the table"
    why = f"puts what {name} holds into another place of it, and leaves it in the first as well"
    return [Culprit(copies.module, one, None, None, why) for one in copies.functions]


def _out_of_section(section: OutOfSection | Missing) -> list[Culprit]:
    """Who went on, after a read section, with what it had got in that."""
    if isinstance(section, Missing):
        return []
    why = "used it after the read section in which it had got it, and took no reference"
    if section.helper:
        why = "returns what it got in a read section, and takes no reference"
    return [Culprit(section.module, section.function, section.source, None, why)]


def _told(asked: AskedProvider | Missing) -> list[Culprit]:
    """Who had been told to forget the object, and whose module still had the pointer to it."""
    if isinstance(asked, Missing):
        return []
    why = f"was told by {asked.client} that the object goes, and its module kept a pointer to it"
    return [Culprit(asked.module, asked.function, None, None, why)]


def _owned_twice(doers: Doers | Missing, users: ObjectUsers, free: list[Culprit]) -> list[Culprit]:
    """Who leaves the object in two fields, and who can have freed it by the other of them."""
    one = users.object
    field = doers.holding(one.address, one.end) if isinstance(doers, Doers) else None
    able = {freer.function for freer in free if field is None or freer.module == field.module}
    found = owned_twice(field)
    return found if any(culprit.function in able for culprit in found) else []


def _second_copies(doers: Doers | Missing, users: ObjectUsers) -> list[Culprit]:
    """Who takes such objects out of one place, and leaves the pointer in the field it was in."""
    one = users.object
    field = doers.holding(one.address, one.end) if isinstance(doers, Doers) else None
    if field is None:
        return []
    why = "takes such objects out of where {} puts them, and not of the field that it sets as well"
    undoes = "counts down what {} counts up, and leaves the pointer in the field that it sets then"
    return [
        Culprit(field.module, two.leaver, None, None, text.format(two.copier))
        for found, text in ((field.second_copies, why), (field.half_undone, undoes))
        for two in found
    ]


def _of_their_modules(
    culprits: list[Culprit], free: list[Culprit], makers: set[str], *, certain: bool
) -> list[Culprit]:
    """Those of the modules that freed it, or that make such objects if others were handed it."""
    if certain:
        # Who met what another had freed is a victim.
        guilty = {freer.module for freer in free}
        return [culprit for culprit in culprits if culprit.module in guilty]
    # Whoever makes such objects frees them; the others were given it to use.
    made = [culprit for culprit in culprits if culprit.module in makers]
    return made or culprits


def _made_by(users: ObjectUsers) -> tuple[set[str], set[str]]:
    """Modules that make such objects, and those that make none, if there are both."""
    makers = {use.module for use in users.modules if use.allocates or use.guessed}
    handed = {use.module for use in users.modules if use.allocates is False}
    return (makers, handed) if makers and handed else (set(), set())


def _candidates(
    users: ObjectUsers, flow: DataFlow | Missing, backtrace: Backtrace
) -> tuple[list[Culprit], bool]:
    """Who freed the object or can have, and whether others were passed over for it."""
    found = freers(users, users.object)
    if users.question in AGAIN and isinstance(flow, DataFlow):
        # Whoever has it now got it from the allocator in good faith.
        mine = {flow.first.module} | {f.module for f in backtrace.blamable}
        found = [one for one in found if one.module in mine] or found
    # Failing that, it is known to whom the memory belongs by now.
    found = [one for one in found if one.module != users.has_it] or found
    if users.question != "listed" or record(users) is not None:
        return found, False
    # Who has just allocated it frees such objects as well, where something fails.
    busy = {f.function for f in backtrace.blamable}
    others = [one for one in found if one.function not in busy]
    return others or found, 0 < len(others) < len(found)


def _by_code(users: ObjectUsers, free: list[Culprit], hints: Hints) -> tuple[list[Culprit], bool]:
    """Those who can have freed it in the order that their code tells, and if one stands out."""
    found, singled = freers_by_code(free, hints.doers, users.object, hints.footprints, hints.prints)
    others = {(use.module, name) for use in users.modules for name in use.frees_others}
    leaving = [one for one in leavers(hints.left) if (one.module, one.function) not in others]
    left_it = {(leaver.module, leaver.function) for leaver in leaving}
    left_in = any((freer.module, freer.function) in left_it for freer in found)
    # Who calls a helper that frees is to take the object out.
    left_in = left_in or (bool(leaving) and _are_helpers(free, hints.doers))
    return (merge(leaving, found) if left_in else found), singled or left_in


def _are_helpers(free: list[Culprit], doers: Doers | Missing) -> bool:
    """Whether all that can have freed an object do so for others of their module."""
    if isinstance(doers, Missing):
        return False
    return all(one.module == doers.module and one.function in doers.helpers for one in free)


def _in_order(
    culprits: list[Culprit], users: ObjectUsers, hints: Hints, *, certain: bool
) -> list[Culprit]:
    """With who registers and manages such objects first, where nothing tells who freed it."""
    if certain:
        return function_first(culprits)
    if any(use.lent for use in users.modules):
        # The kernel's own modules use what is theirs for whoever calls them.
        had_it = {use.module for use in users.modules}
        culprits = [one for one in culprits if one.module in had_it] or culprits
    return with_inlined(function_first(merge(managers(hints.doers), culprits)), users)
