"""A loop from object to object that runs in a ring, and the functions that may have closed it.

Whoever walks the chain is right to walk it. The ring is the doing of a function that links an
entry in which is in the chain already; or it is another list, in good order, to which all entries
were moved while the old head went on leading to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.stacks import Call, StackReader, register
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.splicing import splicing
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.kernel.code_locks import Function
from oopsight.kernel.link_code import linked, links_with_itself, unlinks_argument
from oopsight.kernel.loops import Link, link_of, loop_at, outer_link
from oopsight.kernel.machine_code import MASK, direct_target
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = (Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL)
_MOST_LOOPS = 4
_MOST_ENTRIES = 20_000
_WORD = 8
_WAITS = ("synchronize_", "rcu_barrier")
"""Behind these nobody goes along a chain any more who did before."""
_UNLINKS = ("__list_del_entry_valid", "list_del", "hlist_del", "rb_erase", "llist_del")


@dataclass(frozen=True)
class Ring:
    """A chain that comes back to itself, and who can have made it so."""

    task: TaskPointer
    function: str
    """That goes along it."""
    module: ModulePointer
    entries: int | None
    """How many are in the ring; ``None`` where the dump does not tell."""
    closes: tuple[BytesPointer, ...]
    """The link by which it closes."""
    makers: tuple[str, ...]
    """Functions of the module that link in what they have not made and not taken out before."""
    movers: tuple[str, ...] = ()
    """Functions that take an entry out and link it in again, in the chain or another, or with
    itself, if who goes along the chain has but RCU's read lock."""
    splicers: tuple[str, ...] = ()
    """Functions that move all entries of a list away and leave its head leading to them, if the
    ring is a list in good order."""


@dataclass(frozen=True)
class RingMakers:
    """Of each CPU that goes along a chain without end."""

    rings: tuple[Ring, ...]

    def of(self, task: int, function: str) -> Ring | None:
        """That which a function goes along, on the stack of a task, by its address."""
        return next(
            (r for r in self.rings if (r.task.address, r.function) == (task, function)), None
        )


def collect(
    session: Session, symptom: Symptom, cpus: Cpus | Missing, modules: Modules
) -> RingMakers | Missing:
    """Follow the chains that modules' functions were caught in, and read these modules' code."""
    if symptom.kind not in _KINDS or isinstance(cpus, Missing):
        return Missing(Why.NOT_APPLICABLE, "no CPU was reported to loop")
    walkers = [(cpu, call) for cpu in cpus.cpus if (call := _walker(cpu)) is not None]
    reader = StackReader(session, modules)
    found = [_ring(session, reader, modules, *one) for one in walkers[:_MOST_LOOPS]]
    return RingMakers(tuple(one for one in found if one is not None))


def _walker(cpu: Cpu) -> Call | None:
    call = cpu.stack.looping
    return call if call is not None and call.module and call.in_loop else None


def _ring(
    session: Session, reader: StackReader, modules: Modules, cpu: Cpu, call: Call
) -> Ring | None:
    module = next((one for one in modules.loaded if one.name == call.module), None)
    function = reader.function(call.pc - call.offset)
    if module is None or function is None:
        return None
    link = link_of(loop_at(function, call.pc)) if call.follows_pointers else None
    outer = outer_link(function, call.pc) if not call.follows_pointers else None
    link = link or outer
    if link is None:
        return None
    at = _held(session, reader, cpu, call, link.register)
    went = turn(reader.word, at, link) if at is not None else None
    if went is not None and not went.entries:
        return None
    # A list in order has its head as well: only an entry that leads to itself is surely none.
    if outer is not None and (went is None or went.entries > 1):
        return None
    try:
        code = module_functions(session, reader, module)
    except SymbolError:
        return None
    whole = at is not None and went is not None and in_good_order(reader.word, at, link)
    under_rcu = any(held.kind == "rcu" for one in cpu.stack.calls for held in one.holds)
    return Ring(
        task=cpu.task,
        function=call.function,
        module=module.pointer,
        entries=went.entries if went is not None else None,
        closes=went.closes if went is not None else (),
        makers=makers(code, link, reader.names.function_at),
        movers=movers(code, link, reader.names.function_at) if under_rcu else (),
        splicers=_splicers(session, module) if whole else (),
    )


def _held(session: Session, reader: StackReader, cpu: Cpu, call: Call, name: str) -> int | None:
    """What a register held at the loop."""
    from drgn import Object

    prog: Any = session.prog
    frames = reader.frames(Object(prog, "struct task_struct *", cpu.task.address))
    if call.index >= len(frames):
        return None
    if call.interrupted:
        return register(frames[call.index], name)
    return reader.value(frames, call.index, name)


class Turn(NamedTuple):
    """What came of following a chain."""

    entries: int
    """In the ring; 0 where the chain ends."""
    closes: tuple[BytesPointer, ...]


def turn(word: Callable[[int], int | None], at: int, link: Link) -> Turn | None:
    """Follow a chain until an object comes again; ``None`` where the dump does not tell."""
    seen: dict[int, int] = {}
    for number in range(_MOST_ENTRIES):
        seen[at] = number
        field = (at + link.node + link.field) & MASK
        following = word(field)
        if following is None:
            return None
        if not following >> 63:
            return Turn(0, ())
        at = (following - link.node) & MASK
        if at in seen:
            closing = BytesPointer(Address(field), following.to_bytes(_WORD, "little").hex())
            return Turn(number + 1 - seen[at], (closing,))
    return None


def in_good_order(word: Callable[[int], int | None], at: int, link: Link) -> bool:
    """Whether each entry of a ring is led back to by the next one, as on a ``list_head``."""
    first = at = (at + link.node) & MASK
    for _ in range(_MOST_ENTRIES if link.field == 0 else 0):
        following = word(at)
        if following is None or word(following + _WORD) != at:
            return False
        if following == first:
            return at != first
        at = following
    return False


def _splicers(session: Session, module: Module) -> tuple[str, ...]:
    reader = SessionReader(session)
    return splicing(uses_of(reader, inner_functions(session, module, reader)))


def makers(
    code: dict[str, Function], link: Link, name_of: Callable[[int], str | None]
) -> tuple[str, ...]:
    """Functions that may link in an entry a second time; last those that are given the entry.

    :param code: the module's functions by their names
    :param name_of: names the function at an address
    """
    found = [one for one in _links_in(code, link, name_of) if not one[2]]
    return _named(found)


def movers(
    code: dict[str, Function], link: Link, name_of: Callable[[int], str | None]
) -> tuple[str, ...]:
    """Functions that take an entry out and at once link it in again, or with itself.

    Whoever is at the entry goes on in the other chain, and does not meet the head of its own.
    """
    code = {name: one for name, one in code.items() if not _calls(one, _WAITS, name_of)}
    found = [one for one in _links_in(code, link, name_of) if one[2]]
    alone = [
        (False, base_name(name), True)
        for name, one in code.items()
        if links_with_itself(one, link, name_of, _UNLINKS)
    ]
    return _named([*found, *alone])


def _named(found: list[tuple[bool, str, bool]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, name, _ in sorted(found, key=lambda one: one[0])))


def _links_in(
    code: dict[str, Function], link: Link, name_of: Callable[[int], str | None]
) -> list[tuple[bool, str, bool]]:
    """Functions that link in what they have not made.

    :return: with each whether it was given that, and whether it takes it out first
    """
    takers = {name for name, one in code.items() if unlinks_argument(one, name_of)}
    allocators = {name for name, one in code.items() if _allocates(one, name_of)}
    found: list[tuple[bool, str, bool]] = []
    for name, function in code.items():
        for entry in linked(function, link, name_of):
            fresh = entry.made_by is not None and (
                _is_allocator(entry.made_by) or entry.made_by in allocators
            )
            out = any(one in takers or one.startswith(_UNLINKS) for one in entry.passed_to)
            if not fresh:
                found.append((entry.argument, base_name(name), out or entry.unlinked))
    return found


def _is_allocator(name: str) -> bool:
    return name.lstrip("_").startswith(ALLOCATES)


def _allocates(function: Function, name_of: Callable[[int], str | None]) -> bool:
    return any(map(_is_allocator, _called(function, name_of)))


def _calls(
    function: Function, beginnings: tuple[str, ...], name_of: Callable[[int], str | None]
) -> bool:
    return any(name.startswith(beginnings) for name in _called(function, name_of))


def _called(function: Function, name_of: Callable[[int], str | None]) -> Iterator[str]:
    for row in function.code.values():
        target = direct_target(row) if row.mnemonic == "call" else None
        if target is not None:
            yield name_of(target) or ""
