"""Timers and work items that start themselves again, wake who waits, and are not pending.

Somebody stopped them. They are looked for in the object, or variable, that what is waited for lies
in. Not a fact by itself: :mod:`oopsight.evidence.hangs.left_off` asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from oopsight.evidence.hangs.handed_to import handlers_in
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.switches import SWITCHES
from oopsight.evidence.hangs.waiting.completion import busy_workers
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Module
from oopsight.evidence.pointers import Memory
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.machine_code import Instruction, direct_target
from oopsight.kernel.omissions import omission
from oopsight.plumbing import base_name
from oopsight.session import Session

_WAKES = ("completion", "event")
_PENDING = 1  # WORK_STRUCT_PENDING
_RESTART = 1  # HRTIMER_RESTART


class _Kind(NamedTuple):
    """How one is seen not to be pending."""

    name: str
    """One of :data:`SWITCHES`."""
    type_name: str
    function: str
    state: str
    mask: int
    """Of the state: none of its bits is set where it is not pending."""


_KINDS = (
    _Kind("timer", "struct timer_list", "function", "entry.pprev", -1),
    _Kind("hrtimer", "struct hrtimer", "function", "state", -1),
    # Since Linux 6.15 (commit 04257da0c99c).
    _Kind("hrtimer", "struct hrtimer", "_function", "state", -1),
    _Kind("work", "struct work_struct", "func", "data.counter", _PENDING),
)


class Stopped(NamedTuple):
    """One that is not pending."""

    kind: str
    title: str
    because: tuple[Memory, ...]


def stopped_timers(
    session: Session, reader: StackReader, address: int, module: Module
) -> Iterator[Stopped]:
    """Those that would have ended the wait.

    :param address: of what is waited for
    """
    for at, start in handlers_in(session, address, module):
        function = reader.function(start)
        for kind in _KINDS if function is not None else ():
            because = _not_pending(session.prog, kind, at)
            if because and function is not None and _goes_on(reader, function, kind.name):
                name = base_name(reader.names.code(start)[0])
                yield Stopped(kind.name, f"{kind.name} of {name}()", because)


def _not_pending(prog: Any, kind: _Kind, at: int) -> tuple[Memory, ...]:
    """What tells so; nothing where it is pending, or carried out just now.

    :param at: where its function is named
    """
    from drgn import FaultError, Object, offsetof

    try:
        inside = offsetof(prog.type(kind.type_name), kind.function)
        thing = Object(prog, f"{kind.type_name} *", at - inside)
        state = thing
        for member in kind.state.split("."):
            state = state.member_(member)
        if state.value_() & kind.mask:
            return ()
        running = kind.name == "work" and any(
            worker.current_work.value_() == thing.value_() for worker in busy_workers(prog)
        )
        return () if running else (memory_of(thing, kind.state), memory_of(thing, kind.function))
    except (FaultError, LookupError, AttributeError):
        return ()


def _goes_on(reader: StackReader, function: Function, kind: str) -> bool:
    """Whether it wakes somebody, and starts such a thing on all ways."""
    called = {
        at: reader.names.function_at(target) or ""
        for at, row in function.code.items()
        if row.mnemonic in ("call", "jmp") and (target := direct_target(row)) is not None
    }
    starts = [at for at, name in called.items() if name in SWITCHES[kind][1]]
    if kind == "hrtimer":
        starts += [at for at, row in function.code.items() if _restarts(row)]
    if not starts or not any(GIVES.get(name) in _WAKES for name in called.values()):
        return False
    return omission(function, starts, lambda at: COLD in reader.names.code(at)[0]) is None


def _restarts(row: Instruction) -> bool:
    """Whether it makes the result that a hrtimer is to be started again."""
    number = row.operands[1] if row.mnemonic == "mov" and len(row.operands) > 1 else None
    constant = number is not None and number.type == IMMEDIATE and number.imm == _RESTART
    return constant and "rax" in row.written
