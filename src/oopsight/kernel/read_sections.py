"""What a function goes on with that it got within a read section of RCU which it has left. x86-64.

``rcu_read_lock(); item = find(id); rcu_read_unlock(); wait(item);``: without a reference the item
may be freed as soon as the section is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.calling_convention import CALLER_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER
from oopsight.kernel.machine_code import (
    Instruction,
    direct_target,
    memory_place,
    register_of,
    slot_of,
    writes_memory,
)

ENTERS = ("__rcu_read_lock", "__srcu_read_lock")
_LEAVES = ("__rcu_read_unlock", "__srcu_read_unlock")
_FINDS = re.compile(r"(?:^|_)(?:find|lookup|load|search|first|next|by)(?:_|$)|_rcu$|pid_task$")
_TAKES = re.compile(
    r"(?:^|_)(?:get|hold|grab|ref|refcount|kref|pin|claim|inc|del|remove|erase|unlink|copy|clone"
    r"|dup|memdup)(?:_|$)|refcount|memcpy"
)
"""In names of what takes a reference, takes an object out or copies it: it is the caller's own."""
_COUNTS = ("xadd", "cmpxchg", "inc")
_MOST_STEPS = 20_000


class _State(NamedTuple):
    inside: bool
    taken: bool
    """Whether a reference was taken in the section."""
    got: frozenset[str]
    """Registers and stack slots with what was got in the section."""
    kept: frozenset[str]
    """The same, of a section that was left since."""

    def joined(self, other: _State) -> _State:
        return _State(
            self.inside or other.inside,
            self.taken or other.taken,
            self.got | other.got,
            self.kept | other.kept,
        )


_BEGIN = _State(inside=False, taken=False, got=frozenset(), kept=frozenset())


def kept_after(
    function: Function, name_of: Callable[[int], str | None], counts: Callable[[int], bool]
) -> dict[int, frozenset[str]]:
    """Registers and stack slots with what was got in a section that has been left.

    :param counts: whether what is called at an address takes a reference
    :return: by the addresses of the instructions, before each; none of other addresses
    """
    states = {function.start: _BEGIN}
    work = [function.start]
    steps = 0
    while work and steps < _MOST_STEPS:
        steps += 1
        at = work.pop()
        row = function.code.get(at)
        if row is None:
            continue
        after = _after(function, row, states[at], name_of, counts)
        for there in function.ways(row):
            known = states.get(there)
            joined = after if known is None else known.joined(after)
            if joined != known:
                states[there] = joined
                work.append(there)
    return {at: state.kept for at, state in states.items() if state.kept}


def _after(
    function: Function,
    row: Instruction,
    state: _State,
    name_of: Callable[[int], str | None],
    counts: Callable[[int], bool],
) -> _State:
    if row.mnemonic == "call":
        return _after_call(row, state, name_of, counts)
    if state.inside and row.mnemonic in _COUNTS and writes_memory(row):
        return state._replace(taken=True, got=frozenset())
    to, source = _moved(function, row)
    written = {*row.written, *((to,) if to else ())}
    got, kept = state.got - written, state.kept - written
    if to is not None and source is not None:
        got |= {to} if source in state.got else set()
        kept |= {to} if source in state.kept else set()
    elif to is not None and state.inside and not state.taken and _is_load(row):
        got |= {to}
    return state._replace(got=got, kept=kept)


def _after_call(
    row: Instruction,
    state: _State,
    name_of: Callable[[int], str | None],
    counts: Callable[[int], bool],
) -> _State:
    target = direct_target(row)
    name = (name_of(target) if target is not None else None) or ""
    if name in ENTERS:
        return _BEGIN._replace(inside=True)
    if name in _LEAVES:
        return _State(inside=False, taken=False, got=frozenset(), kept=state.kept | state.got)
    lost = frozenset(CALLER_SAVED)
    state = state._replace(got=state.got - lost, kept=state.kept - lost)
    if not state.inside or state.taken:
        return state
    if _TAKES.search(name) or (target is not None and counts(target)):
        return state._replace(taken=True, got=frozenset())
    return state._replace(got=state.got | {"rax"}) if _FINDS.search(name) else state


def _moved(function: Function, row: Instruction) -> tuple[str | None, str | None]:
    """Where an instruction puts a pointer, and where that was; an address within stays with it."""
    operands = row.operands
    if row.mnemonic in ("add", "sub") and len(operands) == 2 and operands[1].type == IMMEDIATE:
        register = register_of(operands[0].reg) if operands[0].type == REGISTER else None
        return register, register
    if len(operands) != 2 or operands[0].size != 8 or row.mnemonic not in ("mov", "lea"):
        return None, None
    slot = slot_of(memory_place(row, function.registers(row.address)))
    if operands[0].type == MEMORY:
        return slot, register_of(operands[1].reg) if operands[1].type == REGISTER else None
    to = register_of(operands[0].reg)
    if operands[1].type == REGISTER:
        return to, register_of(operands[1].reg)
    if row.mnemonic == "lea":
        return to, register_of(operands[1].mem.base) if not operands[1].mem.indexed else None
    return to, slot


def _is_load(row: Instruction) -> bool:
    """Whether it reads a pointer from memory that is not the own stack's."""
    return (
        row.mnemonic == "mov" and row.operands[1].type == MEMORY and not row.operands[1].mem.segment
    )
