"""Whether a function calls another on all of its ways, or on some only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence.modules.module_code import ModuleFunction, instructions
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from oopsight.evidence.flow.frames import SessionReader


def calls_always(reader: SessionReader, one: ModuleFunction, names: tuple[str, ...]) -> bool:
    """Whether no way leads from a function's beginning to its end past all calls of some others.

    :param names: of the others, base names
    """
    rows = {row.address: row for row in instructions(reader, one.start)}
    if not rows:
        return False
    seen: set[int] = set()
    left = [one.start]
    while left:
        at = left.pop()
        row = rows.get(at)
        if at in seen:
            continue
        seen.add(at)
        if row is None or row.mnemonic == "ret":
            return False
        leads = int(row.operands, 16) if row.operands.startswith("0x") else None
        if row.mnemonic in ("call", "jmp") and leads is not None and leads not in rows:
            called = reader.function(leads)
            if called is not None and base_name(called[0]) in names:
                continue
        if row.mnemonic.startswith("j") and leads is not None:
            left.append(leads)
        if row.mnemonic not in ("jmp", "ud2"):
            left.append(at + len(row.code))
    return True
