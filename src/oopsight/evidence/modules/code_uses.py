"""What each function of a module does with fields, read once for whoever asks."""

from __future__ import annotations

from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.field_code import FieldUse, field_use, joined
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.plumbing import base_name

_LARGEST_FUNCTION = 1 << 16
_MOST_CODE = 1 << 18


def uses_of(reader: SessionReader, code: list[ModuleFunction]) -> dict[str, FieldUse]:
    """What functions do with fields, by their names; of a large module those that come first."""
    parts: dict[str, list[ModuleFunction]] = {}
    left = _MOST_CODE
    for one in code:
        known = reader.code_symbol(one.start)
        left -= known[2] if known is not None else 0
        if left >= 0:
            parts.setdefault(base_name(one.name), []).append(one)
    return {name: use for name, ones in parts.items() if (use := _use(reader, ones)) is not None}


def _use(reader: SessionReader, parts: list[ModuleFunction]) -> FieldUse | None:
    """Of a function; its cold part is read behind it, as it goes on there."""
    read = [(one, code) for one in parts if (code := _code(reader, one))]
    if not read:
        return None
    first, _ = read[0]
    behind = [(one, code) for one, code in read if _is_part(one, first)]
    use = _read(reader, [(first, read[0][1]), *behind])
    for one, code in read[1:]:
        # Another function of that name.
        use = use if (one, code) in behind else joined(use, _read(reader, [(one, code)]))
    return use


def _is_part(one: ModuleFunction, first: ModuleFunction) -> bool:
    return one.start > first.start and one.name.startswith(f"{first.name}.")


def _code(reader: SessionReader, one: ModuleFunction) -> bytes | None:
    known = reader.code_symbol(one.start)
    return reader.read(one.start, min(known[2], _LARGEST_FUNCTION) if known is not None else 0)


def _read(reader: SessionReader, parts: list[tuple[ModuleFunction, bytes]]) -> FieldUse:
    from oopsight.kernel.disassembler import disassemble

    def name_of(address: int) -> str | None:
        function = reader.function(address)
        return function[0] if function is not None and function[1] == address else None

    def inside(address: int) -> bool:
        return any(one.start <= address < one.start + len(code) for one, code in parts)

    rows = (row[:4] for one, code in parts for row in disassemble(code, one.start))
    return field_use(rows, inside, name_of, frozenset().union(*(one.own for one, _ in parts)))
