"""What each function of a module does with fields, read once for whoever asks."""

from __future__ import annotations

import re

from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.field_code import FieldUse, field_use, joined
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, publishes
from oopsight.plumbing import base_name, is_part

_LARGEST_FUNCTION = 1 << 16
_MOST_CODE = 1 << 18


_RELATIVE = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|\d+)\]")
_MASK = (1 << 64) - 1
_Row = tuple[int, bytes, str, str]


def uses_of(reader: SessionReader, code: list[ModuleFunction]) -> dict[str, FieldUse]:
    """What functions do with fields, by their names; of a large module those that come first.

    The part of a function that the compiler has put elsewhere, as seldom run, belongs to it.
    """
    found: dict[str, FieldUse] = {}
    left = _MOST_CODE
    apart = [one for one in code if ".cold" in one.name]
    announcing = frozenset(one.name for one in code if publishes(one))
    finding = frozenset(one.name for one in code if not allocates(one))
    for one in code:
        if one in apart and any(is_part(one.name, whole.name) for whole in code):
            continue
        parts = [part for part in apart if is_part(part.name, one.name)]
        known = [reader.code_symbol(part.start) for part in (one, *parts)]
        left -= sum(row[2] for row in known if row is not None)
        use = _use(reader, one, parts, announcing, finding) if left >= 0 else None
        if use is not None:
            name = base_name(one.name)
            found[name] = joined(found[name], use) if name in found else use
    return found


def _use(
    reader: SessionReader,
    one: ModuleFunction,
    parts: list[ModuleFunction],
    announcing: frozenset[str],
    finding: frozenset[str],
) -> FieldUse | None:
    rows, size = _rows(reader, one.start)
    if not rows:
        return None
    end = one.start + size
    moved: list[tuple[int, int, int]] = []
    for part in parts:
        more, length = _rows(reader, part.start)
        moved.append((part.start, length, end - part.start))
        rows += more
        end += length
    rows = [_moved(row, moved) for row in rows] if moved else rows

    def name_of(address: int) -> str | None:
        function = reader.function(address)
        return function[0] if function is not None and function[1] == address else None

    own = one.own.union(*(part.own for part in parts))
    return field_use(
        rows, lambda address: one.start <= address < end, name_of, own, announcing, finding
    )


def _rows(reader: SessionReader, start: int) -> tuple[list[_Row], int]:
    """The instructions of the function that begins at an address, and its size."""
    from oopsight.kernel.disassembler import disassemble

    known = reader.code_symbol(start)
    size = min(known[2], _LARGEST_FUNCTION) if known is not None else 0
    code = reader.read(start, size)
    return [row[:4] for row in disassemble(code, start)] if code else [], size


def _moved(row: _Row, moved: list[tuple[int, int, int]]) -> _Row:
    """An instruction as if the parts of its function lay behind each other.

    :param moved: of each part where it begins, its size, and by how much it is moved
    """
    address, raw, mnemonic, operands = row
    relative = _RELATIVE.search(operands)
    if relative is not None:
        distance = int(relative[2], 0) * (1 if relative[1] == "+" else -1)
        at = (address + len(raw) + distance) & _MASK
        operands = operands.replace(relative[0], f"[{at:#x}]")
    elif mnemonic.startswith("j") and operands.startswith("0x"):
        operands = f"{_place(int(operands, 16), moved):#x}"
    return _place(address, moved), raw, mnemonic, operands


def _place(address: int, moved: list[tuple[int, int, int]]) -> int:
    by = (by for begin, size, by in moved if begin <= address < begin + size)
    return address + next(by, 0)
