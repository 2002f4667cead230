"""Where a BUG() or WARN() stands in the source, and the comparison that led to it.

The compiler keeps file and line of each in a table beside the code, ``struct bug_entry``; a trap
instruction (``ud2``) marks the place. What was compared is read from the code before it.
"""

from __future__ import annotations

import struct
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import RegisterPointer
from oopsight.kernel.code_locks import Function
from oopsight.kernel.conditions import Condition, condition
from oopsight.kernel.names import Names
from oopsight.session import Session
from oopsight.text import c_string, printable
from oopsight.walk import MOST_MODULES, each_once

_MOST_ENTRIES = 200_000
_LARGEST_FUNCTION = 16384
_LONGEST_PATH = 512
_WARNING = 1  # BUGFLAG_WARNING, include/linux/bug.h


@dataclass(frozen=True)
class BugSite:
    """A failed check."""

    file: str | None
    """``file:line``; ``None`` where the table does not hold the place."""
    warning: bool | None
    """A WARN() rather than a BUG(); ``None`` where the table does not tell."""
    condition: Condition | None
    """The comparison whose outcome led there."""
    values: tuple[RegisterPointer, ...]
    """What the compared registers held at the trap."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules | Missing
) -> BugSite | Missing:
    """Look the trapping address up in the kernel's table and its module's."""
    if fault.exception != INVALID_OPCODE:
        return Missing(Why.NOT_APPLICABLE, "no check failed: the exception was another")
    entry = _entry(session, fault.pc, modules)
    found = _condition(session, fault.pc)
    names = found.registers if found is not None else ()
    values = tuple(
        RegisterPointer(name, value)
        for name in names
        if (value := backtrace.register(name)) is not None
    )
    file, warning = entry if entry is not None else (None, None)
    if file is None and found is None:
        return Missing(Why.NO_SYMBOLS, "the place is in no table of checks")
    return BugSite(file, warning, found, values)


def _entry(
    session: Session, pc: int, modules: Modules | Missing
) -> tuple[str | None, bool | None] | None:
    from drgn import FaultError

    prog: Any = session.prog
    for start, end in _tables(prog, pc, modules):
        try:
            found = _search(prog, start, end, pc)
        except (FaultError, LookupError):
            continue
        if found is not None:
            return found
    return None


def _tables(prog: Any, pc: int, modules: Modules | Missing) -> list[tuple[int, int]]:
    """Address ranges of the tables that can hold the place."""
    from drgn import FaultError, sizeof
    from drgn.helpers.linux.module import for_each_module

    owner = modules.owner(pc) if isinstance(modules, Modules) else None
    try:
        if owner is None:
            start = prog.symbol("__start___bug_table").address
            return [(start, prog.symbol("__stop___bug_table").address)]
        for module in each_once(for_each_module(prog), MOST_MODULES):
            if c_string(module.name).decode(errors="replace") == owner.name:
                table = module.bug_table.value_()
                size = sizeof(prog.type("struct bug_entry")) * module.num_bugs.value_()
                return [(table, table + size)]
    except (LookupError, FaultError, AttributeError):
        pass
    return []


def _search(prog: Any, start: int, end: int, pc: int) -> tuple[str | None, bool | None] | None:
    from drgn import Object, offsetof, sizeof

    kind = prog.type("struct bug_entry")
    size = sizeof(kind)
    if not 0 < end - start <= size * _MOST_ENTRIES:
        return None
    # Places are kept relative to the table on x86-64.
    at = offsetof(kind, "bug_addr_disp")
    table = prog.read(start, end - start)
    for offset in range(0, len(table) - size + 1, size):
        (distance,) = struct.unpack_from("<i", table, offset + at)
        if start + offset + at + distance != pc:
            continue
        flags = struct.unpack_from("<H", table, offset + offsetof(kind, "flags"))[0]
        file_at = offsetof(kind, "file_disp")
        (file,) = struct.unpack_from("<i", table, offset + file_at)
        line = struct.unpack_from("<H", table, offset + offsetof(kind, "line"))[0]
        path = c_string(Object(prog, "char *", start + offset + file_at + file))
        name = printable(path, _LONGEST_PATH)
        return f"{name}:{line}", bool(flags & _WARNING)
    return None


def _condition(session: Session, pc: int) -> Condition | None:
    from drgn import FaultError

    names = Names(session.prog)
    _, start, size = names.code(pc)
    if start is None or not 0 < size <= _LARGEST_FUNCTION:
        return None
    try:
        code = session.read(start, size)
    except FaultError:
        return None
    return condition(Function(code, start, names.function_at), pc)


def where(site: BugSite | Missing) -> str:
    """`` at file:line``, or nothing."""
    return f" at {site.file}" if isinstance(site, BugSite) and site.file is not None else ""
