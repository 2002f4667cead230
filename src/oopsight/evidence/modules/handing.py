"""What functions of a module do with what they are given, followed into those that they call.

By the values that their code has, read in the order of its addresses: see
:mod:`~oopsight.evidence.modules.field_code`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from oopsight.evidence.modules.code_values import Handed, Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.plumbing import base_name

DEPTH = 3
_CHANGED = ".isra."
_WAITS = re.compile(r"synchronize_(?:s?rcu\w*|net)|rcu_barrier")
_COMPLETED = re.compile(r"wait_for_completion(?:_io)?")
_IN_VAIN = re.compile(r"wait_for_completion_\w*(?:timeout|interruptible|killable|state)\w*")
_LATER = re.compile(r"free_call_rcu|call_rcu")
_GETS = re.compile(r"(?:^|_)(?:get|hold|grab)(?:_|$)(?!user)")
_FIRST = Value("argument", 1)
Place = tuple[Value, int]
"""The pointer to an object, and a distance from it."""
Uses = dict[str, FieldUse]
Done = tuple[Value, int, str, int]
"""The same, by which call, and where in the code of the function that is asked about."""


def freed(use: FieldUse, uses: Uses, depth: int = DEPTH) -> Iterator[Done]:
    """What a function frees, itself or by helpers that it hands it to."""
    yield from ((*within(value), "", at) for at, value in use.freed)
    yield from by_helpers(use, uses, depth, freed)


def put(use: FieldUse, uses: Uses, depth: int = DEPTH) -> Iterator[Done]:
    """Of what a function gives a reference back, itself or by helpers that it hands it to."""
    yield from ((root, 0, "", at) for at, root in use.put)
    yield from by_helpers(use, uses, depth, put)


def given_back(use: FieldUse, uses: Uses, depth: int = DEPTH) -> Iterator[Done]:
    """What a function frees, or gives a reference back to."""
    yield from freed(use, uses, depth)
    yield from put(use, uses, depth)


def leaving_at_times(use: FieldUse, uses: Uses) -> set[Value]:
    """What a function gives back, and on some ways leaves where it was read."""
    return {root for root, _, _, at in given_back(use, uses) if (at, root) in use.left_at_times}


def by_helpers(
    use: FieldUse, uses: Uses, depth: int, what: Callable[[FieldUse, Uses, int], Iterator[Done]]
) -> Iterator[Done]:
    """What those of the module's functions do that a function calls, with what it hands them."""
    for call in use.handed if depth else ():
        helper = uses.get(base_name(call.name)) if call.own else None
        for root, at, name, _ in what(helper, uses, depth - 1) if helper is not None else ():
            mine = _handed(call, root)
            if mine is not None:
                yield mine[0], mine[1] + at, name or call.name, call.at


def putting(uses: Uses, keys: dict[str, set[int]]) -> tuple[str, ...]:
    """Who gives back a reference to what a field holds, and leaves the pointer there.

    Of a function whose parameters the compiler has changed, the call shows what it reads itself: it
    goes first.

    :param keys: of the field, by functions
    """
    found: list[str] = []
    for name, root, by in _untaken(uses):
        if root.number in keys[name]:
            found += [base_name(by)] if _CHANGED in by else []
            found.append(name)
    return tuple(dict.fromkeys(found))


def putting_untaken(uses: Uses) -> dict[str, set[int]]:
    """Who gives back a reference to what any field holds, and leaves it there, and of which fields.

    None where another function takes such a reference, and keeps the pointer nowhere else: they
    belong together, as to open and to close.
    """
    taken = {
        root.number
        for use in uses.values()
        for root in got(use, uses) - {within(value)[0] for _, value in use.pointers}
        if root.kind == "loaded"
    }
    found: dict[str, set[int]] = {}
    for name, root, _ in _untaken(uses):
        if root.number not in taken:
            found.setdefault(name, set()).add(root.number)
    return found


def _untaken(uses: Uses) -> Iterator[tuple[str, Value, str]]:
    """Functions that give back a reference to what a field holds: what that is, and by which call.

    None that takes a reference to it, clears the field, or gives up what has it too.
    """
    for name, use in uses.items():
        gone = {root for root, *_ in given_back(use, uses)}
        for root, _, by, _ in put(use, uses) if not use.counts else ():
            left = root.kind == "loaded" and root not in got(use, uses)
            if left and (root.number, root.of) not in use.written and root.of not in gone:
                yield name, root, by


def got(use: FieldUse, uses: Uses) -> set[Value]:
    """What a function has the kernel, or another of its module, take a reference to."""
    calls = (call for call in use.handed if not call.own and _GETS.search(call.name))
    found = {within(value)[0] for call in calls for value in call.arguments[:2]}
    for call in use.handed:
        helper = uses.get(base_name(call.name)) if call.own else None
        if helper is not None and (helper.counts or _gets_its_own(helper)):
            found.add(within(call.arguments[0])[0])
    return found


def _gets_its_own(use: FieldUse) -> bool:
    """Whether a function has the kernel take a reference to what it is given first."""
    return any(
        not call.own and _GETS.search(call.name) and within(call.arguments[0])[0] == _FIRST
        for call in use.handed
    )


def waiting(uses: Uses) -> tuple[str, ...]:
    """Who waits before it frees, of functions that free what is in use.

    For readers under RCU, or for whoever is to complete it. What is new, and what only the freed
    object leads to, does not count.
    """
    found = []
    for name, use in uses.items():
        waits = [call.at for call in use.handed if not call.own and _WAITS.fullmatch(call.name)]
        later = {call.at for call in use.handed if not call.own and _LATER.search(call.name)}
        gone = {within(value)[0] for _, value in use.freed}
        told = [
            root in completed or at in later or any(wait < at for wait in waits)
            for completed in [_waited_for(use, _COMPLETED)]
            for at, root in ((at, within(value)[0]) for at, value in use.freed)
            if root in completed or (not _is_new(root) and root.of not in gone)
        ]
        told += [True for call in use.handed if call.name == "call_rcu"]
        if told and all(told):
            found.append(name)
    return tuple(found)


def giving_up(uses: Uses) -> tuple[str, ...]:
    """Who frees what it has waited for, and may have waited in vain: for a time, until a signal."""
    return tuple(
        name
        for name, use in uses.items()
        if _waited_for(use, _IN_VAIN) & {within(value)[0] for _, value in use.freed}
    )


def _waited_for(use: FieldUse, how: re.Pattern[str]) -> set[Value]:
    """The objects with what a function waits for."""
    waits = (call for call in use.handed if not call.own and how.fullmatch(call.name))
    return {within(call.arguments[0])[0] for call in waits}


def _is_new(root: Value) -> bool:
    return (root.called or "").lstrip("_").startswith(ALLOCATES)


def calls(use: FieldUse, name: str) -> bool:
    """Whether a function calls one of its module's own."""
    return any(call.own and base_name(call.name) == name for call in use.handed)


def callers_of(code: Iterable[ModuleFunction]) -> dict[str, set[str]]:
    """Who calls each of a module's functions; a part that goes on elsewhere calls nothing."""
    found: dict[str, set[str]] = {}
    for one in code:
        for called in {base_name(name) for name in one.calls} - {base_name(one.name)}:
            found.setdefault(called, set()).add(base_name(one.name))
    return found


def freeing_helpers(uses: Uses, code: Iterable[ModuleFunction]) -> dict[str, set[str]]:
    """Who frees what it is given, or what that holds, and nothing else, and who calls it."""
    callers = callers_of(code)
    return {
        name: callers[name]
        for name, use in uses.items()
        if use.roots == {"argument"} and name in callers
    }


def _handed(call: Handed, argument: Value) -> Place | None:
    """What a call hands over as an argument of the function that it calls."""
    if argument.kind != "argument" or not 0 < argument.number <= len(call.arguments):
        return None
    return within(call.arguments[argument.number - 1])
