"""Mappings that are closed more often than they are opened.

A process that forks has its mappings copied: the kernel calls ``open`` of the copy, if there is
one, and later ``close`` of both. A ``close`` that gives back what ``mmap`` has taken needs an
``open`` that takes it once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.handing import Uses, given_back
from oopsight.evidence.modules.module_code import ModuleFunction, instructions
from oopsight.evidence.modules.modules import Module
from oopsight.plumbing import base_name
from oopsight.session import Session

_NOT_COPIED = 0x20000  # VM_DONTCOPY, include/linux/mm.h
_SETS_BITS = re.compile(r"or (?:.*, )(0x[0-9a-f]+|\d+)$")


@dataclass(frozen=True)
class CopiedMapping:
    """A table of operations without an ``open``."""

    installer: str
    """The function that gives mappings the table."""
    close: str
    """What gives back for each of them."""
    by: tuple[str, ...] = ()
    """Functions that it calls for that."""


def copied_mappings(
    session: Session,
    reader: SessionReader,
    module: Module,
    uses: Uses,
    code: list[ModuleFunction],
) -> tuple[CopiedMapping, ...]:
    """Who gives mappings a ``close`` that gives something back, and no ``open``."""
    layout = _layout(session.prog)
    if layout is None:
        return ()
    in_mapping, open_at, close_at = layout
    found = []
    for name, table in _installed(uses, in_mapping):
        opened, closed = (_word(reader, table + at) for at in (open_at, close_at))
        known = reader.code_symbol(closed) if closed else None
        if opened != 0 or known is None or not module.holds(table):
            continue
        close = base_name(known[0])
        back = list(given_back(uses[close], uses)) if close in uses else []
        starts = [one.start for one in code if base_name(one.name) == name]
        if back and not any(_keeps_from_copies(reader, start) for start in starts):
            by = dict.fromkeys(base_name(by) for *_, by, _ in back if by)
            found.append(CopiedMapping(name, close, tuple(by)))
    return tuple(dict.fromkeys(found))


def _installed(uses: Uses, in_mapping: int) -> Iterator[tuple[str, int]]:
    """Functions that store an address where a mapping has its operations, and the address."""
    for name, use in uses.items():
        for key, value in use.pointers:
            if key == in_mapping and value.kind == "number" and value.number:
                yield name, value.number


def _keeps_from_copies(reader: SessionReader, start: int) -> bool:
    """Whether a function sets the flag of what is not copied."""
    for _, _, mnemonic, operands, _ in instructions(reader, start):
        bits = _SETS_BITS.match(f"{mnemonic} {operands}")
        if bits is not None and int(bits[1], 0) & _NOT_COPIED:
            return True
    return False


def _layout(prog: Any) -> tuple[int, int, int] | None:
    """Where a mapping has the pointer to its operations, and these ``open`` and ``close``."""
    from drgn import offsetof

    try:
        table = prog.type("struct vm_operations_struct")
        mapping = prog.type("struct vm_area_struct")
        return offsetof(mapping, "vm_ops"), offsetof(table, "open"), offsetof(table, "close")
    except (LookupError, SymbolError):
        return None


def _word(reader: SessionReader, address: int) -> int | None:
    data = reader.read(address, 8)
    return None if data is None else int.from_bytes(data, "little")
