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
    found: dict[str, FieldUse] = {}
    left = _MOST_CODE
    for one in code:
        known = reader.code_symbol(one.start)
        left -= known[2] if known is not None else 0
        use = _use(reader, one) if left >= 0 else None
        if use is not None:
            name = base_name(one.name)
            # The cold part of a function belongs to it.
            found[name] = joined(found[name], use) if name in found else use
    return found


def _use(reader: SessionReader, one: ModuleFunction) -> FieldUse | None:
    from oopsight.kernel.disassembler import disassemble

    known = reader.code_symbol(one.start)
    size = min(known[2], _LARGEST_FUNCTION) if known is not None else 0
    code = reader.read(one.start, size)
    if not code:
        return None

    def name_of(address: int) -> str | None:
        function = reader.function(address)
        return function[0] if function is not None and function[1] == address else None

    rows = (row[:4] for row in disassemble(code, one.start))
    return field_use(rows, one.start, one.start + size, name_of, one.own)
