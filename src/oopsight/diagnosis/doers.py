"""Who did it, before who met it: suspects in the order that the module's code gives them."""

from __future__ import annotations

from collections.abc import Collection

from oopsight.cheap import replace
from oopsight.diagnosis import Culprit, Step
from oopsight.diagnosis.blame import merge
from oopsight.evidence import Missing
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.footprints import Footprint, Footprints
from oopsight.evidence.modules.left_in import LeftIn
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.pointers import LogPointer

_LEAVES = "frees what the field holds, and leaves the pointer there"
_AT_TIMES = "frees what the field holds, and on some ways leaves the pointer there"
_LEAVES_COUNTED = (
    "frees what the table holds, and changes no number by which others that do so take it out"
)
_LEAVES_OWN = "frees what it has put in the field itself, and leaves the pointer there"
_PUTS_AT_TIMES = "gives back what the field holds, and on some ways leaves the pointer there"
_FREES = "frees memory, and allocates none"
_IN_VAIN = "ends what calls it before what may start that again"
_PAST_COUNT = "frees such objects outright, which others give back by their count of references"
TASKS = "task_struct"
"""The slab cache of the kernel's tasks."""
OMITS = "makes such objects, and does not set the field that others who make them set"
_NUMBER = 40
"""Numbers that are computed have mostly no more bits; what was written over a pointer has."""
_MOST_NUMBERS = 2
"""More than so many that store numbers at an offset have to do with other objects."""
_MOST_UNTAKEN = 2
"""Of more, their module has a way of its own to take references."""
_Told = dict[tuple[str | None, str | None], LeftIn]


def freers_by_code(
    freers: list[Culprit],
    doers: Doers | Missing,
    one: SlabObject,
    footprints: Footprints | Missing,
    prints: Prints | Missing,
) -> tuple[list[Culprit], bool]:
    """Those that can have freed an object, most suspect first, and whether one stands out.

    First who frees outright what others count the users of, then who frees what the field held and
    leaves the pointer there, then who does so on some ways, then others that free what it held; who
    allocates as well comes after these: it frees what has not come to be used. Last come who frees
    objects of other sizes, who clears the field that still has the pointer, who frees only the
    object with that field, who stops what then used the object, and who would have left other bytes
    in this one. Of two alike goes first whose bytes are there, then who is known to have freed
    something.
    """
    if isinstance(doers, Missing):
        return freers, False
    told: _Told = {(doers.module, one.function): one for one in doers.left}
    past = {(doers.module, name) for name in doers.past_count}
    freers = [
        replace(one, why=_PAST_COUNT) if (one.module, one.function) in past else one
        for one in freers
    ]
    vain = {(doers.module, name) for name in doers.stops_in_vain}
    freers = [
        replace(one, why=f"{one.why}; {_IN_VAIN}") if (one.module, one.function) in vain else one
        for one in freers
    ]
    freers = [_with_what_is_left(freer, told) for freer in freers]
    field = doers.holding(one.address, one.end)
    ranked = _ranked(doers, field)
    ranks: dict[tuple[str | None, str | None], int] = {}
    for rank, names in enumerate(ranked):
        for name in names:
            ranks.setdefault((doers.module, name), rank)
    left = _more_by_code(doers, field, {(freer.module, freer.function) for freer in freers})
    last = 2 * len(ranked)
    others = {
        (doers.module, known.function)
        for known in doers.sizes
        if not any(one.size // 2 < size <= one.size for size in known.sizes)
    }

    outer = doers.field(field.way + 1) if field is not None else None

    def place(freer: Culprit) -> tuple[bool, bool, bool, bool, bool, int, bool, int]:
        who = (freer.module, freer.function)
        one = told.get(who)
        rank = ranks.get(who)
        if who in others or rank is None:
            code = last
        else:
            # Of two alike, who allocates as well is the less suspect.
            code = 2 * rank + (freer.function in doers.allocates)
        made = _made(freer, footprints)
        ran = _no_trace(made is not None, made is not None and made.function == freer.function)
        ran = min(ran, _no_trace(said(freer, prints) is not None))
        lacks = one is not None and one.lacks is not None
        # Who stops it on some ways only may have freed on another; or it had started again.
        always = set(doers.stops) - {*doers.stops_at_times, *doers.stops_in_vain}
        stops = freer.module == doers.module and freer.function in always
        clears = field is not None and freer.function in field.clear_by
        # The object with the field is in use still.
        holder = outer is not None and who in {(doers.module, n) for n in outer.frees_only}
        counts = who in others or who not in past
        return lacks, stops, holder, clears, counts, code, one is None or not one.holds, ran

    ordered = sorted((*freers, *left), key=place)
    places = [place(freer) for freer in ordered]
    alone = len(places) == 1 or places[:1] < places[1:2]
    return ordered, bool(places) and places[0] < (*(False,) * 4, True, last, True, 2) and alone


def _more_by_code(
    doers: Doers, field: FieldDoers | None, known: set[tuple[str | None, str | None]]
) -> list[Culprit]:
    """Others that can have freed it, which do so by a helper of theirs."""
    return [
        Culprit(doers.module, name, None, None, why)
        for names, why in (
            (field.leaves_counted if field is not None else (), _LEAVES_COUNTED),
            (field.leaves if field is not None else (), _LEAVES),
            (field.at_times if field is not None else (), _AT_TIMES),
            (field.leaves_own if field is not None else (), _LEAVES_OWN),
            (doers.past_count, _PAST_COUNT),
        )
        for name in names
        if (doers.module, name) not in known
    ]


def _with_what_is_left(freer: Culprit, told: _Told) -> Culprit:
    """The same, with what the object says to its having freed it."""
    one = told.get((freer.module, freer.function))
    if one is not None and one.lacks is not None:
        at = f"{one.lacks.bytes} at {one.lacks.address}"
        why = f"{freer.why}; but first it stores other bytes than the object has, {at}"
        return replace(freer, why=why)
    return freer


def traces_of(
    freer: Culprit,
    doers: Doers | Missing,
    footprints: Footprints | Missing,
    prints: Prints | Missing,
) -> list[Step]:
    """What the freed object, the stacks and the log hold of one that can have freed it."""
    found: list[Step] = []
    for one in doers.left if isinstance(doers, Doers) and doers.module == freer.module else ():
        if one.function == freer.function and one.holds and one.lacks is None:
            text = f"the object holds what {one.function} stores before it frees"
            found.append(Step(text, one.holds))
    made = _made(freer, footprints)
    if made is not None:
        found.append(footprint_step(made))
    return [*found, *said_steps(freer, prints)]


def _no_trace(called: bool, itself: bool = False) -> int:
    """How little there is to show that a function ran: 0 for a call that it made itself."""
    return 0 if itself else 1 if called else 2


def said(one: Culprit, prints: Prints | Missing) -> LogPointer | None:
    """What a suspect has printed in the log."""
    return None if isinstance(prints, Missing) else prints.of(one.module, one.function)


def said_steps(one: Culprit, prints: Prints | Missing) -> list[Step]:
    """The same as a step of the proof."""
    line = said(one, prints)
    return [] if line is None else [Step(f"{one.function} had printed: {line.text}", (line,))]


def footprint_step(made: Footprint) -> Step:
    """A call of before as a step of the proof."""
    text = f"{made.stack} still holds the return address of {made.function}'s call of {made.called}"
    return Step(text, (made.memory,))


def _made(freer: Culprit, footprints: Footprints | Missing) -> Footprint | None:
    """A call that tells of the freer's having run."""
    if isinstance(footprints, Missing) or freer.module != footprints.module:
        return None
    name = freer.function or ""
    return footprints.freeing(name) or footprints.to(name)


def _ranked(doers: Doers, field: FieldDoers | None) -> tuple[tuple[str, ...], ...]:
    of_field: tuple[tuple[str, ...], ...] = ()
    if field is not None:
        at_times = (field.at_times, field.leaves_own, field.puts_at_times)
        of_field = (field.leaves_counted, field.leaves, *at_times, field.frees)
    # What frees a member of the freed object frees the object with it.
    inner = doers.fields[0].frees if doers.fields and doers.fields[0] is not field else ()
    return (*of_field, inner, doers.frees, doers.allocates)


def gave_back_itself(users: list[Culprit], doers: Doers | Missing) -> bool:
    """Whether the first to use the object has the kernel give such back: it goes on to use it."""
    if isinstance(doers, Missing) or not users:
        return False
    return users[0].module == doers.module and users[0].function in doers.gives_back


def uncounted(
    doers: Doers | Missing, one: SlabObject, freers: list[Culprit]
) -> tuple[bool, list[Culprit]]:
    """Whether an object was freed with the last reference, and who may hold it without one.

    Then who freed it may well have been right to.
    """
    if isinstance(doers, Missing):
        return False, []
    tasks = left_threads(doers, one)
    if tasks:
        return True, tasks
    if not freers or freers[0].module != doers.module:
        return False, []
    by_count = freers[0].function in doers.uncounts
    if not by_count or freers[0].function in doers.past_count:
        return False, []
    field = doers.holding(one.address, one.end)
    why = "stores a pointer to such an object where it was read, and takes no reference"
    names = field.shares if field is not None else ()
    sharing = [Culprit(doers.module, name, None, None, why) for name in names]
    closed = [one for one in doers.mappings if freers[0].function in (one.close, *one.by)]
    return True, merge(mappers(replace(doers, mappings=tuple(closed))), sharing)


def left_threads(doers: Doers | Missing, one: SlabObject) -> list[Culprit]:
    """Who has a pointer kept to a thread's task that has ended; nobody for another object.

    A thread that returns by itself is freed, unless somebody has a reference to it.
    """
    if isinstance(doers, Missing) or one.cache != TASKS:
        return []
    threads = doers.threads
    reasons = (
        (threads.returning, "is what such a thread runs, and can return before anybody stops it"),
        (threads.leaving, "stops such a thread, and leaves the pointer to it"),
        (threads.starters, "starts such a thread, and takes no reference to it"),
    )
    return [
        Culprit(doers.module, name, None, None, why) for names, why in reasons for name in names
    ]


def owned_twice(field: FieldDoers | None, on_stack: Collection[str] = ()) -> list[Culprit]:
    """Who has two fields hold what each frees it by, and who frees what the other of them holds.

    :param field: that the pointer was read from
    :param on_stack: functions at work, which have not freed it before
    """
    if field is None:
        return []
    found = [two for two in field.owned_twice if two.freer not in on_stack]
    why = "leaves the pointer in two fields, of which {} frees what the other one holds"
    copy = [Culprit(field.module, two.copier, None, None, why.format(two.freer)) for two in found]
    why = "frees what another field holds, in which {} leaves the pointer as well"
    free = [Culprit(field.module, two.freer, None, None, why.format(two.copier)) for two in found]
    return merge(copy, free)


def copied_along(field: FieldDoers | None) -> list[Culprit]:
    """Who copies a part of an object to another, and with it the pointer that each frees.

    :param field: that the pointer was read from
    """
    if field is None:
        return []
    why = "copies what such an object holds to another, the pointer as well: each owns it then"
    return [Culprit(field.module, name, None, None, why) for name in field.copied_along]


def freers_unseen(doers: Doers | Missing) -> list[Culprit]:
    """The one function that frees memory in the module which met freed memory, if one stands out.

    For an object that is not known itself.
    """
    if isinstance(doers, Missing):
        return []
    for field in doers.fields[:1]:
        if len(field.leaves) == 1:
            return [Culprit(doers.module, field.leaves[0], None, None, _LEAVES)]
    names = doers.frees or doers.allocates
    if len(names) != 1:
        return []
    return [Culprit(doers.module, names[0], None, None, "is what frees memory in this module")]


def keepers(doers: Doers | Missing, thing: str) -> list[Culprit]:
    """Who stores in the field what a call returned; those that do not check it for errors first.

    :param thing: what was stored, in words
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    if field is None or not isinstance(doers, Doers):
        return []
    return [
        Culprit(
            doers.module,
            one.function,
            None,
            None,
            f"stores what {one.called} returned where {thing} was read"
            + ("" if one.checked else ", and does not check it for errors"),
        )
        for one in sorted(field.keeps, key=lambda one: one.checked)
    ]


def sharers(doers: Doers | Missing) -> list[Culprit]:
    """Who stores a pointer to an object in use and takes no reference to it.

    Nobody, where the pointer is not known to have been read from a field.
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    if field is None or not isinstance(doers, Doers):
        return []
    why = "stores a pointer to such an object where it was read, and takes no reference"
    return [Culprit(doers.module, name, None, None, why) for name in field.shares]


def putters(doers: Doers | Missing, *, at_times: bool = False) -> list[Culprit]:
    """Who gives back the reference of the field that the pointer was read from, and leaves it.

    :param at_times: only those that leave it on some ways
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    if field is None or not isinstance(doers, Doers):
        return []
    why = "gives back a reference to what the field holds, has taken none, and leaves the pointer"
    always = [Culprit(doers.module, name, None, None, why) for name in field.puts]
    return merge([] if at_times else always, _putters_at_times(field))


def _putters_at_times(field: FieldDoers) -> list[Culprit]:
    """Who gives that back and leaves the pointer on some ways, as where no other is to be had."""
    return [Culprit(field.module, name, None, None, _PUTS_AT_TIMES) for name in field.puts_at_times]


def putters_leaving(doers: Doers | Missing, one: SlabObject) -> list[Culprit]:
    """Who gives back a reference to an object on some ways of which the pointer to it stays."""
    field = doers.holding(one.address, one.end) if isinstance(doers, Doers) else None
    return _putters_at_times(field) if field is not None else []


def putters_of_others(doers: Doers | Missing, on_stack: set[str]) -> list[Culprit]:
    """Who gives back a reference to what any field holds, has taken none, and leaves it there.

    :param on_stack: functions at work, whose calls the report tells of
    """
    if isinstance(doers, Missing):
        return []
    why = "gives back a reference that it has not taken, to what a field holds, and leaves it there"
    names = [name for name in doers.untaken if name not in on_stack]
    names = names if len(names) <= _MOST_UNTAKEN else []
    at_times = [name for name in doers.at_times if name not in on_stack]
    return [
        *(Culprit(doers.module, name, None, None, why) for name in names),
        *(Culprit(doers.module, name, None, None, _PUTS_AT_TIMES) for name in at_times),
    ]


def mappers(doers: Doers | Missing) -> list[Culprit]:
    """Who has mappings give back more than they take, once a process with them has forked."""
    if isinstance(doers, Missing):
        return []
    why = "gives mappings a close, {}, which gives something back, and no open: fork() copies them"
    return [
        Culprit(doers.module, one.installer, None, None, why.format(one.close))
        for one in doers.mappings
    ]


def helpers_that_give_back(
    doers: Doers | Missing, callers: set[str] | None = None
) -> list[Culprit]:
    """Helpers that give back on some ways what their callers give back then as well.

    :param callers: of these alone; ``None`` for any
    """
    if isinstance(doers, Missing):
        return []
    why = "gives back on some ways what {} gives back then too, and on others does not"
    return [
        Culprit(doers.module, one.helper, None, None, why.format(one.caller))
        for one in doers.twice_given
        if callers is None or one.caller in callers
    ]


def who_miscounts(doers: Doers | Missing) -> list[Culprit]:
    """Who gives the same back twice on one way, and who takes none of what others give back."""
    if isinstance(doers, Missing):
        return []
    why = "gives the same back twice on one way, or frees what it has given back"
    again = [Culprit(doers.module, name, None, None, why) for name in doers.again]
    why = "takes no reference to what it returns, and those that call it give one back"
    return [*again, *(Culprit(doers.module, name, None, None, why) for name in doers.unheld)]


def who_gives_back_before(doers: Doers | Missing) -> list[Culprit]:
    """Who gives back what a field holds, and has a helper do so again with all around it."""
    if isinstance(doers, Missing):
        return []
    why = "gives back what a field holds, leaves it there, and has {} give it back again"
    return [
        Culprit(doers.module, one.caller, None, None, why.format(one.helper))
        for one in doers.given_before
    ]


def keepers_of_freed(doers: Doers | Missing, on_stack: set[str]) -> list[Culprit]:
    """Who had the helper at work free the same before, and kept the object with the pointers."""
    if isinstance(doers, Missing):
        return []
    return [
        Culprit(
            doers.module, one.caller, None, None, f"has {one.helper} free it, and keeps the pointer"
        )
        for one in doers.kept_after
        if one.helper in on_stack and one.caller not in on_stack
    ]


def makers_that_omit(doers: Doers | Missing) -> list[Culprit]:
    """Who makes such objects and does not set the field that was found wrong, where others do."""
    if isinstance(doers, Missing):
        return []
    return [Culprit(doers.module, name, None, None, OMITS) for name in doers.omits]


def storers_of_numbers(doers: Doers | Missing, bad: int) -> list[Culprit]:
    """Who stores a number where a pointer was read, as a union lets it.

    :param bad: the pointer
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    if field is None or bad >> _NUMBER or len(field.numbers) > _MOST_NUMBERS:
        return []
    why = "stores a number that it computes where others store a pointer"
    return [Culprit(field.module, name, None, None, why) for name in field.numbers]


def who_takes_and_gives_back(doers: Doers | Missing, on_stack: set[str]) -> list[Culprit]:
    """The one function that both takes references and gives them back, if it is not at work.

    It does so on different ways; one of them may give back what was not taken.
    """
    if isinstance(doers, Missing):
        return []
    found = [name for name in doers.both if name not in on_stack]
    why = "takes references and gives them back, on different ways"
    alone = found if len(found) == 1 else []
    return [Culprit(doers.module, name, None, None, why) for name in alone]


def callers_first(culprits: list[Culprit], doers: Doers | Missing) -> list[Culprit]:
    """With whoever called a helper that frees what it is given before that helper."""
    if isinstance(doers, Missing) or len(culprits) < 2:  # one, and its caller
        return culprits
    first, second = culprits[:2]
    helps = first.module == second.module == doers.module and first.function in doers.helpers
    return [second, first, *culprits[2:]] if helps else culprits


def managers(doers: Doers | Missing) -> list[Culprit]:
    """Who has memory of the kernel that it frees itself, in a module that frees nothing."""
    if isinstance(doers, Missing) or doers.frees or doers.allocates:
        return []
    why = "has memory that the kernel frees when the device is unbound"
    had = [Culprit(doers.module, name, None, None, why) for name in doers.managed]
    why = "is called before the kernel frees the memory, and does not end what then used it"
    return [*(Culprit(doers.module, name, None, None, why) for name in doers.unbinds), *had]


def freed_before(
    doers: Doers | Missing, on_stack: Collection[str] = (), way: int = 0
) -> list[Culprit]:
    """Who frees what a field holds, and leaves both the pointer and what has the field.

    Who frees now and leaves the pointer itself is no less suspect than others that do, but less
    than who frees what it has stored there itself.

    :param on_stack: functions at work
    :param way: whose value the field held
    """
    if not isinstance(doers, Doers):
        return []
    field = doers.field(way)
    # Where the trace of the pointer is lost, a function that does both tells itself.
    names = field.leaves if field is not None else () if way else doers.twice
    at_times = field.at_times if field is not None else ()
    leaving = [
        *(Culprit(doers.module, name, None, None, _LEAVES) for name in names),
        *(Culprit(doers.module, name, None, None, _AT_TIMES) for name in at_times),
    ]
    own = [name for name in field.leaves_own if name not in on_stack] if field is not None else []
    counted = field.leaves_counted if field is not None else ()
    return [
        *(Culprit(doers.module, name, None, None, _LEAVES_COUNTED) for name in counted),
        *([] if any(one.function in on_stack for one in leaving) else leaving),
        *(Culprit(doers.module, name, None, None, _LEAVES_OWN) for name in own),
    ]


def copiers(doers: Doers | Missing, holder: SlabObject) -> list[Culprit]:
    """Who duplicates objects like the one that holds a pointer: then two of them hold it."""
    if isinstance(doers, Missing):
        return []
    why = "duplicates such an object as a whole, the pointer in it as well"
    return [
        Culprit(doers.module, one.function, None, None, why)
        for one in doers.copies
        if any(holder.size // 2 < size <= holder.size for size in one.sizes)
    ]
