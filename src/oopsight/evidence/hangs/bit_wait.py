"""A bit that a task waits to see cleared, and is clear already, and the code that clears it.

``wait_on_bit(&device->flags, BUSY)``: the word and the number are in the key that the task waits
with. Whoever clears the bit has to call ``wake_up_bit()`` for the same two. Not a fact by itself:
:mod:`oopsight.evidence.hangs.missed_wake` asks who did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from oopsight.evidence.hangs.handed_to import HandedTo, handed_to
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    Registers,
    direct_target,
    memory_place,
    stored_number,
    writes_memory,
)
from oopsight.session import Session

_MOST_WAITS = 8
_WORD = 8
_WAITS = ("out_of_line_wait_on_bit", "__wait_on_bit", "wait_on_bit")
_WAKES = ("wake_up_bit", "__wake_up_bit", "clear_and_wake_up_bit")


class ClearBit(NamedTuple):
    """A bit that is clear, of which a task waits that it be."""

    wait: Wait
    module: Module
    word: int
    number: int
    raw: bytes
    """The word."""
    places: frozenset[int]
    """How far from a pointer the word may be for code of the module."""
    handlers: HandedTo

    def may_be(self, function: Function, place: Expression) -> bool:
        """Whether a function means the word by a place."""
        if not place.base:
            return place.offset == self.word
        if place.base == FRAME:
            return False
        if place.base == "rdi" and function.start in self.handlers:
            return place.offset in self.handlers[function.start]
        return place.offset in self.places


def clear_bits(
    session: Session, reader: StackReader, waits: Waits, modules: Modules
) -> Iterator[ClearBit]:
    """Those for which modules' functions wait though there is nothing to wait for."""
    loaded = {module.name: module for module in modules.loaded}
    asked = [w for w in waits.victims if w.lock is not None and w.lock.bit is not None]
    for wait in asked[:_MOST_WAITS]:
        module = loaded.get(wait.call.module or "") if wait.call is not None else None
        found = _clear_bit(session, reader, wait, module) if module is not None else None
        if found is not None:
            yield found


def _clear_bit(
    session: Session, reader: StackReader, wait: Wait, module: Module
) -> ClearBit | None:
    lock, call = wait.lock, wait.call
    if lock is None or lock.address is None or lock.bit is None or call is None:
        return None
    if lock.kind != "bit" or not 0 <= lock.bit < 8 * _WORD:
        return None
    word = int(lock.address)
    raw = _read(session, word, _WORD)
    if raw is None or int.from_bytes(raw, "little") >> lock.bit & 1:
        return None
    within = {lock.within} if lock.within is not None else set()
    # What has jumped on to the wait has no frame: the place is its caller's.
    function = reader.function(call.pc - call.offset) if call.called_by is None else None
    waited = waited_at(function, reader.names.function_at) if function is not None else []
    places = frozenset(within | {place.offset for place in waited})
    return ClearBit(wait, module, word, lock.bit, raw, places, handed_to(session, word, module))


def waited_at(function: Function, name_of: Callable[[int], str | None]) -> list[Expression]:
    """The words of whose bits a function waits, as its code comes to them by a pointer."""
    found = []
    for at, row in function.code.items():
        target = direct_target(row) if row.mnemonic in ("call", "jmp") else None
        word = function.registers(at).get("rdi")
        if target is None or word is None or word.base in ("", FRAME):
            continue
        if (name_of(target) or "").startswith(_WAITS):
            found.append(word)
    return found


def _read(session: Session, address: int, size: int) -> bytes | None:
    from drgn import FaultError

    try:
        return session.read(address, size)
    except (FaultError, OverflowError):
        return None


def cleared_by(function: Function, bit: ClearBit) -> Iterator[Instruction]:
    """Where a function clears the bit."""
    for at, row in function.code.items():
        registers = function.registers(at)
        place = memory_place(row, registers) if writes_memory(row) else None
        if place is None:
            continue
        # The compiler names the byte of the word in which the bit is.
        for byte in (0, bit.number // 8 if row.operands[0].size == 1 else 0):
            number = bit.number - 8 * byte
            if clears(row, registers, number) and bit.may_be(function, place.plus(-byte)):
                yield row
                break


def clears(row: Instruction, registers: Registers, number: int) -> bool:
    """Whether an instruction clears a bit of the memory that it names, and not by chance."""
    if row.mnemonic not in ("btr", "and", "mov", "xor"):
        return False
    size = 8 * int(row.operands[0].size)
    value = stored_number(row, registers)
    if row.mnemonic == "btr":
        return value is None or value == number
    if value is None or number >= size:
        return False
    if row.mnemonic == "xor":
        return bool(value >> number & 1)
    return not value >> number & 1


def wakes_bit(word: int, number: int) -> Callable[[str, Registers, Expression | None], bool]:
    """Tells of a call, by its name and registers, whether it may wake those that wait for a bit."""

    def wakes(called: str, registers: Registers, _: Expression | None = None) -> bool:
        if called not in _WAKES:
            return False
        if called == "__wake_up_bit":  # whose first argument is the queue
            place, bit = registers.get("rsi"), registers.get("rdx")
        else:
            place, bit = registers.get("rdi"), registers.get("rsi")
        if called == "clear_and_wake_up_bit":
            place, bit = bit, place
        other_word = place is not None and not place.base and place.offset != word
        other_bit = bit is not None and not bit.base and bit.offset != number
        return not other_word and not other_bit

    return wakes
