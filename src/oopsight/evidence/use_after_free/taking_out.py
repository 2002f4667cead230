"""Who of a module takes what lies in an object out of others' hands before it frees it.

A counter, a timer, a list's entry, a device in an object is known to others by its address. Whoever
frees the object and has first called what ends that, with the address of the member, has not left
it there; another that frees such objects and has not called it may have. Helpers of the module are
looked into.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Protocol

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.flow.data_flow import DataFlow, Way
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.code_values import Value, root_of, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import DEPTH, Done, Place, Uses, by_helpers, calls, freed
from oopsight.evidence.modules.known_calls import ALLOCATES, HANDS_ON
from oopsight.evidence.modules.publishing import PUBLISHES
from oopsight.kernel.addresses import signed

ENDS = re.compile(
    r"(?:^|_)(?:del|delete|destroy|cancel|remove|unregister|deregister|detach|erase|kill|shutdown"
    r"|exit|stop|unlink|cleanup|uninit|deactivate|disconnect|unbind|leave|unhash|unsubscribe|unreg)(?:_|$)|(?:^|_)free_irq"
)
_BEGINS = re.compile(
    r"(?:^|_)(?:add|register|insert|link|start|queue|mod|attach|subscribe|schedule|enqueue)(?:_|$)"
)
_WITH_PARTS = re.compile(r"delayed_work|device|napi|netdev|kobject")
"""Functions that end what has parts which are set up by themselves."""
_NO_WAIT = frozenset(
    [
        *("cancel_delayed_work", "cancel_work", "del_timer", "timer_delete", "timer_shutdown"),
        *("hrtimer_try_to_cancel", "try_to_del_timer_sync", "timer_delete_sync_try"),
        "disable_delayed_work",
        "disable_work",
    ]
)
"""Functions that take a work item or timer out, and do not wait for what runs for it."""
LARGEST_MEMBER = 512
_LARGEST_TIMER = 64
_WORD = 8


@dataclass(frozen=True)
class TakingOut:
    """Of a member in a freed object that others still know, by names of functions that free it."""

    begin: int
    """Where in the object it begins."""
    does: tuple[str, ...]
    """Take it out."""
    leaves: tuple[str, ...]
    """Do not, or have a helper free it and do not; or take it out on some ways only. None where all
    do take it out."""


class Code(Protocol):
    """What the code of a module's functions tells of the ways through it."""

    def after(self, name: str, called: str) -> bool:
        """Whether a function frees after a call that succeeded."""

    def onwards(self, name: str, site: int, freed_at: int, *, known: bool) -> bool:
        """Whether it comes from an instruction, of a call where that succeeded, to one that frees.

        :param known: also of a call whose result is not looked at
        """

    def past(self, name: str, sites: set[int], frees: set[int]) -> bool:
        """Whether it comes past all of some calls to one of those that free, by their addresses."""


def places_met(
    one: SlabObject, flow: DataFlow | None, report: ListReport | None
) -> tuple[int, ...]:
    """Where in an object its address was still known: of pointers in memory that lead into it.

    One to its very beginning only where it is an entry's, which the list check or another entry of
    its kind says.
    """
    met = [int(entry.owner.address) for entry in (report.entries if report else ())]
    for way in flow.ways if flow is not None else ():
        # What memory held, before anything was taken from it.
        kept = way.end.value if way.ended == "loaded" and way.end is not None else way.value
        if kept is not None and (kept != one.address or _from_entry(way, one)):
            met.append(int(kept))
    return tuple(dict.fromkeys(at - one.address for at in met if one.address <= at < one.end))


def _from_entry(way: Way, one: SlabObject) -> bool:
    held = way.held_in
    kept = held.slab if held is not None else None
    if held is None or kept is None or kept.cache_address != one.cache_address:
        return False
    # A tree's node has its colour first, and then the pointers to the nodes below it.
    return (held.offset or 0) <= 2 * _WORD


def taking_out(
    uses: Uses, places: tuple[int, ...], code: Code, others: Collection[str] = ()
) -> TakingOut | None:
    """Whether those that free objects take a member of theirs out first.

    :param uses: what the module's functions do, by their names
    :param places: where in the object others still had its address
    :param others: functions that free objects of other sizes
    :return: nothing where none of them does so with what may be this member
    """
    frees = {name: _frees(use, uses) for name, use in uses.items() if name not in others}
    frees = {name: found for name, found in frees.items() if found}
    ends = {name: _apart(name, uses, frees) for name in frees}
    touched = {at for use in uses.values() for at in _touched(use, frees)}
    taken: TakingOut | None = None
    for place in places:
        begin = _begin(place, ends, touched)
        if begin is None:
            continue
        does = tuple(name for name, found in ends.items() if begin in found)
        itself = [one for one in does if begin in _apart(one, uses, frees, own=True)]
        relying = {name for name in frees if any(calls(uses[one], name) for one in itself)}
        relying -= {*does}
        leaves = tuple(
            name
            for name in frees
            if name not in does
            and name not in relying
            and (
                any(_was_in(code, name, uses[name], one, begin) for one in uses[name].freed)
                or any(calls(uses[name], other) for other in relying)
            )
        )
        at_times = [name for name in does if _at_times(code, name, uses[name], begin)]
        always = tuple(name for name in does if name not in at_times)
        if leaves or at_times:
            # What is new has mostly not come to be known.
            used = sorted(leaves, key=lambda name: all(_is_new(root) for root, _ in frees[name]))
            return TakingOut(begin, always, (*used, *at_times))
        taken = taken or TakingOut(begin, always, ())
    return taken


def new_only(uses: Uses, code: Code) -> tuple[str, ...]:
    """Who frees nothing but what it has allocated, and has not made known before it does so."""
    return tuple(
        name
        for name, use in uses.items()
        if use.freed
        and all(
            _is_new(root_of(within(value)[0])) and not _handed_out(code, name, use, at, value)
            for at, value in use.freed
        )
    )


def _handed_out(code: Code, name: str, use: FieldUse, freed_at: int, freed: Value) -> bool:
    """Whether a pointer to something new was stored elsewhere, or handed on, before it is freed."""
    root = root_of(freed)
    stores = [
        end
        for end, (_, value), (_, base) in zip(
            use.stored_at, use.pointers, use.written, strict=False
        )
        if root_of(value) == root and (base is None or root_of(base) != root)
    ]
    if any(code.onwards(name, end, freed_at, known=True) for end in stores):
        return True
    handed = [c for c in use.handed if root in [within(value)[0] for value in c.arguments[:3]]]
    return any(
        code.onwards(name, call.at, freed_at, known=not call.own)
        for call in handed
        if call.own or not call.name or call.name in HANDS_ON or PUBLISHES.match(call.name)
    )


def hurrying(uses: Uses, place: int, others: Collection[str] = ()) -> tuple[str, ...]:
    """Who frees objects without waiting for what runs for a timer or work item in them.

    :param place: where in the object that lies
    :param others: functions that free objects of other sizes
    """
    frees = {
        name: found
        for name, use in uses.items()
        if name not in others and (found := _frees(use, uses))
    }
    return tuple(
        name
        for name in frees
        for begin, called in _apart(name, uses, frees).items()
        if called in _NO_WAIT and 0 <= place - begin < _LARGEST_TIMER
    )


def leaving_what(
    name: str, uses: Uses, code: Code, others: Collection[str] = ()
) -> tuple[tuple[str, ...], str]:
    """Who frees such objects and leaves with others what one function takes out of these first.

    And by which call that one does so. The parameters are as for :func:`taking_out`.
    """
    frees = {one: found for one, use in uses.items() if (found := _frees(use, uses))}
    for begin, called in sorted(_apart(name, uses, frees).items()) if name in frees else ():
        taken = taking_out(uses, (begin,), code, others)
        leaves = () if taken is None else tuple(one for one in taken.leaves if one != name)
        if leaves:
            return leaves, called
    return (), ""


def _apart(
    name: str, uses: Uses, frees: dict[str, list[Place]], own: bool = False
) -> dict[int, str]:
    """What a function takes out of what it frees, by distances from its beginning.

    :param own: not by helpers that free as well
    """
    helpers = {other: use for other, use in uses.items() if not own or other not in frees}
    kept = {key for use in uses.values() for key in _own_address(use)}
    return {
        at - begin: called
        for root, begin in frees[name]
        for other, far, called, _ in ended(uses[name], helpers)
        for at in _from(root, other, far, kept)
    }


def _from(root: Value, other: Value, far: int, kept: set[int]) -> Iterator[int]:
    """How far what lies at a distance from one pointer is from another.

    :param kept: distances of the fields in which such objects have their own address: who is handed
        a member of one finds the object by that
    """
    if other == root:
        yield far
    if root.kind != "loaded" or root.of is None:
        return
    member, distance = within(root.of)
    field = signed(root.number) + distance
    if member == other:
        yield from (key - field + far for key in kept if key >= field)


def _own_address(use: FieldUse) -> Iterator[int]:
    """Distances of the fields of a new object in which its own address is stored.

    Two side by side are the head of an empty list.
    """
    found = {
        within(base)[1] + signed(key)
        for (key, base), (_, value) in zip(use.written, use.pointers, strict=True)
        if base is not None and within(base)[0] == value and _is_new(value)
    }
    yield from (key for key in found if not found & {key - _WORD, key + _WORD})


def _frees(use: FieldUse, uses: Uses) -> list[Place]:
    return [(root, at) for root, at, *_ in freed(use, uses)]


def _begin(place: int, ends: dict[str, dict[int, str]], touched: set[int]) -> int | None:
    """Where the member begins that a place is in, of those that anybody takes out."""
    known = {at: name for found in ends.values() for at, name in found.items()}
    begin = max((at for at in known if at <= place < at + LARGEST_MEMBER), default=None)
    if begin is None or _WITH_PARTS.search(known[begin]):
        return begin
    return None if any(begin < at <= place for at in touched) else begin


def _touched(use: FieldUse, frees: dict[str, list[Place]]) -> Iterator[int]:
    """Distances of what the kernel is handed of new objects, and of those that are freed."""
    begins = {root: at for found in frees.values() for root, at in found}
    for call in use.handed:
        for root, at in () if call.own else map(within, call.arguments[:3]):
            if _is_new(root):
                yield at
            elif root in begins and (root.kind != "argument" or root.of is None):
                yield at - begins[root]


def _is_new(root: Value) -> bool:
    return (root.called or "").lstrip("_").startswith(ALLOCATES)


def _was_in(code: Code, name: str, use: FieldUse, freed: tuple[int, Value], begin: int) -> bool:
    """Whether an object's member was made known before it is freed: what is new may not yet be.

    What was called through a pointer with any of it, as to poll a file, may have done so.
    """
    root, at = within(freed[1])
    # What is read back from something new was put there as well by now.
    if not _is_new(root_of(root)):
        return True
    if at + begin in [far for base, far in use.put_in if base == root]:
        return True
    known = {
        call.name
        for call in use.handed
        if _BEGINS.search(call.name) and (root, at + begin) in map(within, call.arguments[:3])
    }
    handed = [c for c in use.handed if root in [within(value)[0] for value in c.arguments[:3]]]
    return any(code.after(name, called) for called in known) or any(
        code.onwards(name, call.at, freed[0], known=True) for call in handed if not call.name
    )


def _at_times(code: Code, name: str, use: FieldUse, begin: int) -> bool:
    """Whether a function that takes a member out comes to free the object without that, too."""
    freed = {within(value): at for at, value in use.freed if not _is_new(within(value)[0])}
    for (root, far), at in freed.items():
        sites = {
            call.at
            for call in use.handed
            if not call.own
            and ENDS.search(call.name)
            and (root, far + begin) in map(within, call.arguments[:3])
        }
        if sites and code.past(name, sites, {at}):
            return True
    return False


def ended(use: FieldUse, uses: Uses, depth: int = DEPTH) -> Iterator[Done]:
    """What a function takes out of others' hands, itself or by helpers, and by which call."""
    yield from ((*one, "", 0) for one in use.taken_off)
    for call in use.handed:
        if not call.own and ENDS.search(call.name):
            yield from ((*within(value), call.name, call.at) for value in call.arguments[:3])
    yield from by_helpers(use, uses, depth, ended)
