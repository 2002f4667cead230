"""Whom a lock without an owner waits for: the tasks whose code has it, or goes on to give it.

A page, a bit, a completion, a semaphore, SRCU and the readers of a percpu-rwsem name nobody. A task
that is stuck in a function whose code, further on, gives that very thing back holds it, or is the
one to signal it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.modules.modules import Modules

UNOWNED = (
    "page",
    "writeback",
    "bit",
    "completion",
    "event",
    "fence",
    "semaphore",
    "srcu",
    "percpu_rwsem",
    "spinlock",
    "users",
    "socket",
)
SIGNALS = ("completion", "event", "fence")
"""Nobody holds these: somebody is to signal them."""
NOT_BY_ONESELF = ("srcu", "percpu_rwsem", "page", "socket")
"""Who has one of these and waits for it as well waits for itself."""
_MOST_SLEEPERS = 20_000
_MOST_STACKS = 200
_MOST_WORDS = 512
_INTERRUPTIBLE = 0x1
_DISOWNING = (
    *("sk_wait_data", "sk_stream_wait_*", "inet_csk_accept", "inet_csk_wait_for_connect"),
    *("inet_wait_for_connect", "__inet_stream_connect"),
)
"""Functions that give back, while they wait, the socket which their caller owns."""


def gives(reader: StackReader, task: Any, stack: TaskStack) -> set[tuple[str, int]]:
    """What the functions on a stack hold or go on to give, by kind and address.

    :param task: ``struct task_struct *``
    """
    from oopsight.evidence.hangs.waiting.users import used

    found = {("users", address) for address in used(reader.prog, task, stack)} | holds(stack)
    for call in stack.blamable:
        for kind, by, address in reader.ahead(task, call):
            inside = _writer(reader) if by == "rcuwait_wake_up" else 0
            found.add((kind, address - inside))
    return found


def holds(stack: TaskStack) -> set[tuple[str, int]]:
    """What the functions on a stack hold, by kind and address."""
    disowned = stack.inside(*_DISOWNING) is not None
    return {
        (h.kind, int(h.address))
        for call in stack.blamable
        for h in call.holds
        if h.address is not None and not (h.kind == "socket" and disowned)
    }


def _writer(reader: StackReader) -> int:
    """Where a percpu-rwsem keeps its waiting writer, whom its last reader wakes."""
    from drgn import offsetof

    try:
        return int(offsetof(reader.prog.type("struct percpu_rw_semaphore"), "writer"))
    except LookupError:
        return 0


def sleepers(prog: Any, modules: Modules, tasks: Iterable[Any]) -> list[Any]:
    """Tasks in interruptible or idle sleep that were called through a module's code, bounded.

    :param tasks: ``struct task_struct *``
    """
    from drgn import FaultError

    from oopsight.evidence.hangs.waiting.scan import stack_size
    from oopsight.kernel.blocked_tasks import NOLOAD, task_state

    ranges = [r for module in modules.loaded for r in module.ranges]
    if not ranges:
        return []
    low, high = min(start for start, _ in ranges), max(end for _, end in ranges)
    found: list[Any] = []
    for count, task in enumerate(tasks):
        if count >= _MOST_SLEEPERS or len(found) >= _MOST_STACKS:
            break
        try:
            if not task_state(task) & (_INTERRUPTIBLE | NOLOAD):
                continue
            sp = task.thread.sp.value_()
            size = min(task.stack.value_() + stack_size(prog) - sp, 8 * _MOST_WORDS) & ~7
            data = prog.read(sp, size) if size > 0 else b""
        except FaultError:
            continue
        words = struct.unpack(f"<{len(data) // 8}Q", data)
        if any(low <= word < high and modules.owner(word) for word in words):
            found.append(task)
    return found
