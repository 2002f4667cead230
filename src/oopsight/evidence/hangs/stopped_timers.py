"""Timers that start themselves again, wake who waits, and are not pending: somebody stopped them.

They are looked for in the object, or variable, that what is waited for lies in. Not a fact by
itself: :mod:`oopsight.evidence.hangs.left_off` asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.evidence.hangs.handed_to import handlers_in
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.switches import SWITCHES
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Module
from oopsight.evidence.pointers import Memory
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import direct_target
from oopsight.kernel.omissions import omission
from oopsight.plumbing import base_name
from oopsight.session import Session

KIND = "timer"
_WAKES = ("completion", "event")


def stopped_timers(
    session: Session, reader: StackReader, address: int, module: Module
) -> Iterator[tuple[str, tuple[Memory, ...]]]:
    """What each is called, and what tells that it is not pending.

    :param address: of what is waited for
    """
    from drgn import FaultError, Object, offsetof

    prog: Any = session.prog
    try:
        inside = offsetof(prog.type("struct timer_list"), "function")
    except LookupError:
        return
    for at, start in handlers_in(session, address, module):
        function = reader.function(start)
        if function is None or not _goes_on(reader, function):
            continue
        timer = Object(prog, "struct timer_list *", at - inside)
        try:
            if not timer.entry.pprev:
                name = base_name(reader.names.code(start)[0])
                because = (memory_of(timer, "entry.pprev"), memory_of(timer, "function"))
                yield f"timer of {name}()", because
        except (FaultError, AttributeError):
            continue


def _goes_on(reader: StackReader, function: Function) -> bool:
    """Whether it wakes somebody, and starts a timer on all ways."""
    called = {
        at: reader.names.function_at(target) or ""
        for at, row in function.code.items()
        if row.mnemonic in ("call", "jmp") and (target := direct_target(row)) is not None
    }
    starts = [at for at, name in called.items() if name in SWITCHES[KIND][1]]
    if not starts or not any(GIVES.get(name) in _WAKES for name in called.values()):
        return False
    return omission(function, starts, lambda at: COLD in reader.names.code(at)[0]) is None
