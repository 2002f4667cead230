"""Who gives back for its caller, on some ways, what the caller gives back then as well.

The error path of a helper frees what it was handed, or puts its reference, and the caller does so
when the helper has failed. A helper that fails on other ways without doing so leaves that to its
caller: the way on which it does not is the odd one out. So it is where the helper got it by a call
and has stored it already in what the caller gives back as a whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.modules.code_values import Handed, Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import DEPTH, Place, Uses, given_back
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import Ownership, plain
from oopsight.kernel.addresses import signed
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.machine_code import direct_target
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 32


@dataclass(frozen=True)
class GivenTwice:
    """A helper, and who calls it."""

    helper: str
    caller: str


@dataclass(frozen=True)
class Kept:
    """What a function got by a call, stored in a field of an argument, and gives back."""

    field: tuple[int, int]
    """How far from which argument."""
    stored: int
    """Where it was stored: behind the instruction."""
    back: int
    """Where it is given back: the call, or what follows a count of its own."""
    called: str
    """What it called for it."""


def given_twice(
    session: Session, modules: Modules, module: Module, uses: Uses
) -> tuple[GivenTwice, ...]:
    """Helpers that give back what they are handed on some ways, for callers that do so too."""
    pairs, kept = dict.fromkeys(_pairs(uses)), dict.fromkeys(_kept_pairs(uses))
    if not pairs and not kept:
        return ()
    ownership = Ownership(session, modules, module, counted=True)
    by_name = {base_name(f.name): f for f in ownership.functions if ".cold" not in f.name}
    found = []
    for caller, helper, number in itertools.islice(pairs, _MOST):
        one = by_name.get(helper)
        if one is None:
            continue
        if number is None:
            at_times = _passes_by(ownership, one)
        else:
            fate = ownership.handed(one, ARGUMENTS[number])
            at_times = fate is not None and fate.freed and bool(fate.lost)
        if at_times:
            found.append(GivenTwice(helper, caller))
    for pair, what in itertools.islice(kept, _MOST):
        one = by_name.get(pair.helper)
        if one is not None and _leads(ownership, one, what):
            found.append(pair)
    return tuple(dict.fromkeys(found))


def given_before(uses: Uses) -> tuple[GivenTwice, ...]:
    """Who gives back what a field holds, leaves it there, and has a helper do so once more.

    The helper gives the same field of what it is handed back with all the rest.
    """
    found = []
    for caller, use in uses.items():
        back = {(root, at) for root, _, _, at in given_back(use, uses) if root.kind == "loaded"}
        back = {(root, at) for root, at in back if (root.number, root.of) not in use.written}
        for call in use.handed:
            helper = uses.get(base_name(call.name)) if call.own else None
            again = {_field(call, *one) for one in _given_fields(helper, uses)} if helper else ()
            if any(_place(root) in again and at < call.at for root, at in back):
                found.append(GivenTwice(base_name(call.name), caller))
    return tuple(dict.fromkeys(found))


def _given_fields(use: FieldUse, uses: Uses) -> set[tuple[int, int]]:
    """The fields of its arguments of which a function gives back what they hold.

    How far from what argument they are.
    """
    return _of_arguments(root for root, *_ in given_back(use, uses, DEPTH - 1))


def _of_arguments(held: Iterable[Value]) -> set[tuple[int, int]]:
    """The fields of arguments that values were loaded from: how far from what argument."""
    places = [_place(value) for value in held if value.kind == "loaded" and value.of is not None]
    return {(far, number) for root, far in places if (number := _number(root)) is not None}


def _place(loaded: Value) -> Place:
    """Where a value was loaded from: in what, and how far from its beginning."""
    if loaded.of is None:
        return Value("number", 0), loaded.number
    root, far = within(loaded.of)
    return root, far + signed(loaded.number)


def _field(call: Handed, far: int, number: int) -> Place:
    """A field of what a call hands over, as a place of the caller's."""
    root, distance = within(call.arguments[number])
    return root, distance + far


def kept_after(uses: Uses, helpers: Collection[str]) -> tuple[GivenTwice, ...]:
    """Who has a helper free what an object's fields hold, and keeps the object.

    :param helpers: functions that free what they are given, or what that holds
    """
    leaving = {name for name in helpers if any(not one.cleared for one in uses[name].frees)}
    found = []
    for caller, use in uses.items():
        gone = {within(value)[0] for _, value in use.freed}
        for call in use.handed:
            root = within(call.arguments[0])[0]
            new = (root.called or "").lstrip("_").startswith(ALLOCATES)
            if call.own and base_name(call.name) in leaving and root not in gone and not new:
                found.append(GivenTwice(base_name(call.name), caller))
    return tuple(dict.fromkeys(found))


def _passes_by(ownership: Ownership, one: ModuleFunction) -> bool:
    """Whether a function can return without having called anything that frees."""
    code = ownership.code(one)
    waiting, seen = [one.start], {one.start}
    while waiting and code is not None:
        instruction = code.code.get(waiting.pop())
        if instruction is None:
            continue
        if instruction.mnemonic == "ret":
            return True
        if instruction.mnemonic in ("call", "jmp") and ownership.frees(direct_target(instruction)):
            continue
        onwards = set(code.ways(instruction)) - seen
        seen |= onwards
        waiting += onwards
    return False


def _pairs(uses: Uses) -> Iterator[tuple[str, str, int | None]]:
    """Callers, helpers, and the number of the argument that both give back, the caller later.

    No number, where it is what a field of the argument holds, and the helper leaves it there.
    """
    for caller, use in uses.items():
        back = [(root, at) for root, _, _, at in given_back(use, uses)]
        for call in use.handed:
            helper = uses.get(base_name(call.name)) if call.own else None
            name = base_name(call.name)
            for number in _own_arguments(helper, uses) if helper is not None else ():
                handed = within(call.arguments[number])[0]
                if any(root == handed and at > call.at for root, at in back):
                    yield caller, name, number
            again = {_field(call, *one) for one in _left_fields(helper)} if helper else ()
            if any(
                root.kind == "loaded" and _place(root) in again and at > call.at
                for root, at in back
            ):
                yield caller, name, None


def _kept_pairs(uses: Uses) -> Iterator[tuple[GivenTwice, Kept]]:
    """Helpers and callers, where the caller gives back later what the helper has kept."""
    for caller, use in uses.items():
        back = [(root, at) for root, *_, at in given_back(use, uses) if root.kind == "loaded"]
        for call in use.handed if back else ():
            name = base_name(call.name)
            for what in _kept(uses[name], uses) if call.own and name in uses else ():
                field = _field(call, *what.field)
                if any(_place(root) == field and at > call.at for root, at in back):
                    yield GivenTwice(name, caller), what


def _kept(use: FieldUse, uses: Uses) -> Iterator[Kept]:
    """What a function stores in its arguments, clears nowhere there, and may give back itself."""
    cleared = {key for key, _ in use.cleared}
    stored = zip(use.written, use.pointers, use.stored_at, strict=False)
    back = [(root, at) for root, far, _, at in given_back(use, uses, DEPTH - 1) if not far]
    for (key, base), (_, value), end in stored:
        root, far = within(base) if base is not None else (value, 0)
        number = _number(root)
        if number is None or key in cleared or value.kind != "returned" or not value.called:
            continue
        for given, at in back:
            if given == value:
                yield Kept((far + signed(key), number), end, at, value.called)


def _leads(ownership: Ownership, one: ModuleFunction, what: Kept) -> bool:
    """Whether a way leads from the store to where it is given back, before the next is got."""
    code = ownership.code(one)
    waiting, seen = [what.stored], {what.stored}
    while waiting and code is not None:
        instruction = code.code.get(waiting.pop())
        if instruction is None:
            continue
        if instruction.address == what.back:
            return True
        called = instruction.mnemonic == "call"
        if called and ownership.called(direct_target(instruction)) == plain(what.called):
            continue
        onwards = set(code.ways(instruction)) - seen
        seen |= onwards
        waiting += onwards
    return False


def _own_arguments(use: FieldUse, uses: Uses) -> list[int]:
    """Which of its arguments, or what they are in, a function gives back, from 0 on."""
    given = [root for root, *_ in given_back(use, uses, DEPTH - 1)]
    return sorted({number for root in given if (number := _number(root)) is not None})


def _left_fields(use: FieldUse) -> set[tuple[int, int]]:
    """The fields of its arguments of which a function frees what they hold, and leaves it there."""
    held = [value for _, value in use.freed if value.kind == "loaded"]
    return _of_arguments(one for one in held if (one.number, one.of) not in use.written)


def _number(value: Value) -> int | None:
    """Which argument a value is, from 0 on."""
    known = value.kind == "argument" and 0 < value.number <= len(ARGUMENTS)
    return value.number - 1 if known else None
