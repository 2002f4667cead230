"""Functions that count parts of something to be done, and hand out fewer of them.

Each part takes the count down as it is done, and the last one ends the whole: a bio, a completion.
What is left out on some way is counted down by nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.io_in_flight import IoInFlight
from oopsight.evidence.hangs.module_functions import module_functions
from oopsight.evidence.hangs.omitted_signals import counted_down
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.known_calls import ENDS_IO, HANDS_ON
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import plain
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import FRAME, Expression, Instruction, direct_target, memory_place
from oopsight.kernel.skipped_parts import skipped
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = ("completion", "event")
_MOST_MODULES = 8


@dataclass(frozen=True)
class SkippedPart:
    """A function that leaves parts out."""

    module: ModulePointer
    function: str
    at: str
    """Symbol and offset of where it goes on without one."""
    counting: str
    """The function that takes the count down, and ends the whole with the last part."""


@dataclass(frozen=True)
class SkippedParts:
    """Those of the modules whose doings tasks wait for."""

    parts: tuple[SkippedPart, ...]

    def of(self, module: str | None) -> tuple[SkippedPart, ...]:
        """Those of a module."""
        return tuple(one for one in self.parts if one.module.name == module)


class _Count(NamedTuple):
    """A number that a function takes down before it ends something with the last part."""

    place: Expression
    function: str
    ended: Expression | None
    """What is ended then."""


def collect(
    session: Session,
    symptom: Symptom,
    waits: Waits | Missing,
    io: IoInFlight | Missing,
    modules: Modules,
) -> SkippedParts | Missing:
    """Read the code of the modules."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    asked = [one for one in waits.victims if _asked(one)]
    names = {one.call.module for one in asked if one.call is not None}
    if isinstance(io, IoInFlight):
        names |= {one.driver for one in io.requests} | {one.driver for one in io.bio_disks}
    wanted = [one for one in modules.loaded if one.name in names and "O" in one.taints]
    reader = StackReader(session, modules)
    found: list[SkippedPart] = []
    for module in wanted[:_MOST_MODULES]:
        try:
            code = module_functions(session, reader, module)
        except SymbolError:
            continue
        waiting = [one for one in asked if one.call and one.call.module == module.name]
        counts = [
            one for one in counts_of(code, reader.names.function_at) if _open(reader, one, waiting)
        ]
        found += _skipping(module, code, counts, reader.names.function_at)
    return SkippedParts(tuple(found))


def _asked(wait: Wait) -> bool:
    lock = wait.lock
    return lock is not None and lock.kind in _KINDS and not lock.holders


def counts_of(code: dict[str, Function], name_of: Callable[[int], str | None]) -> Iterator[_Count]:
    """The counts with whose end a module's functions end something."""
    for name, function in code.items():
        sites = [at for at, row in function.code.items() if _is_end(row, name_of)]
        for at in counted_down(function, sites):
            place = memory_place(function.code[at], function.registers(at))
            if place is not None and place.base != FRAME:
                ended = next((function.registers(site).get("rdi") for site in sites), None)
                yield _Count(place, base_name(name), ended)


def _is_end(row: Instruction, name_of: Callable[[int], str | None]) -> bool:
    target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
    name = name_of(target) if target is not None else None
    return name is not None and (plain(name) in ENDS_IO or GIVES.get(name) in _KINDS)


def _open(reader: StackReader, count: _Count, waiting: list[Wait]) -> bool:
    """Whether parts are left, where memory tells: of a completion that lies beside the count."""
    addresses = [int(one.lock.address or 0) for one in waiting if one.lock is not None]
    ended = count.ended
    if not addresses or ended is None or not ended.base or ended.base != count.place.base:
        return True
    begins = [address - ended.offset + count.place.offset for address in addresses]
    held = [reader.word(at % (1 << 64)) for at in begins]
    return any(word is None or word & 0xFFFFFFFF for word in held)


def _skipping(
    module: Module,
    code: dict[str, Function],
    counts: list[_Count],
    name_of: Callable[[int], str | None],
) -> Iterator[SkippedPart]:
    """The functions that set such a count, and hand out fewer parts on some way."""
    passing = _passing(code, {count.function for count in counts}, name_of) if counts else set()

    def hands_on(row: Instruction) -> bool:
        target = direct_target(row)
        if row.mnemonic == "call" and target is None:
            return True
        name = name_of(target) if target is not None else None
        called = row.mnemonic in ("call", "jmp") and name is not None
        return called and (target in passing or name in HANDS_ON)

    told: set[str] = set()
    for count in counts:
        for name, function in code.items():
            at = skipped(function, count.place, hands_on)
            if at is not None and COLD not in name and base_name(name) not in told:
                told.add(base_name(name))
                where = f"{base_name(name)}+{at - function.start:#x}"
                yield SkippedPart(module.pointer, base_name(name), where, count.function)


def _passing(
    code: dict[str, Function], counting: Iterable[str], name_of: Callable[[int], str | None]
) -> set[int]:
    """The functions of the module that take a count down, or set going what does, or call such."""
    found = {one.start for name, one in code.items() if base_name(name) in set(counting)}
    calls = {one.start: _called(one) for one in code.values()}
    gives = {
        start
        for start, called in calls.items()
        if any((name_of(target) or "") in HANDS_ON for target in called)
    }
    found |= gives
    while True:
        more = {start for start, called in calls.items() if called & found} - found
        if not more:
            return found
        found |= more


def _called(function: Function) -> set[int]:
    targets = (
        direct_target(row) for row in function.code.values() if row.mnemonic in ("call", "jmp")
    )
    return {target for target in targets if target is not None and target not in function.code}
