"""A recursion that goes round a ring of objects, and the functions that may have closed it.

Whoever recurses from a clock to its parent is right to, as long as no clock is its own ancestor.
What the calls have saved on the stack tells along which objects they went: these come again in the
same order, and each leads to the next by the same member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.repeated_calls import Repeated, repeated
from oopsight.evidence.crash.ring_links import WORD, Ring, linked
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.link_code import Reading, Store
from oopsight.kernel.loops import link_of, loop_at
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    direct_target,
    pointer_read_through,
)
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_TURNS = 240
_MOST_LINKS = 4
_LONGEST_ARRAY = 256
_LARGEST_TABLE = 1 << 16


@dataclass(frozen=True)
class RingOfCalls:
    """The objects that a recursion goes round."""

    module: ModulePointer
    """Whose code recurses."""
    entries: int
    closes: tuple[BytesPointer, ...]
    """Links of it."""
    makers: tuple[str, ...]
    """Functions of the module that put what they have not made into such a link, and look whether
    they may; first those that do not go along the chain before."""
    others: tuple[str, ...] = ()
    """Those that do not look: there a ring may be meant."""


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
    walkers = [one for name, one in code.items() if base_name(name) in own]
    readings = [Reading(one, name_of) for one in walkers]
    for each in rings:
        ring, kinds = _as_read(each, readings)
        found = setters(code, ring, kinds, name_of) if kinds else []
        found = found or (setters(code, ring, None, name_of) if kinds else [])
        # Small numbers are found in many places.
        if found or (kinds and ring.size == WORD):
            return RingOfCalls(
                module.pointer,
                len(ring.objects),
                ring.links[:_MOST_LINKS],
                tuple(one.name for one in found if one.compares),
                tuple(one.name for one in found if not one.compares),
            )
    return Missing(Why.NOT_TOLD, "the calls go round no chain that their code reads")


def _as_read(ring: Ring, readings: list[Reading]) -> tuple[Ring, list[set[tuple[int, int]]]]:
    """The ring by the member as the code reads it, and what else that reads of such objects."""
    used = [one for reading in readings for one in reading.used.values()]
    arrays = (
        field
        for reading in readings
        for field, size in reading.elements
        if size == ring.size and 0 <= ring.field - field < _LONGEST_ARRAY
        if (ring.field - field) % size == 0
    )
    if not any((ring.field, ring.size) in one for one in used):
        ring = ring._replace(field=max(arrays, default=ring.field))
    return ring, [one for one in used if (ring.field, ring.size) in one]


def rings_on(found: Repeated, read: Callable[[int, int], bytes | None]) -> Iterator[Ring]:
    """The rings of objects that saved words are of, by each place in the frames."""
    turns = min(found.times - 2, _MOST_TURNS)
    for at in range(0, found.size, WORD):
        words = [_word(read, found.sp + at + turn * found.size) for turn in range(turns)]
        objects = _period([word for word in words if word is not None and word >> 63])
        yield from linked(objects, read)


def _period(words: list[int]) -> tuple[int, ...]:
    """The words that come again and again; none where they do not, twice at least."""
    for period in range(1, len(words) // 2 + 1):
        if words[period:] == words[:-period]:
            return tuple(words[:period])
    return ()


def _word(read: Callable[[int, int], bytes | None], at: int) -> int | None:
    raw = read(at, WORD)
    return int.from_bytes(raw, "little") if raw is not None and len(raw) == WORD else None


def _read(session: Session, address: int, size: int) -> bytes | None:
    """As much of memory as there is, by whole words."""
    from drgn import FaultError

    while size >= WORD:
        try:
            return session.read(address, size)
        except (FaultError, OverflowError):
            size //= 2
    return None


class Setter(NamedTuple):
    """A function that puts something that was there before into such a link."""

    name: str
    compares: bool
    """Whether it first compares the two objects, or goes along the chain: it has to see to it that
    there is no ring."""


def setters(
    code: dict[str, Function],
    ring: Ring,
    kinds: list[set[tuple[int, int]]] | None,
    name_of: Callable[[int], str | None],
) -> list[Setter]:
    """Who does so; last who goes along the chain before.

    :param kinds: what is read of such objects beside the link, which tells them from others;
        ``None`` where the link alone has to do
    """
    walks = {one.start for one in code.values() if _goes_along(one, ring.field)}
    found: dict[str, tuple[bool, bool]] = {}
    handed: set[int] = set()
    for name, function in code.items():
        reading = Reading(function, name_of)
        along = bool(walks & {function.start, *_called(function)})
        for one in [*reading.stores, *reading.others]:
            if _links(one, ring, reading, kinds):
                compares = along or _compares(one, ring, reading)
                found[base_name(name)] = (along, compares)
                if not compares and {one.place and one.place.base, one.value.base} <= {*ARGUMENTS}:
                    handed.add(function.start)
    for name, function in code.items():
        if handed & _called(function) and Reading(function, name_of).compared:
            found.setdefault(base_name(name), (bool(walks & _called(function)), True))
    ordered = sorted(found, key=lambda name: found[name][0])
    return [Setter(name, found[name][1]) for name in ordered]


def _called(function: Function) -> set[int | None]:
    return {direct_target(row) for row in function.code.values() if row.mnemonic == "call"}


def _links(
    one: Store, ring: Ring, reading: Reading, kinds: list[set[tuple[int, int]]] | None
) -> bool:
    """Whether a store links two objects that were there before."""
    place, value = one.place, one.value
    if place is None or one.size != ring.size or not value.base:
        return False
    if FRAME in (place.base, value.base):
        return False
    made = (reading.results.get(base, "").lstrip("_") for base in (place.base, value.base))
    if place.base == value.base or any(name.startswith(ALLOCATES) for name in made):
        return False
    if not place.base:
        away = (ring.objects[0] + ring.field - place.offset) & MASK
        entry = bool(ring.stride) and away < _LARGEST_TABLE and away % ring.stride == 0
        return entry or place.offset in {(at + ring.field) & MASK for at in ring.objects}
    own = reading.used.get(place.base, set())
    if kinds is None:
        linked_by = (place.offset, one.size, value.offset) == (ring.field, WORD, ring.node)
        return linked_by and len(own) > 1
    within = ring.stride and len(own) > 1 and all(at < ring.stride for at, _ in own)
    alike = within or any(len(own & kind) >= min(2, len(kind)) for kind in kinds)
    # On a list, a neighbour of the entry is the head in the other object, and the other way round.
    linked_in = ring.field and (value.offset, place.offset - ring.node) in (
        (ring.field, 0),
        (ring.field, WORD),
    )
    head = place.offset == ring.field + WORD and value.offset == ring.node
    listed = ring.size == WORD and (linked_in or (alike and head))
    return bool(listed) or bool(alike and place.offset == ring.field)


def _compares(one: Store, ring: Ring, reading: Reading) -> bool:
    """Whether the two objects are compared, or one with what the other leads to.

    Of what a number leads to, only that it is compared with anything can be seen.
    """
    bases = {one.value.base, one.place.base if one.place is not None else ""}
    told = [
        [any(base and base in str(each) for base in bases) for each in both]
        for both in reading.compared
    ]
    if ring.size != WORD:
        return any(map(any, told))
    return any(len(both) > 1 and all(both) for both in told)


def _goes_along(function: Function, field: int) -> bool:
    """Whether a function has a loop that goes from object to object by this member."""
    rows: Iterable[int] = [
        at for at, row in function.code.items() if pointer_read_through(row) is not None
    ]
    links = (link_of(loop_at(function, at)) for at in rows)
    return any(link is not None and (link.node + link.field) & MASK == field for link in links)
