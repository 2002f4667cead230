"""Which functions can have written past the end of an object, where nothing binds a module to it.

Any module from outside the kernel's tree may have; it has to have a function that writes at length.
More is told by whether it allocates such objects, and, of a number repeated, by whether that number
is in its code.
"""

from __future__ import annotations

from oopsight.cheap import dataclass, replace
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.corruption.size_tellers import SizeTeller, size_tellers
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.held_through import held_through
from oopsight.evidence.memory.owner import SlabObject, neighbour
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction, machine_code
from oopsight.evidence.modules.module_roles import (
    checked_alone,
    inner_functions,
    named,
    writer_rank,
    writes_numbers,
    writes_text,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_MODULES = 16
_MOST_BEFORE = 3
_LEAST_WIDTH = 4
_FIRST, _KNOWS_LIMITS, _APPENDS, _LATER = -1, 2, 3, 16
"""Ranks beside :func:`~oopsight.evidence.modules.module_roles.writer_rank`'s."""
_TRIVIAL = (0x00, 0xFF)
_WORD = 8
_LARGEST_SIZE = 1 << 16


@dataclass(frozen=True)
class WriterModule:
    """A module that can have."""

    module: str
    why: str
    writes: tuple[str, ...]
    """Functions that write at length."""
    allocates: bool | None
    """Whether it allocates such objects; ``None`` where its code does not tell."""
    uses: tuple[str, ...] = ()
    """Functions that told how large such objects are to be."""
    because: BytesPointer | None = None


def able_to_overrun(
    code: list[ModuleFunction], bases: set[int], overrun: Overrun | None
) -> list[tuple[int, ModuleFunction]]:
    """Functions that can have run over, the most suspect first, those alike with the same rank.

    Of text, last who stores words or one byte over and over; of numbers, first who stores them one
    by one, and nobody who writes text alone.
    """
    ranked = [(rank, one) for one in code if (rank := _rank(one, bases, overrun)) is not None]
    return sorted(ranked, key=lambda item: item[0])


def _rank(one: ModuleFunction, bases: set[int], overrun: Overrun | None) -> int | None:
    if overrun is None:
        return writer_rank(one, bases)
    if one.zeroes and any(bytes.fromhex(overrun.memory.bytes)):
        one = replace(one, copies=False)
    rank = writer_rank(one, bases)
    appends = one.appends and not overrun.binary and (rank is None or rank > _APPENDS)
    if appends:
        rank = _APPENDS
    # An instruction scales by a word at most: larger entries are not stored so.
    if overrun.width and one.indexed and overrun.stride <= _WORD:
        return _FIRST
    if overrun.width and not writes_numbers(one):
        return None
    if overrun.binary and not overrun.within and checked_alone(one):
        # What runs past the end of a slab object is refused by copy_from_user() itself.
        return None
    if rank is not None and overrun.kind == "text" and not (writes_text(one) or appends):
        return rank + _LATER
    return rank


def writing_modules(
    session: Session, modules: Modules, reader: SessionReader, overrun: Overrun
) -> list[WriterModule]:
    """Modules from outside the kernel's tree with functions that can have, most suspect first."""
    ranked: list[tuple[int, WriterModule]] = []
    told = {} if overrun.within else _told(session, modules, reader, overrun)
    number = repeated(overrun)
    for module in [one for one in modules.loaded if one.taints][:_MOST_MODULES]:
        code = inner_functions(session, module, reader)
        writers = able_to_overrun(code, set(), overrun)
        able = [one for _, one in writers]
        if module.name in told:
            ranked.append((_FIRST, told[module.name]))
            continue
        if told and all(rank >= _KNOWS_LIMITS for rank, _ in writers):
            continue
        fills = _with_number(reader, module, number) if number else set()
        able = [one for one in able if base_name(one.name) in fills] or able
        if not able:
            continue
        before = overrun.before
        made, whole = allocating(session, modules, module, before.cache_address, before.size)
        makes = True if made else (False if whole else None)
        if makes is False:
            continue
        why = f"its {base_name(able[0].name)} writes at length"
        if made:
            why = f"its {made[0].function} allocates such objects"
        known = bool(fills & set(named(able)))
        if known:
            why = f"that number is in the code of its {base_name(able[0].name)}"
        rank = 2 * (not known) + (makes is None)
        ranked.append((rank, WriterModule(module.name, why, named(able), makes)))
    ranked.sort(key=lambda item: item[0])
    return [one for _, one in ranked]


def _told(
    session: Session, modules: Modules, reader: SessionReader, overrun: Overrun
) -> dict[str, WriterModule]:
    """Modules that told the kernel how large such objects are to be, and write more into them."""
    found: dict[str, WriterModule] = {}
    for one in _tellers(session, modules, reader, overrun):
        module = next(m for m in modules.loaded if m.name == one.module)
        able = able_to_overrun(inner_functions(session, module, reader), set(), overrun)
        if not able or able[0][0] >= _KNOWS_LIMITS:
            continue
        why = f"the object leads to its {one.leads.symbol}; its {one.function} sets there how large"
        why += f" its part of such objects is, {one.size} bytes"
        known = WriterModule(one.module, why, (), None, (one.function,), one.leads.memory)
        found.setdefault(one.module, known)
    return found


def _tellers(
    session: Session, modules: Modules, reader: SessionReader, overrun: Overrun
) -> list[SizeTeller]:
    """Of the object in which the run begins, else of one before it: all between may be written."""
    one: SlabObject | None = overrun.before
    intact = overrun.start - overrun.before.address
    for _ in range(_MOST_BEFORE):
        if one is None:
            break
        found = size_tellers(session, modules, reader, one, intact)
        if found:
            return found
        one = neighbour(session, modules, one, -1)
        intact = one.size if one is not None else 0
    return []


def repeated(overrun: Overrun) -> bytes | None:
    """The number that fills the memory, if it is one that no other code will have."""
    width = overrun.width
    data = bytes.fromhex(overrun.memory.bytes)
    number = data[:width]
    if width < _LEAST_WIDTH or len(data) < 2 * width or data[width : 2 * width] != number:
        return None
    return None if len(set(number) - set(_TRIVIAL)) < 1 or len(set(number)) == 1 else number


def _with_number(reader: SessionReader, module: Module, number: bytes) -> set[str]:
    """Names of the functions that have a number among their instructions."""
    return {base_name(name) for name, _, code in machine_code(reader, module) if number in code}


def lenders(
    session: Session, modules: Modules, reader: SessionReader, module: Module, overrun: Overrun
) -> tuple[str, tuple[str, ...]] | None:
    """Of a module that writes nowhere at length, who has another module write, and who made room.

    Whoever hands over a number that the object is too small for comes first; else who makes such
    objects, as the other may always write that much.

    :return: what binds them, and the functions
    """
    code = inner_functions(session, module, reader)
    others: dict[str, str] = {}
    for other in [one for one in modules.loaded if one.taints and one.name != module.name]:
        inner = inner_functions(session, other, reader)
        able = [one for _, one in able_to_overrun(inner, set(), overrun)]
        if overrun.source is not None:
            able = refer_to(session, inner, int(overrun.source.address)) or able
        others |= {base_name(one.name): other.name for one in able}
    calling = [one for one in code if one.outside & others.keys()]
    if not calling:
        return None
    uses = uses_of(reader, calling)
    size = overrun.before.size
    far = {name for name, use in uses.items() if _tells_more(use, others, size)}
    lend = sorted(named(calling), key=lambda name: name not in far)
    cache = overrun.before.cache_address
    made = tuple(one.function for one in allocating(session, modules, module, cache, size)[0])
    called = next(name for one in calling for name in sorted(one.outside & others.keys()))
    why = f"makes such objects, or has {called} [{others[called]}] write to them"
    return why, tuple(dict.fromkeys((*lend, *made) if far else (*made, *lend)))


def used_writers(
    session: Session, modules: Modules, reader: SessionReader, name: str, overrun: Overrun
) -> list[WriterModule]:
    """Of a module that writes nowhere at length, the others that its objects lead to, and that do.

    What the kernel calls for it belongs to a driver, the algorithm of a transformation, say.
    """
    holder = [one for one in modules.loaded if one.name == name]
    found: list[WriterModule] = []
    for other in [one for one in modules.loaded if one.taints and one.name != name][:_MOST_MODULES]:
        code = inner_functions(session, other, reader)
        able = named(one for _, one in able_to_overrun(code, set(), overrun))
        for begin, end in other.ranges if able else ():
            held = held_through(session, replace(modules, loaded=tuple(holder)), begin, end)
            if held:
                why = f"an object of {name} that its {held[0].variable} leads to points to it"
                found.append(WriterModule(other.name, why, able, None, because=held[0].memory))
                break
    return found


def refer_to(session: Session, code: list[ModuleFunction], address: int) -> list[ModuleFunction]:
    """Functions that refer to any place of the variable that holds an address."""
    try:
        symbol = session.prog.symbol(address)
    except LookupError:
        return [one for one in code if address in one.refers]
    end = symbol.address + symbol.size
    return [one for one in code if any(symbol.address <= at < end for at in one.refers)]


def _tells_more(use: FieldUse, others: dict[str, str], size: int) -> bool:
    """Whether a function hands a number to another module that is larger than an object."""
    return any(
        value.kind == "number" and size < value.number < _LARGEST_SIZE
        for call in use.handed
        if call.name in others
        for value in call.arguments[1:]
    )
