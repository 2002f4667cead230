"""The threads that a module starts: who does so, and which of them can return by themselves.

A thread that returns before anybody stops it is freed, unless somebody has a reference to its task;
so is one that was stopped. A pointer to it that was kept then leads to another's task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence.modules.inlined import inlined_callers
from oopsight.evidence.modules.known_calls import CREATES_THREADS
from oopsight.evidence.modules.module_code import ModuleFunction, instructions
from oopsight.evidence.modules.module_roles import thread_starters
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from oopsight.evidence.flow.frames import SessionReader
    from oopsight.evidence.modules.code_values import Handed
    from oopsight.evidence.modules.field_code import FieldUse
    from oopsight.kernel.disassembler import Row
    from oopsight.session import Session

_ASKS = ("kthread_should_stop", "kthread_should_stop_or_park", "kthread_freezable_should_stop")
_STOPS = ("kthread_stop", "kthread_stop_put")
_KEEP_FLAGS = ("mov", "movzx", "lea", "pop")


@dataclass(frozen=True)
class Threads:
    """Names of a module's functions."""

    starters: tuple[str, ...] = ()
    """Start threads, and take no reference to them."""
    returning: tuple[str, ...] = ()
    """Are what such a thread runs, and can return although nobody has asked them to."""
    leaving: tuple[str, ...] = ()
    """Stop a thread, and leave the pointer to it where that was read."""


def threads_of(
    session: Session,
    reader: SessionReader,
    code: list[ModuleFunction],
    uses: dict[str, FieldUse],
) -> Threads:
    """Read it from the code; of a function that was inlined, both names."""
    starting = [n for n in thread_starters(code) if n in uses and not uses[n].counts]
    outer = [one for one in code if base_name(one.name) in starting]
    inner = [name for _, name in inlined_callers(session, outer, CREATES_THREADS)] if outer else []
    calls = [
        call for name in starting for call in uses[name].handed if call.name in CREATES_THREADS
    ]
    run = {call.arguments[0].number for call in calls if call.arguments[0].kind == "number"}
    return Threads(
        starters=tuple(dict.fromkeys((*inner, *starting))),
        returning=tuple(
            base_name(one.name) for one in code if one.start in run and returns_unasked(reader, one)
        ),
        leaving=tuple(name for name, use in uses.items() if any(map(_left(use), use.handed))),
    )


def _left(use: FieldUse) -> Callable[[Handed], bool]:
    """Whether a call stops a thread, and the function leaves the pointer to it in its field."""
    gone = {value for _, value in use.freed}

    def left(call: Handed) -> bool:
        if call.own or call.name not in _STOPS:
            return False
        thread = call.arguments[0]
        kept = thread.kind == "loaded" and thread.of not in gone
        return kept and (thread.number, thread.of) not in use.written

    return left


def returns_unasked(reader: SessionReader, one: ModuleFunction) -> bool:
    """Whether a way leads out of a thread's function on which each question was answered by no."""
    rows = {row.address: row for row in instructions(reader, one.start)}
    seen: set[int] = set()
    left = [one.start]
    while left:
        at = left.pop()
        row = rows.get(at)
        if at in seen or row is None:
            continue
        seen.add(at)
        leads = int(row.operands, 16) if row.operands.startswith("0x") else None
        if row.mnemonic == "ret" or (row.mnemonic == "jmp" and leads not in rows):
            return True
        if row.mnemonic == "call" and leads is not None and _asks(reader, leads):
            left += _answered_no(rows, at + len(row.code))
            continue
        if row.mnemonic.startswith("j") and leads is not None:
            left.append(leads)
        if row.mnemonic not in ("jmp", "ud2"):
            left.append(at + len(row.code))
    return False


def _asks(reader: SessionReader, address: int) -> bool:
    called = reader.function(address)
    return called is not None and base_name(called[0]) in _ASKS


def _answered_no(rows: dict[int, Row], at: int) -> list[int]:
    """Where the code goes on behind a question whose answer is no; nowhere if that is not seen."""
    tested = False
    while (row := rows.get(at)) is not None:
        at += len(row.code)
        if row.mnemonic == "test" and row.operands in ("al, al", "eax, eax"):
            tested = True
        elif row.mnemonic in ("je", "jne") and tested:
            return [int(row.operands, 16) if row.mnemonic == "je" else at]
        elif row.mnemonic not in _KEEP_FLAGS:
            break
    return []
