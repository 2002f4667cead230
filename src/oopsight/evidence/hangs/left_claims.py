"""A bit that a driver uses as a lock of its own, which is set, and functions that can have kept it.

Who waits looks again and again whether it can set the bit. Nobody is in code that has set it and
not cleared it: whoever did has returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.stacks import COLD, Call, StackReader, TaskStack
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.atomic_claims import (
    Claim,
    Claimed,
    claims,
    frees,
    looked_for,
    reached_from,
    sets,
)
from oopsight.kernel.code_ahead import resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.omissions import comes_to, omission
from oopsight.kernel.shares import Moves, keeping, spread
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAITS = 4
_STALLS = (Kind.SOFT_LOCKUP, Kind.RCU_STALL, Kind.HARD_LOCKUP)
_NUMBER = 4


@dataclass(frozen=True)
class ClaimLeak:
    """A function that can return with it, or without having made it free as it does else."""

    function: str
    returns_at: str
    taken_at: str | None
    """``None`` where another has taken it."""


@dataclass(frozen=True)
class LeftClaim:
    """What is claimed, and who waits for it."""

    task: TaskPointer
    function: str
    """That tries to claim it."""
    module: ModulePointer
    name: str
    at: BytesPointer
    leaks: tuple[ClaimLeak, ...]


@dataclass(frozen=True)
class LeftClaims:
    """Those of all that wait so, and that nobody has."""

    found: tuple[LeftClaim, ...]


def collect(
    session: Session,
    symptom: Symptom,
    waits: Waits | Missing,
    cpus: Cpus | Missing,
    modules: Modules,
) -> LeftClaims | Missing:
    """Read the code of the modules whose functions wait, or loop, in an attempt to claim a bit."""
    stalled = symptom.kind in _STALLS and isinstance(cpus, Cpus)
    if isinstance(waits, Missing) or not (stalled or hung(symptom, waits)):
        return Missing(Why.NOT_APPLICABLE, "nobody waits or loops for long")
    asked = [
        (wait.stack, wait.call)
        for wait in waits.victims
        if wait.lock is not None and wait.lock.kind == "event" and not wait.lock.holders
    ]
    if stalled and isinstance(cpus, Cpus):
        asked += [(cpu.stack, cpu.stack.looping) for cpu in cpus.cpus if not cpu.in_user]
    stacks = [wait.stack for wait in waits.waits]
    stacks += [cpu.stack for cpu in cpus.cpus] if isinstance(cpus, Cpus) else []
    reader = StackReader(session, modules)
    found: list[LeftClaim] = []
    for stack, call in asked[:_MOST_WAITS]:
        module = next(
            (m for m in modules.loaded if call is not None and m.name == call.module), None
        )
        if module is not None and call is not None:
            found += _left(session, reader, module, stacks, stack, call)
    return LeftClaims(tuple(found))


def _left(
    session: Session,
    reader: StackReader,
    module: Module,
    stacks: list[TaskStack],
    stack: TaskStack,
    call: Call,
) -> Iterator[LeftClaim]:
    for claim in _tried(reader, call):
        at = _is_claimed(session, reader, stack, call, claim)
        if at is None:
            continue
        try:
            code = module_functions(session, reader, module)
        except SymbolError:
            return
        whole = {name: one for name, one in code.items() if COLD not in name}
        known = holders_of(whole, claim.what)
        if any(_has_it(one, known) for one in stacks):
            continue
        found = leaks_of(known, lambda target: COLD in reader.names.code(target)[0])
        if found:
            name = reader.names.data(at.address) or str(at.address)
            if claim.what.mask > 0:
                name = f"bit {claim.what.mask.bit_length() - 1} of {name}"
            yield LeftClaim(stack.task, call.function, module.pointer, name, at, tuple(found))


def _tried(reader: StackReader, call: Call) -> Iterator[Claim]:
    """What a function tries to claim in the loop that it waits in, or was caught in."""
    function = reader.function(call.pc - call.offset)
    for claim in claims(function) if function is not None else ():
        if function is None or not comes_to(function, call.pc, claim.at, ()):
            continue
        again = (comes_to(function, way, call.pc, ()) for way in _fails(function, claim))
        if any(again):
            yield claim


def _fails(function: Function, claim: Claim) -> list[int]:
    """Where the code goes on without it."""
    at, ways = claim.at, [claim.at]
    while len(ways) == 1:
        at = ways[0]
        ways = function.ways(function.code[at]) if at in function.code else []
    return [way for way in ways if way not in claim.got]


def _is_claimed(
    session: Session, reader: StackReader, stack: TaskStack, call: Call, claim: Claim
) -> BytesPointer | None:
    """Where it is, if it is claimed."""
    from drgn import FaultError, Object

    prog: Any = session.prog
    function = reader.function(call.pc - call.offset)
    frames = reader.frames(Object(prog, "struct task_struct *", stack.task.address))
    if function is None or call.index >= len(frames):
        return None
    place = function.at(call.pc, calling=not call.interrupted)
    place = place or Place((), None, function.registers(call.pc))
    where = claim.what.place
    address = resolve(
        where, place, lambda name: reader.value(frames, call.index, name), reader.word
    )
    if address is None:
        return None
    try:
        raw = session.read(address, _NUMBER if claim.what.mask == -1 else 1)
    except (FaultError, OverflowError):
        return None
    number = int.from_bytes(raw, "little")
    return BytesPointer(Address(address), raw.hex()) if number & claim.what.mask else None


def holders_of(
    code: dict[str, Function], what: Claimed, *, looked_for: bool = False
) -> dict[str, Moves]:
    """Where each function has what is claimed, and makes it free, itself or by one it calls.

    :param looked_for: whoever sets it has it, whether it was set before or not
    """

    def takes(function: Function) -> set[int]:
        claimed = [claim for claim in claims(function) if claim.what.may_be(what)]
        got = set().union(*(claim.got for claim in claimed))
        tried = {function.code[claim.at].end for claim in claimed}
        return got | (sets(function, what) - tried if looked_for else set())

    return spread(code, takes, lambda function: frees(function, what))


def leaks_of(known: dict[str, Moves], aside: Callable[[int], bool]) -> list[ClaimLeak]:
    """Who can return with it; then who makes it free for others, and on some ways does not."""
    found: dict[str, ClaimLeak] = {}
    for name, function, way in keeping(known):
        plain, start = base_name(name), function.start
        at, taken = f"{plain}+{way.returns - start:#x}", f"{plain}+{way.taken - start:#x}"
        found.setdefault(plain, ClaimLeak(plain, at, taken))
    for name, one in known.items():
        left = omission(one.function, one.given, aside) if one.given and not one.taken else None
        if left is not None and left.acts:
            at = f"{base_name(name)}+{left.returns - one.function.start:#x}"
            found.setdefault(base_name(name), ClaimLeak(base_name(name), at, None))
    return list(found.values())


def keeping_bits(
    reader: StackReader, code: dict[str, Function], function: Function, loop: frozenset[int]
) -> tuple[str, ...]:
    """Who can return and leave a bit set that a loop looks for to be clear, as it does else.

    :param code: the functions of the module
    :param loop: addresses of the loop's instructions
    """
    whole = {name: one for name, one in code.items() if COLD not in name}
    found: dict[str, None] = {}
    for what in looked_for(function, loop):
        known = holders_of(whole, what, looked_for=True)
        leaks = leaks_of(known, lambda target: COLD in reader.names.code(target)[0])
        found |= dict.fromkeys(leak.function for leak in leaks if leak.taken_at is not None)
    return tuple(found)


def _has_it(stack: TaskStack, known: dict[str, Moves]) -> bool:
    """Whether a task is in code that has it, and has not made it free."""
    starts = {one.function.start: one for one in known.values()}
    for call in stack.calls:
        one = starts.get(call.pc - call.offset)
        if one is None:
            continue
        # Who calls the one that waits for it goes on with it where that returns.
        inside = [begin for begin in one.taken if begin != call.pc]
        if any(call.pc in reached_from(one.function, begin, one.given) for begin in inside):
            return True
    return False
