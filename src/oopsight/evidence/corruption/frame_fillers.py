"""Who was given a place in a damaged stack frame to write to: functions of modules.

The kernel's check names the function whose frame it is. What that hands to the kernel's own copying
functions is its affair; another function of a module may have written more than it was allowed.
Any other code of the kernel may have handed the address on, to whatever driver it works with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.index_limits import operand_sum
from oopsight.evidence.corruption.own_limits import own_limit
from oopsight.evidence.corruption.writer_limits import (
    frame_address,
    limits_of,
    number_at,
    source_of,
    writes,
)
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    Load,
    Place,
    Returned,
    Slot,
    slot_of,
    sources_of,
)
from oopsight.evidence.flow.extent import Origin
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import ARGUMENTS, whole_register
from oopsight.evidence.modules.module_code import ModuleFunction, filled_by
from oopsight.evidence.modules.module_roles import inner_functions, is_copy, named, writer_rank
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import InstructionPointer
from oopsight.plumbing import base_name, why_serves
from oopsight.session import Session

CHECK = "__stack_chk_fail"
_MOST_PLACES = 64
_READERS = ("strcmp", "strncmp", "strlen", "strnlen", "memcmp", "strcasecmp", "_printk", "printk")
_ABOVE = ("ja", "jae", "jg", "jge")
_THUNK = "x86_indirect_thunk"
_DEEPEST = 2
"""Functions that only hand an address on, one to the next."""
_LARGEST = 1 << 16
"""Bytes of what a function is lent."""
_CANARY = 0x28
"""In the per-CPU area, arch/x86/include/asm/processor.h; until Linux 6.15."""

Rooms = dict[str, int | None]
"""Arguments that are addresses in the frame, and how many bytes it is from there to the canary."""


@dataclass(frozen=True)
class Filler:
    """A function that writes at length, and was handed an address in the frame."""

    function: str
    module: str
    room: int | None
    """Bytes from that address to the canary."""
    most: int | None
    """How many it was told to write at most, or accepts itself, where the code has that number."""
    limited: bool
    """Whether anything but what it copies tells it where to stop."""
    passed_by: bool = False
    """Whether it can write again and again without a look at the limit that its code has."""


@dataclass(frozen=True)
class Receiver:
    """Code outside of the module that was handed an address in the frame."""

    function: str | None
    """``None`` where the call goes by a pointer."""
    module: str | None
    """From outside the kernel's tree; ``None`` for the kernel's own."""
    writers: tuple[str, ...]
    """Functions of that module that write at length: it, or those that it leads to."""
    call: InstructionPointer


@dataclass(frozen=True)
class HandedOn:
    """A function of the module that was handed an address in the frame, and hands it on."""

    function: str
    writers: tuple[Filler, ...]
    """Functions of the module that write at length to what they get from it."""


@dataclass(frozen=True)
class FrameFillers:
    """Of one damaged frame."""

    module: str
    function: str
    fillers: tuple[Filler, ...]
    itself: bool = False
    """Whether the function writes at length, too."""
    receivers: tuple[Receiver, ...] = ()
    """Each once. The kernel's copying functions and what serves everybody are none."""
    fills: bool = False
    """Whether the function writes at length to its frame: by an index, or with a copy's help."""
    handed_on: tuple[HandedOn, ...] = ()


def damaged(backtrace: Backtrace) -> int | None:
    """Place in the backtrace of the function whose frame the check found damaged."""
    frames = backtrace.frames
    at = next((i for i, f in enumerate(frames) if not f.inline and f.function == CHECK), None)
    if at is None:
        return None
    return next((i for i in range(at + 1, len(frames)) if not frames[i].inline), None)


def collect(session: Session, backtrace: Backtrace, modules: Modules) -> FrameFillers | Missing:
    """Read the code of the function that the kernel's check names, and of those it calls."""
    at = damaged(backtrace)
    frame = None if at is None else backtrace.frames[at]
    module = next((m for m in modules.loaded if frame is not None and m.name == frame.module), None)
    if frame is None or module is None or not module.taints:
        return Missing(Why.NOT_APPLICABLE, "no frame of a module was found damaged")
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    code = calls.function(int(frame.pc) - 1)
    if code is None:
        return Missing(Why.NOT_APPLICABLE, f"the code of {frame.function} is not known")
    able = {
        one.start: one
        for one in inner_functions(session, module, reader)
        if one.indexed or writer_rank(one, set()) is not None
    }
    found: dict[str, Filler] = {}
    for index, row in enumerate(code.instructions):
        one = able.get(row.target or 0)
        if row.is_call and one is not None and one.start != code.start:
            filler = _filler(calls, code, index, one, module.name, _rooms(calls, code, index))
            if filler is not None:
                found.setdefault(filler.function, filler)
    return FrameFillers(
        module.name,
        base_name(code.name),
        tuple(found.values()),
        code.start in able,
        _receivers(session, calls, code, modules),
        _fills(calls, code),
        _handed_on(calls, code, able, module),
    )


def _handed_on(
    calls: Calls, code: Function, able: dict[int, ModuleFunction], module: Module
) -> tuple[HandedOn, ...]:
    """Functions that do not write themselves, and have others of the module do it."""
    found: dict[str, HandedOn] = {}
    for index, row in enumerate(code.instructions):
        target = row.target if row.is_call else None
        if target is None or target in able or not module.holds(Address(target)):
            continue
        rooms = _rooms(calls, code, index)
        inner = calls.function(target) if rooms else None
        if inner is not None and inner.start != code.start:
            for one in _given(calls, inner, rooms, able, module):
                found.setdefault(one.function, one)
    return tuple(found.values())


def _given(
    calls: Calls,
    code: Function,
    lent: Rooms,
    able: dict[int, ModuleFunction],
    module: Module,
    deep: int = _DEEPEST,
) -> Iterator[HandedOn]:
    """Who calls writers with a place in what it was lent: a function, or those that it calls.

    :param lent: the registers with addresses in the frame, and how far it is to the canary
    """
    writers: dict[str, Filler] = {}
    for index, row in enumerate(code.instructions):
        target = row.target if row.is_call else None
        rooms = _rooms_left(calls, code, index, lent) if target is not None else {}
        if target is None or not rooms or target == code.start:
            continue
        if target in able:
            one = _filler(calls, code, index, able[target], module.name, rooms)
            writers |= {one.function: one} if one is not None else {}
            continue
        inner = calls.function(target) if deep and module.holds(Address(target)) else None
        if inner is not None:
            yield from _given(calls, inner, rooms, able, module, deep - 1)
    if writers:
        yield HandedOn(base_name(code.name), tuple(writers.values()))


def _receivers(
    session: Session, calls: Calls, code: Function, modules: Modules
) -> tuple[Receiver, ...]:
    """Who outside of the module is handed an address in the frame, each once."""
    found: dict[str | None, Receiver] = {}
    home = modules.owner(code.start)
    for index, row in enumerate(code.instructions):
        if not row.is_call:
            continue
        called = _called(calls, row.target)
        module = None if row.target is None else modules.owner(row.target)
        if (module is not None and module == home) or (called is not None and _serves(called)):
            continue
        if not any(frame_address(calls, code, name, index) for name in ARGUMENTS):
            continue
        at = InstructionPointer(Address(row.address), row.bytes.hex(), row.text)
        one = Receiver(called, None, (), at)
        if module is not None and module.taints and called is not None:
            writers = _reached(inner_functions(session, module), row.target)
            one = Receiver(called, module.name, writers, at)
        found.setdefault(called, one)
    return tuple(found.values())


def _called(calls: Calls, target: int | None) -> str | None:
    """The name of a function that is called directly."""
    known = None if target is None else calls.tracer.reader.function(target)
    return None if known is None or _THUNK in known[0] else base_name(known[0])


def _serves(called: str) -> bool:
    """Whether the kernel's function writes no more than it is told, and has nobody else do it."""
    return called == CHECK or is_copy(called) or why_serves(called) is not None


def _reached(inner: list[ModuleFunction], start: int | None) -> tuple[str, ...]:
    """Those of a module's functions that write at length, from one on: its own loops first."""
    by_name = {one.name: one for one in inner}
    way = [one for one in inner if one.start == start]
    for one in way:
        way += [by_name[n] for n in sorted(one.own & by_name.keys()) if by_name[n] not in way]
    deepest = way[::-1]
    loops = [one for one in deepest if one.copies]
    others = [one for one in deepest if one.indexed or writer_rank(one, set()) is not None]
    return named((*loops, *others))


def _fills(calls: Calls, code: Function) -> bool:
    """Whether a function writes at length to its own frame."""
    for index, row in enumerate(code.instructions):
        called = _called(calls, row.target) if row.is_call else None
        to = filled_by(called) if called is not None else ""
        if called is not None and is_copy(called) and frame_address(calls, code, to, index):
            return True
        place = row.operands[0].memory if row.operands and row.operands[0].writes else None
        if place is None or place.index is None or place.base is None:
            continue
        if place.base in ("rsp", "rbp") or frame_address(calls, code, place.base, index):
            return True
    return False


def _rooms(calls: Calls, code: Function, index: int) -> Rooms:
    """Arguments of a call that are addresses in the frame, and how far it is to the canary."""
    canary = _canary(code)
    given = {name: slot for name in ARGUMENTS if (slot := frame_address(calls, code, name, index))}
    return {
        name: canary.offset - slot.offset if canary is not None else None
        for name, slot in given.items()
    }


def _rooms_left(calls: Calls, code: Function, index: int, lent: Rooms) -> Rooms:
    """The same, of a function that was lent such addresses itself."""
    found: Rooms = {}
    for name in ARGUMENTS:
        source = source_of(calls, code, name, index, _LARGEST)
        if isinstance(source, str) and source in lent:
            room, at = lent[source], operand_sum(calls, code, name, index)
            found[name] = None if room is None or at is None else room - at[0]
    return found


def _filler(
    calls: Calls, code: Function, index: int, one: ModuleFunction, module: str, rooms: Rooms
) -> Filler | None:
    """A call that hands over an address in the frame, and how far it allows to write."""
    inner = calls.function(one.start)
    if not rooms or inner is None or not _writes_there(calls, inner, set(rooms)):
        return None
    taken = limits_of(calls, inner)
    told = {limit.argument for limit in taken if limit.argument is not None}
    numbers = [number_at(calls, code, name, index) for name in told]
    known = [number for number in numbers if number is not None]
    room = next(iter(rooms.values()))
    own = own_limit(calls, inner, writes(calls, inner), told)
    most = max(known) if known and len(known) == len(numbers) else _allowed(calls, inner, told)
    if most is None and own is not None and not told:
        most = own.most
    # A byte that ends a text is of the text.
    limited = bool(told) or own is not None or any(limit.origin is Origin.MEMORY for limit in taken)
    passed_by = own is not None and own.passed_by
    return Filler(base_name(one.name), module, room, most, limited, passed_by)


def _writes_there(calls: Calls, code: Function, arguments: set[str]) -> bool:
    """Whether a function may write through what it is handed.

    :param arguments: the registers with addresses in its caller's frame
    """
    places = [(place, at) for at in writes(calls, code) for place in _written_to(calls, code, at)]
    if not places or any(_may_be(calls, code, place, at, arguments) for place, at in places):
        return True
    # What it hands on is not followed.
    return any(
        row.is_call and not _copies(calls, code, at) and _may_be(calls, code, name, at, arguments)
        for at, row in enumerate(code.instructions)
        for name in ARGUMENTS
    )


def _may_be(calls: Calls, code: Function, place: Place, at: int, arguments: set[str]) -> bool:
    """Whether any way leads from one of some arguments to a place."""
    work: list[tuple[Place, int]] = [(place, at)]
    seen: set[tuple[Place, int]] = set()
    while work and len(seen) < _MOST_PLACES:
        one = work.pop()
        if one in seen:
            continue
        seen.add(one)
        found = calls.tracer.definitions(code, *one)
        if found is None:
            return True
        for definition in found:
            if definition.effect is None:
                if one[0] in arguments:
                    return True
            elif not isinstance(definition.effect, (Load, Returned)):
                work += [(source, definition.index) for source in sources_of(definition.effect)]
    return bool(work)


def _copies(calls: Calls, code: Function, at: int) -> bool:
    """Whether it is one of the kernel's functions that only write where they are told."""
    called = _called(calls, code.instructions[at].target)
    return called is not None and (_serves(called) or called in _READERS)


def _written_to(calls: Calls, code: Function, at: int) -> list[Place]:
    """What an instruction's target is computed of, or that of the copy that it calls."""
    row = code.instructions[at]
    if row.target is not None:
        return [filled_by(_called(calls, row.target) or "")]
    memories = (one.memory for one in row.operands if one.memory is not None and one.writes)
    return [name for memory in memories for name in (memory.base, memory.index) if name]


def _allowed(calls: Calls, code: Function, told: set[str]) -> int | None:
    """The most that a function accepts of what it is told: it leaves if that is above a number."""
    accepted = [
        row.operands[1].immediate
        for index, (row, following) in enumerate(itertools.pairwise(code.instructions))
        if row.mnemonic == "cmp" and following.mnemonic in _ABOVE
        if (whole := whole_register(row.operands[0].register or "")) is not None
        if source_of(calls, code, whole, index) in told
    ]
    return max((number for number in accepted if number is not None), default=None)


def _canary(code: Function) -> Slot | None:
    """Where the function keeps the canary: it copies it there at its beginning."""
    kept: str | None = None
    for index, row in enumerate(code.instructions):
        if row.mnemonic != "mov" or len(row.operands) < 2:
            continue
        to, source = row.operands[0], row.operands[1]
        if source.memory is not None and source.memory.segment == "gs":
            kept = to.register if source.memory.displacement == _CANARY else kept
        elif kept is not None and to.memory is not None and source.register == kept:
            return slot_of(code, index, to.memory)
    return None
