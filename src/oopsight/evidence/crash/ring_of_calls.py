"""A recursion that goes round a ring of objects, and the functions that may have closed it.

Whoever recurses from a clock to its parent is right to, as long as no clock is its own ancestor.
What the calls have saved on the stack tells along which objects they went: these come again in the
same order, and each leads to the next by the same member.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.repeated_calls import Repeated, repeated
from oopsight.evidence.hangs.loop_state import made_here, shape
from oopsight.evidence.hangs.ring_makers import module_functions
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.loops import link_of, loop_at
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    Instruction,
    accessed_size,
    direct_target,
    memory_place,
    pointer_read_through,
    stored,
    stores,
)
from oopsight.plumbing import base_name
from oopsight.session import Session

_WORD = 8
_MOST_TURNS = 240
_MOST_LINKS = 4
_LARGEST = 2048
"""Bytes of an object that are looked at for the link."""


@dataclass(frozen=True)
class RingOfCalls:
    """The objects that a recursion goes round."""

    module: ModulePointer
    """Whose code recurses."""
    entries: int
    closes: tuple[BytesPointer, ...]
    """Links of it."""
    makers: tuple[str, ...]
    """Functions of the module that put what they have not made into such a link; first those that
    do not go along the chain before."""


def collect(session: Session, backtrace: Backtrace, modules: Modules) -> RingOfCalls | Missing:
    """Look at what the calls saved, and read the code of the module that recurses."""
    found = repeated([f for f in backtrace.crash_path if not f.inline])
    names = {f.module for f in found.cycle} - {None} if found is not None else set()
    module = next((one for one in modules.loaded if one.name in names), None)
    if found is None or module is None:
        return Missing(Why.NOT_APPLICABLE, "no module's function calls itself without end")
    rings = list(rings_on(found, lambda at, size: _read(session, at, size)))
    if not rings:
        return Missing(Why.NOT_TOLD, "what the calls saved does not come again in turns")
    reader = StackReader(session, modules)
    own = {base_name(f.function) for f in found.cycle if f.module == module.name}
    try:
        code = module_functions(session, reader, module)
    except SymbolError:
        return Missing(Why.NO_SYMBOLS, f"the code of {module.name} cannot be read")
    return _told(module, rings, code, own, reader.names.function_at)


def _told(
    module: Module,
    rings: list[Ring],
    code: dict[str, Function],
    own: set[str],
    name_of: Callable[[int], str | None],
) -> RingOfCalls | Missing:
    """The ring by a member that the recursing code reads."""
    for ring in rings:
        walkers = [one for name, one in code.items() if base_name(name) in own]
        kinds = [used for one in walkers for used in shape(one).values() if (ring.field, 8) in used]
        if kinds:
            makers = setters(code, ring, kinds, name_of)
            links = ring.links[:_MOST_LINKS]
            return RingOfCalls(module.pointer, len(ring.objects), links, tuple(makers))
    return Missing(Why.NOT_TOLD, "the calls go round no chain that their code reads")


class Ring(NamedTuple):
    """Objects that lead to each other."""

    objects: tuple[int, ...]
    field: int
    """Of each, what leads to the next."""
    links: tuple[BytesPointer, ...]


def rings_on(found: Repeated, read: Callable[[int, int], bytes | None]) -> Iterator[Ring]:
    """The rings of objects that saved words are of, by each place in the frames."""
    turns = min(found.times - 2, _MOST_TURNS)
    for at in range(0, found.size, _WORD):
        words = [_word(read, found.sp + at + turn * found.size) for turn in range(turns)]
        objects = _period([word for word in words if word is not None and word >> 63])
        yield from _linked(objects, read)


def _period(words: list[int]) -> tuple[int, ...]:
    """The words that come again and again; none where they do not, twice at least."""
    for period in range(1, len(words) // 2 + 1):
        if words[period:] == words[:-period]:
            return tuple(words[:period])
    return ()


def _linked(objects: tuple[int, ...], read: Callable[[int, int], bytes | None]) -> Iterator[Ring]:
    """By which member each object, of the outer call, leads to the one of the call within."""
    if len(set(objects)) != len(objects):
        return
    contents = [read(one, _LARGEST) or b"" for one in objects]
    most = min((len(one) for one in contents), default=0) // _WORD * _WORD
    for field in range(0, most, _WORD):
        held = [struct.unpack_from("<Q", one, field)[0] for one in contents]
        inner = (objects[-1], *objects[:-1])
        away = {(word - to) & MASK for word, to in zip(held, inner, strict=True)}
        near = away == {0} or (len(objects) > 1 and len(away) == 1 and min(away) < _LARGEST)
        if near:
            links = (
                BytesPointer(Address(one + field), word.to_bytes(_WORD, "little").hex())
                for one, word in zip(objects, held, strict=True)
            )
            yield Ring(objects, field, tuple(links))


def _word(read: Callable[[int, int], bytes | None], at: int) -> int | None:
    raw = read(at, _WORD)
    return int.from_bytes(raw, "little") if raw is not None and len(raw) == _WORD else None


def _read(session: Session, address: int, size: int) -> bytes | None:
    """As much of memory as there is, by whole words."""
    from drgn import FaultError

    while size >= _WORD:
        try:
            return session.read(address, size)
        except (FaultError, OverflowError):
            size //= 2
    return None


def setters(
    code: dict[str, Function],
    ring: Ring,
    kinds: list[set[tuple[int, int]]],
    name_of: Callable[[int], str | None],
) -> list[str]:
    """Who puts something that was there before into such a link; last who looks at the chain."""
    walks = {one.start for one in code.values() if _goes_along(one, ring.field)}
    found: dict[str, bool] = {}
    for name, function in code.items():
        own = shape(function)
        for at, row in function.code.items():
            place = _link_set(function, at, row)
            if place is None or made_here(function, place, name_of):
                continue
            one = place.offset in {(x + ring.field) & MASK for x in ring.objects}
            alike = any(len(own[place.base] & kind) >= min(2, len(kind)) for kind in kinds)
            if one if not place.base else place.offset == ring.field and alike:
                called = {direct_target(x) for x in function.code.values() if x.mnemonic == "call"}
                found[base_name(name)] = bool(walks & {function.start, *called})
    return sorted(found, key=lambda name: found[name])


def _link_set(function: Function, at: int, row: Instruction) -> Expression | None:
    """Where an instruction stores a pointer that may be an object's, which is not the same one."""
    if row.mnemonic != "mov" or not stores(row) or accessed_size(row) != _WORD:
        return None
    place = memory_place(row, function.registers(at))
    if place is None or place.base == FRAME or row.operands[1].type == IMMEDIATE:
        return None
    value = stored(row, function.registers(at))
    return None if value is not None and value.base in ("", place.base) else place


def _goes_along(function: Function, field: int) -> bool:
    """Whether a function has a loop that goes from object to object by this member."""
    rows: Iterable[int] = [
        at for at, row in function.code.items() if pointer_read_through(row) is not None
    ]
    links = (link_of(loop_at(function, at)) for at in rows)
    return any(link is not None and (link.node + link.field) & MASK == field for link in links)
