"""What the loops of a function write: memory one piece after another, or one place in each object.

A loop that copies advances its pointer, or the index to it, itself. One that walks a list reads the
pointer to the next object from memory, and what it stores in each is not at length.

Not a fact by itself: :mod:`oopsight.evidence.modules.module_code` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from oopsight.evidence.flow.instructions import CALL_CLOBBERS, whole_register

if TYPE_CHECKING:
    from oopsight.kernel.disassembler import Row

_MOST_ROWS = 2048
"""Instructions of one loop that are read."""
_MOST_BEFORE = 16
"""Instructions before a store that are looked at."""
_APPENDED = re.compile(r"byte ptr \[r(?!sp)\w+ \+ (?P<index>r\w+)(?: [+-] \w+)?\], ")
_READ = re.compile(r"(?P<to>[re]\w+), (?P<place>(?:[qd]?word|byte) ptr \[(?P<base>r\w+).*\])$")
_NAME = re.compile(r"[a-z]\w*")
_COPIES = ("mov", "movzx", "movsx", "movsxd")
_READ_ONLY = ("cmp", "test", "push", "bt", "nop")


class Store(NamedTuple):
    """An instruction that writes to memory."""

    registers: frozenset[str]
    """Of which its address is computed."""
    width: int
    """Bytes."""


class _Change(NamedTuple):
    """What an instruction does to a register."""

    register: str
    sources: frozenset[str]
    """The registers from which its value is computed; itself, where it is added to."""
    step: bool
    """Whether something is added on the way."""


def appends(rows: Sequence[Row]) -> bool:
    """Whether a byte is stored behind those before it, by a count in memory that has no limit.

    One byte for each call: what calls the function, over and over, is the loop.
    """
    return any(
        _is_appended(rows[max(0, number - _MOST_BEFORE) : number], stored["index"], rows)
        for number, row in enumerate(rows)
        if row.mnemonic == "mov" and (stored := _APPENDED.match(row.operands)) is not None
    )


def _is_appended(before: Sequence[Row], index: str, rows: Sequence[Row]) -> bool:
    """Whether a register was read from memory where it is counted up, and compared with nothing."""
    place = base = None
    for row in reversed(before):
        first = row.operands.partition(", ")[0]
        met = whole_register(first) == index if place is None else first == place
        if row.mnemonic in ("cmp", "test") and met:
            return False
        if place is not None and whole_register(first) == base and row.mnemonic in _COPIES:
            break
        if place is not None or whole_register(first) != index or row.mnemonic in _READ_ONLY:
            continue
        read = _READ.match(row.operands) if row.mnemonic in _COPIES else None
        if read is None:
            return False
        place, base = read["place"], read["base"]
    return place is not None and any(
        row.mnemonic in ("mov", "add", "inc") and row.operands.partition(", ")[0] == place
        for row in rows
    )


def written_in_loops(
    rows: Sequence[Row], loops: Mapping[int, int], stores: Mapping[int, Store]
) -> frozenset[int]:
    """How wide the pieces are that loops write one after another, in bytes.

    :param loops: of each the address of its first instruction and of its last, the jump back
    :param stores: by their addresses
    """
    found: set[int] = set()
    for first, last in loops.items():
        if not any(first <= at <= last for at in stores):
            continue
        body = [row for row in rows if first <= row.address <= last]
        found.update(_written(body, stores) if len(body) <= _MOST_ROWS else ())
    return frozenset(found)


def _written(body: Sequence[Row], stores: Mapping[int, Store]) -> set[int]:
    changes = [_change(row) for row in body]
    own = _advanced([change for change in changes if change is not None])
    advancing = set(own)
    found: set[int] = set()
    # What is copied at a loop's end is used at its beginning, the next time.
    for row, change in [*zip(body, changes, strict=True)] * 2:
        store = stores.get(row.address)
        if store is not None and store.registers & advancing:
            found.add(store.width)
        if row.mnemonic == "call":
            advancing -= CALL_CLOBBERS - own
        elif change is not None and change.sources & advancing:
            advancing.add(change.register)
        elif change is not None and change.register not in own:
            advancing.discard(change.register)
    return found


def _advanced(changes: Sequence[_Change]) -> frozenset[str]:
    """The registers whose next value is computed from the last, with something added."""
    anew = {change.register for change in changes if not change.sources}
    kept = [change for change in changes if change.register not in anew]
    found: set[str] = set()
    for change in kept:
        if change.step and change.register not in found:
            follow = _following(change.register, kept)
            if change.sources & follow:
                # Of a circle of copies all are the same pointer.
                found |= {one for one in follow if change.register in _following(one, kept)}
    return frozenset(found)


def _following(register: str, changes: Sequence[_Change]) -> set[str]:
    """A register and those that are computed from it, over any number of instructions."""
    found = {register}
    grown = True
    while grown:
        more = {change.register for change in changes if change.sources & found}
        grown = not more <= found
        found |= more
    return found


def _change(row: Row) -> _Change | None:
    mnemonic = row.mnemonic
    first, _, rest = row.operands.partition(", ")
    register = whole_register(first)
    if register is None or mnemonic in _READ_ONLY or mnemonic.startswith("j"):
        return None
    if mnemonic == "lea":
        named = _registers(rest)
        return _Change(register, named, " + " in rest or " - " in rest)
    # What is read from memory is new; what is added to stays what it was.
    named = frozenset() if "[" in rest else _registers(rest)
    if mnemonic in _COPIES:
        return _Change(register, named, step=False)
    if mnemonic == "pop" or (mnemonic in ("xor", "sub") and named == {register}):
        return _Change(register, frozenset(), step=False)
    step = mnemonic in ("add", "sub", "inc", "dec")
    return _Change(register, named | {register}, step)


def _registers(text: str) -> frozenset[str]:
    found = (whole_register(name) for name in _NAME.findall(text))
    return frozenset(name for name in found if name is not None)
