"""Functions that do as those do which set a field, but leave that field alone.

A timeout ends a command as its completion does, and does not set the state back; a new layout of a
ring empties it as opening it does, and leaves the place in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import LOCKS, UNLINKS
from oopsight.evidence.modules.operand_keys import MASK
from oopsight.kernel.addresses import signed
from oopsight.plumbing import base_name

_MOST = 2
"""Of more that do as much alike none stands out."""
_DEEPEST = 3
_UNLINKS = "takes an entry off"
_LESS = "sets, or takes from"
_WEIGHT = 2
"""Of what is the very same in two functions."""
_WORD = 8
_Act = tuple[str, int | str]


def leaving_alone(
    uses: dict[str, FieldUse],
    menders: Mapping[str, Collection[int]],
    setting: Collection[str],
    begins: dict[str, tuple[int, ...]],
) -> tuple[str, ...]:
    """Who does most of what another does that sets a field, and does not set it.

    :param uses: what the functions do with fields, by their names
    :param menders: who sets the field to another number than what was found, and its keys for them
    :param setting: all who set it
    :param begins: how far in the object may lie what the kernel calls a function with
    """
    sets = _leading_to(uses, setting)
    scores: dict[str, int] = {}
    for one, keys in menders.items():
        acts = {act for act in _acts(uses, one) if act[1] not in keys}
        for name in uses.keys() - sets:
            other = _acts(uses, name)
            alike = max(
                sum(1 if what == _LESS else _WEIGHT for what, _ in acts & _moved(other, by))
                for by in _ways_apart(uses, one, name, begins)
            )
            scores[name] = max(scores.get(name, 0), alike)
    most = max(scores.values(), default=0)
    found = tuple(sorted(name for name, score in scores.items() if score == most))
    return found if most and len(found) <= _MOST else ()


def _leading_to(uses: dict[str, FieldUse], names: Collection[str]) -> set[str]:
    """Some functions, and those that call them, or have them called."""
    found = set(names)
    for _ in range(_DEEPEST):
        found |= {
            name
            for name, use in uses.items()
            if any(base_name(call.name) in found for call in use.handed if call.own)
        }
    return found


def undoing(
    uses: dict[str, FieldUse],
    one: str,
    key: int,
    setting: Collection[str],
    begins: dict[str, tuple[int, ...]],
    holds: Callable[[int, int, int], bool],
) -> tuple[str, ...]:
    """Who has undone what else a function did that had set the field, but has left that.

    A device is switched on again, of which switching off had cleared the rate.

    :param one: who has set the field to what was found
    :param key: by which it has the field
    :param setting: all who set it
    :param holds: whether memory so far from the field, of a size in bytes, has a number
    """
    done = {at: number for at, _, number in uses[one].constants if at != key}
    sets = _leading_to(uses, setting)
    found: dict[str, int] = {}
    for name in uses.keys() - sets:
        for by in _ways_apart(uses, one, name, begins):
            undone = [
                at
                for its, size, number in uses[name].constants
                if done.get(at := (its + by) & MASK, number) != number
                and holds(signed((at - key) & MASK), size, number)
            ]
            found[name] = max(found.get(name, 0), len(undone))
    most = max(found.values(), default=0)
    names = tuple(sorted(name for name, score in found.items() if score == most))
    return names if most and len(names) <= _MOST else ()


def _ways_apart(
    uses: dict[str, FieldUse], one: str, other: str, begins: dict[str, tuple[int, ...]]
) -> set[int]:
    """By how much the keys of one function may differ from those that another has."""
    found = {its - mine for its in begins.get(other, (0,)) for mine in begins.get(one, (0,))}
    found |= {mine - its for mine in uses[one].locks for its in uses[other].locks}
    return found


def _moved(acts: set[_Act], by: int) -> set[_Act]:
    """The same acts, with other keys."""
    return {(what, (key + by) & MASK if isinstance(key, int) else key) for what, key in acts}


def _acts(uses: dict[str, FieldUse], name: str) -> set[_Act]:
    """What a function does: which numbers it sets, what it counts, calls for parts of an object."""
    use = uses[name]
    found: set[_Act] = {(f"= {number}", key) for key, _, number in use.constants}
    found |= {("up", key) for key in use.raises}
    whole = use.wide | {key + 4 for key, size, _ in use.constants if size == _WORD}
    halves = {key for key in whole if (key - 4) & MASK in use.changes}
    found |= {(_LESS, key) for key in (use.changes & use.sets - use.raises - halves) | use.lowers}
    if use.unlinks or use.taken_off or any(call.name in UNLINKS for call in use.handed):
        found.add((_UNLINKS, ""))
    for call in use.handed:
        called = base_name(call.name)
        if call.own:
            other = uses.get(called)
            if other is not None and (other.changes or other.freed):
                found.add(("calls", called))
            continue
        root, distance = within(call.arguments[0])
        if root.kind == "number":
            distance += root.number
        if distance and not LOCKS.match(called) and "unlock" not in called:
            found.add((called, distance & MASK))
    return found
