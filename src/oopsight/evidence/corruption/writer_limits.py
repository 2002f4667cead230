"""What tells the functions that can have run over an object where to stop.

One that is told by its caller may be told wrongly; one that goes as far as numbers in memory say
may meet an object that was made too small for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.element_sizes import computes_size, counts_to_memory
from oopsight.evidence.corruption.index_limits import (
    IndexLimits,
    Limits,
    answered,
    operand_of,
    operand_sum,
)
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function, repeated
from oopsight.evidence.flow.effects import Constant, Copy, Place, Returned, Slot, slot_of
from oopsight.evidence.flow.extent import Extent, Origin, Taken, conditions, reached
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import ARGUMENTS, whole_register
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake, blamable
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction, filled_by
from oopsight.evidence.modules.module_roles import (
    holding_variables,
    inner_functions,
    is_copy,
    named,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WRITERS = 4
_MOST_PLACES = 8
"""At which a function writes."""
_MOST_COPIES = 4
_END_OF_TEXT = 1
_COUNTS = ("add", "inc", "lea")
_JUMP_IF_EQUAL = ("je", "jae", "jbe", "jge", "jle")
_MOST_SETTERS = 2
_LEAST_END = 4
_WORD = 8
_BOUNDED = ("strscpy", "strncpy", "strlcpy")
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Teller:
    """A function that tells another how far to go."""

    function: str
    most: int | None
    """The largest number that its code has there, or lets pass; ``None`` where that is open."""
    hands_on: bool = False
    """Whether it passes on what it was given itself, and compares that with nothing."""
    compared: bool = False
    """Whether :attr:`most` is what its comparisons let pass, and not what it tells."""


@dataclass(frozen=True)
class WriterLimit:
    """What tells one function where to stop."""

    function: str
    by_memory: bool
    """Whether numbers in memory do, and neither its arguments nor what it calls."""
    tellers: tuple[Teller, ...]
    """Functions of its module that call it, where an argument of it does."""
    set_by: tuple[str, ...] = ()
    """Other functions of its module that set the numbers in memory; none where many do."""
    one_more: bool = False
    """Whether its loop goes on where its count has come to the number that it was told."""
    constant: bool = False
    """Whether numbers in its code alone do."""
    shared: bool = False
    """Whether others of its module go as far, or it tells each copy the room of a field: then the
    memory is rather too small."""


@dataclass(frozen=True)
class WriterLimits:
    """Of the module that is most suspect of having run over the object."""

    module: str
    writers: tuple[WriterLimit, ...]
    makers: tuple[str, ...]
    """Its functions that allocate memory of a size which they compute."""
    fixed: tuple[str, ...] = ()
    """Its functions that allocate such objects, or have them from a call, whatever their size."""

    def of(self, function: str) -> WriterLimit | None:
        """Of one function."""
        return next((one for one in self.writers if one.function == function), None)


def collect(
    session: Session,
    users: ObjectUsers | Missing,
    report: MemoryReport | Missing,
    modules: Modules,
) -> WriterLimits | Missing:
    """Read the code of the functions that can have written past the end of the object."""
    name, writers = _reported(report) if isinstance(report, MemoryReport) else _run_over(users)
    module = next((m for m in modules.loaded if m.name == name), None)
    if module is None:
        return Missing(Why.NOT_APPLICABLE, "no object was written over by a module")
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    calls = Calls(reader, (), {})
    suspects = [one for one in inner if base_name(one.name) in writers[:_MOST_WRITERS]]
    uses = uses_of(reader, inner)
    ran = users.overrun if isinstance(users, ObjectUsers) else None
    width = ran.width if ran is not None and not isinstance(report, MemoryReport) else 0
    variable = _variable(session, users)
    found = (_limit(calls, inner, one, uses, width, variable) for one in suspects)
    return WriterLimits(
        module.name,
        tuple(one for one in found if one is not None),
        named(one for one in inner if computes_size(calls, one)),
        _fixed(session, modules, module, ran, uses) if ran is not None else (),
    )


def _fixed(
    session: Session, modules: Modules, module: Module, ran: Overrun, uses: dict[str, FieldUse]
) -> tuple[str, ...]:
    """Who makes objects like the one that was written past, or keeps what a call returned."""
    one = ran.before
    made, _ = allocating(session, modules, module, one.cache_address, one.size)
    names = dict.fromkeys(maker.function for maker in made)
    for owner, at, _, _ in holding_variables(session, modules, one.address, one.address + 1):
        begin, end = _variable_at(session, int(at))
        if owner.name == module.name:
            stored = ((name, known) for name, use in uses.items() for known in use.stores)
            names |= {
                name: None
                for name, known in stored
                if begin <= known.key < end and known.what in ("returned", "fresh")
            }
    return tuple(names)


def _variable_at(session: Session, at: int) -> tuple[int, int]:
    """Where a variable begins and ends."""
    try:
        symbol = session.prog.symbol(at)
    except LookupError:
        return at, at + _WORD
    return int(symbol.address), int(symbol.address) + max(int(symbol.size), _WORD)


def _run_over(users: ObjectUsers | Missing) -> tuple[str | None, tuple[str, ...]]:
    """The most suspect module, and its functions that can have run over the object."""
    if isinstance(users, Missing) or users.overrun is None or not users.modules:
        return None, ()
    return users.modules[0].module, users.modules[0].writes


def _variable(session: Session, users: ObjectUsers | Missing) -> int | None:
    """Where the module's variable begins that holds the object, as one member of several."""
    held = users.modules[0].because if isinstance(users, ObjectUsers) and users.modules else None
    try:
        return None if held is None else int(session.prog.symbol(int(held.address)).address)
    except LookupError:
        return None


def _reported(report: MemoryReport) -> tuple[str | None, tuple[str, ...]]:
    """The same of what the heap's own checks reported."""
    if report.mistake is Mistake.OVERWRITTEN:
        return report.owner, report.writers
    first = next(iter(blamable(report.stack)), None)
    if report.mistake is not Mistake.OUT_OF_BOUNDS or first is None:
        return None, ()
    return first.module, (base_name(first.function),)


def _limit(
    calls: Calls,
    inner: list[ModuleFunction],
    one: ModuleFunction,
    uses: dict[str, FieldUse],
    width: int,
    variable: int | None,
) -> WriterLimit | None:
    code = calls.function(one.start)
    if code is None:
        return None
    taken = limits_of(calls, code, width)
    told = {found.argument for found in taken if found.argument is not None}
    known = IndexLimits(calls, [other.start for other in inner])
    callers = [
        other for other in inner if told and one.name in other.calls and other.name != one.name
    ]
    tellers = [_teller(calls, known, other, one.start, told) for other in callers]
    starts = {other.start: other for other in inner}
    for other in callers:
        tellers += _checkers(calls, known, other, one.start, told, starts)
    places = writes(calls, code)
    constant = not taken
    held = _held_to_memory(calls, code)
    by_memory = bool(taken) and (
        counts_to_memory(code)
        or all(found.origin is Origin.MEMORY or (held and not found.argument) for found in taken)
    )
    name = base_name(one.name)
    keys = {key for found in taken if (key := _key(found)) is not None} if by_memory else set()
    # Code that knows the variable has the field by its address.
    keys |= {variable + key for key in keys if variable is not None}
    setting = tuple(who for who, use in uses.items() if who != name and use.changes & keys)
    return WriterLimit(
        name,
        by_memory,
        tuple(tellers),
        setting if len(setting) <= _MOST_SETTERS else (),
        any(_one_more(calls, code, at, told) for at in places),
        constant=constant,
        shared=constant and bool(places) and _is_shared(calls, inner, one, code, places),
    )


def _held_to_memory(calls: Calls, code: Function) -> bool:
    """Whether what a process, or the like, had put into the frame is compared with memory."""
    for at, row in enumerate(code.instructions):
        if row.mnemonic == "cmp" and len(row.operands) == 2:
            sides = [operand_of(calls, code, at, number) for number in (0, 1)]
            roots = [{root[0] for root in side[1]} if side is not None else set() for side in sides]
            if {"slot"} in roots and {"load"} in roots:
                return True
    return False


def _is_shared(
    calls: Calls,
    inner: list[ModuleFunction],
    one: ModuleFunction,
    code: Function,
    places: list[int],
) -> bool:
    """Whether others have the number that ends its loop, or each copy is told a field's room."""
    if all(_to_a_field(calls, code, at) for at in places):
        return True
    ends = {end for at in places for end in _ends(calls, code, conditions(code, at))}
    others = (calls.function(other.start) for other in inner if other.name != one.name)
    return any(
        not ends.isdisjoint(_ends(calls, other, range(len(other.instructions))))
        for other in others
        if other is not None
    )


def _ends(calls: Calls, code: Function, compared: Iterable[int]) -> set[int]:
    """What is compared with: numbers, in bytes as well, and how far behind a pointer others are."""
    found = set()
    memories = (one.memory for row in code.instructions for one in row.operands)
    scales = {one.scale for one in memories if one is not None and one.index is not None} | {1}
    for at in compared:
        row = code.instructions[at]
        for operand in row.operands if row.mnemonic == "cmp" else ():
            number = operand.immediate
            name = whole_register(operand.register or "")
            place = operand_sum(calls, code, name, at) if name is not None else None
            if place is not None and len(place[1]) == 1:
                number = place[0]
            if number is not None and number >= _LEAST_END:
                found |= {number * scale for scale in scales}
    return found


def _to_a_field(calls: Calls, code: Function, at: int) -> bool:
    """Whether a text is copied with a number for its room, to a field of an object."""
    target = code.instructions[at].target
    known = calls.reader.function(target) if target is not None else None
    if known is None or not known[0].lstrip("_").endswith(_BOUNDED):
        return False
    place = operand_sum(calls, code, "rdi", at)
    return place is not None and len(place[1]) == 1 and place[0] > 0


def _checkers(
    calls: Calls,
    known: IndexLimits,
    other: ModuleFunction,
    target: int,
    registers: set[str],
    own: dict[int, ModuleFunction],
) -> Iterator[Teller]:
    """Functions that are asked about the number before it is told to a writer.

    :param other: who tells it
    :param target: where the writer begins
    :param own: the module's functions, by where they begin
    """
    code = calls.function(other.start)
    if code is None:
        return
    told = {
        source_of(calls, code, register, at)
        for at, row in enumerate(code.instructions)
        if row.target == target
        for register in registers
    } - {None}
    for at, row in enumerate(code.instructions):
        asked = own.get(row.target or 0) if row.is_call and row.target != target else None
        inner = calls.function(asked.start) if asked is not None else None
        for register in ARGUMENTS[:4] if inner is not None else ():
            if inner is None or source_of(calls, code, register, at) not in told:
                continue
            root = ("entered", register)
            most = known.of(inner, root, 0).most or answered(calls, inner, root).most
            if most and asked is not None:
                yield Teller(base_name(asked.name), most, compared=True)


def _key(found: Taken) -> int | None:
    """The key of the field that a number was read from; see :class:`FieldUse`."""
    row = found.context.function.instructions[found.index]
    memory = next((one.memory for one in row.operands if one.memory is not None), None)
    if memory is None or memory.base == "rsp" or found.origin is not Origin.MEMORY:
        return None
    at = row.end if memory.base == "rip" else 0
    return (at + memory.displacement) & _MASK


def limits_of(calls: Calls, code: Function, width: int = 0) -> list[Taken]:
    """All that tells a function where to stop writing.

    :param width: of the numbers that were written, in bytes, if that is known
    """
    extent = Extent(calls.tracer, lambda _: False)
    places = writes(calls, code)
    alike = [at for at in places if width and _stored(code, at) == width]
    return [found for at in alike or places for found in extent.limits(_context(code, at))]


def _stored(code: Function, at: int) -> int | None:
    """How many bytes an instruction writes to memory."""
    operands = code.instructions[at].operands
    return next((one.memory.size for one in operands if one.memory and one.writes), None)


def writes(calls: Calls, code: Function) -> list[int]:
    """Where a function writes at length, the first places: in a loop, or by a call."""
    return list(itertools.islice(_writes(calls, code), _MOST_PLACES))


def _writes(calls: Calls, code: Function) -> Iterator[int]:
    for index, row in enumerate(code.instructions):
        if row.target is not None and (row.is_call or row.is_jump):
            known = calls.reader.function(row.target)
            copies = known is not None and known[1] == row.target and is_copy(known[0])
            to = filled_by(known[0]) if known is not None else ""
            if copies and frame_address(calls, code, to, index) is None:
                yield index
            continue
        memories = [one.memory for one in row.operands if one.memory is not None and one.writes]
        if any(slot_of(code, index, one) is None for one in memories) and repeated(code, index):
            yield index


def frame_address(calls: Calls, code: Function, place: Place, at: int) -> Slot | None:
    """The place in a function's frame whose address an argument is, if it is one."""
    found = calls.tracer.definitions(code, place, at)
    if not found or len(found) > 1 or found[0].effect is None:
        return None
    index = found[0].index
    row = code.instructions[index]
    second = row.operands[1] if len(row.operands) > 1 else None
    if second is None:
        return None
    if row.mnemonic == "lea" and second.memory is not None:
        return slot_of(code, index, second.memory)
    depth = code.depth[index]
    if row.mnemonic == "mov" and second.register == "rsp" and depth is not None:
        return Slot(-depth)
    if row.mnemonic == "mov" and second.register is not None and index != at:
        return frame_address(calls, code, second.register, index)
    return None


def _one_more(calls: Calls, code: Function, at: int, told: set[str]) -> bool:
    """Whether a loop goes on where what it has counted up is as much as an argument says."""
    loop = reached(code.after, at) & reached(code.before, at)
    return any(
        _counts_to(calls, code, index, loop, told) and _goes_on_if_equal(code, index, loop)
        for index in conditions(code, at)
    )


def _counts_to(calls: Calls, code: Function, index: int, loop: set[int], told: set[str]) -> bool:
    """Whether a comparison is of what a loop counts up with an argument as it was."""
    row = code.instructions[index]
    counts = limits = False
    for one in row.operands[:2] if row.mnemonic == "cmp" else ():
        name = whole_register(one.register or "")
        found = calls.tracer.definitions(code, name, index) if name is not None else None
        stepped = (code.instructions[d.index] for d in found or () if d.index in loop)
        counts |= any(step.mnemonic in _COUNTS for step in stepped)
        limits |= name in told and bool(found) and all(d.effect is None for d in found or ())
    return counts and limits


def _goes_on_if_equal(code: Function, index: int, loop: set[int]) -> bool:
    rows = code.instructions
    jump = next((i for i in range(index + 1, len(rows)) if rows[i].is_jump), None)
    return jump is not None and (rows[jump].mnemonic in _JUMP_IF_EQUAL) != (jump + 1 in loop)


def _context(code: Function, at: int) -> Context:
    """A function at one of its instructions, at any time: nothing is known of its registers."""
    return Context(code, at, {}, None, -1)


def _teller(
    calls: Calls, known: IndexLimits, other: ModuleFunction, target: int, registers: set[str]
) -> Teller:
    """What a function passes to another, wherever it calls it."""
    name, code = base_name(other.name), calls.function(other.start)
    if code is None:
        return Teller(name, None)
    passed = [
        (index, register)
        for index, row in enumerate(code.instructions)
        if row.target == target
        for register in registers
    ]
    sources = [source_of(calls, code, register, index) for index, register in passed]
    numbers = [
        one if isinstance(one, int) else _let_pass(known.handed(code, *where))
        for one, where in zip(sources, passed, strict=True)
    ]
    if numbers and None not in numbers:
        compared = any(not isinstance(one, int) for one in sources)
        return Teller(name, max(one for one in numbers if one is not None), compared=compared)
    looked_at = {
        source_of(calls, code, whole, index)
        for index, row in enumerate(code.instructions)
        if row.mnemonic == "cmp"
        for operand in row.operands[:1]
        if (whole := whole_register(operand.register or "")) is not None
    }
    hands_on = all(isinstance(one, str) and one not in looked_at for one in sources)
    return Teller(name, None, hands_on=bool(sources) and hands_on)


def _let_pass(limits: Limits) -> int | None:
    """The largest number that is let pass, if the code has that."""
    return limits.most if limits.known and limits.most else None


def number_at(calls: Calls, code: Function, place: Place, at: int) -> int | None:
    """What a place holds before an instruction, if the code has it as a number."""
    found = source_of(calls, code, place, at)
    return found if isinstance(found, int) else None


def source_of(
    calls: Calls, code: Function, place: Place, at: int, most: int = _END_OF_TEXT
) -> int | str | None:
    """The number that a place was set to, or else what the function received there, by a name.

    That is the register of an argument, or the call that returned it.

    :param most: so many bytes may be added on the way, each time
    """
    for _ in range(_MOST_COPIES):
        found = calls.tracer.definitions(code, place, at)
        if not found or len(found) > 1:
            return None
        what = found[0].effect
        if what is None:
            return place if isinstance(place, str) else None
        if isinstance(what, Constant):
            return what.value
        if isinstance(what, Returned):
            return f"call {found[0].index}"
        if not isinstance(what, Copy) or abs(what.delta) > most:
            return None
        place, at = what.source, found[0].index
    return None
