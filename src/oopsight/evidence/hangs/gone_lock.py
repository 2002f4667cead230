"""A lock or queue that is waited for, in memory that is not its owner's any more.

What it says, taken or not, has no meaning then: nobody will ever release it. Two kinds of memory
are told: a slab object that is free, and the stack of a task whose function has returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.stacks import StackReader, TaskStack, task_pointer
from oopsight.evidence.hangs.waiting import Waits
from oopsight.evidence.memory.owner import SlabObject, owner_of
from oopsight.evidence.memory.task_stacks import task_with_stack_at
from oopsight.evidence.modules.module_roles import freers, inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer, TaskPointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word
from oopsight.text import printable

_STALLS = (Kind.HUNG_TASK, Kind.SOFT_LOCKUP, Kind.HARD_LOCKUP, Kind.RCU_STALL)
_MOST_LOCKS = 32
# They wake what waits on a queue, whose list follows the lock (struct swait_queue_head,
# wait_queue_head).
_WAKING = ("complete*", "swake_up*", "__wake_up*", "wake_up*")
# They come back although nobody woke them, and the caller's request is still where it was put.
_GIVES_UP = re.compile(
    r"wait_for_completion_(io_)?(timeout|interruptible|killable)|schedule_timeout"
)


@dataclass(frozen=True)
class GoneLock:
    """The lock, who waits for it, and whose the memory was."""

    address: Address
    waiter: TaskStack
    memory: BytesPointer
    slab: SlabObject | None
    """The free object; ``None`` where it is a stack."""
    owner: TaskPointer | None
    """The task on whose stack it is."""
    inside: str | None
    """The function whose frame is there now; ``None`` below the innermost one."""
    module: str | None
    """Of those who use it."""
    handler: str | None
    """The timer's function that runs there, where it has left no frame."""
    suspects: tuple[str, ...]
    """Functions of the module that free memory, or that give up waiting."""


def collect(
    session: Session,
    symptom: Symptom,
    waits: Waits | Missing,
    cpus: Cpus | Missing,
    modules: Modules | Missing,
) -> GoneLock | Missing:
    """Look at the memory of each lock that somebody waits for."""
    if symptom.kind not in _STALLS:
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from waiting")
    known = modules if isinstance(modules, Modules) else None
    for number, (address, stack) in enumerate(_wanted(waits, cpus)):
        if number >= _MOST_LOCKS:
            break
        found = _freed(session, known, address, stack) or _left(session, known, address, stack)
        if found is not None:
            return found
    return Missing(Why.NOT_APPLICABLE, "every lock that is waited for is in memory in use")


def _wanted(waits: Waits | Missing, cpus: Cpus | Missing) -> Iterator[tuple[Address, TaskStack]]:
    for cpu in cpus.cpus if isinstance(cpus, Cpus) else ():
        if cpu.spins_on is not None:
            yield cpu.spins_on.address, cpu.stack
    for wait in waits.victims if isinstance(waits, Waits) else ():
        if wait.lock is not None and wait.lock.address is not None:
            yield wait.lock.address, wait.stack
        elif wait.lock_unread:
            # The list of those who wait has gone with it; the code tells what it is to take.
            wanted = (call.wants for call in wait.stack.calls if call.wants is not None)
            yield from ((one.address, wait.stack) for one in wanted if one.address is not None)


def _bytes(session: Session, address: int) -> BytesPointer | None:
    from drgn import FaultError

    try:
        return BytesPointer(Address(address), session.read(address, 16).hex())
    except FaultError:
        return None


def _freed(
    session: Session, modules: Modules | None, address: Address, stack: TaskStack
) -> GoneLock | None:
    slab = owner_of(session, modules, address).slab
    memory = _bytes(session, address)
    if slab is None or not slab.freed or memory is None:
        return None
    module = next((call.module for call in stack.blamable if call.module), None)
    suspects = _functions(session, modules, module, slab.cache)
    return GoneLock(address, stack, memory, slab, None, None, module, None, suspects)


def _left(
    session: Session, modules: Modules | None, address: Address, stack: TaskStack
) -> GoneLock | None:
    """On the stack of a task, as a queue whose list is none."""
    memory = _bytes(session, address)
    if memory is None or stack.inside(*_WAKING) is None or _is_queue(session, address):
        return None
    task = task_with_stack_at(session, int(address))
    if task is None or task.value_() == stack.task.address:
        return None
    reader = StackReader(session, modules or Missing(Why.UNREADABLE, "no modules"))
    calls = reader.read(task, look_into=False).calls
    if not calls:
        return None
    # The frame of a call ends where its caller's begins.
    inside = next(
        (call for call, outer in pairwise(calls)
         if call.sp <= address < outer.sp), None
    )  # fmt: skip
    handler = _running_timer(session, stack)
    owner = modules.owner(handler[1]) if modules and handler else None
    module = next((call.module for call in stack.blamable if call.module), None)
    module = module or (owner.name if owner else None) or (inside.module if inside else None)
    return GoneLock(
        address=address,
        waiter=stack,
        memory=memory,
        slab=None,
        owner=task_pointer(task),
        inside=inside.name if inside else None,
        module=module,
        handler=handler[0] if handler and owner else None,
        suspects=_functions(session, modules, module, None),
    )


def _is_queue(session: Session, lock: int) -> bool:
    """Whether the list behind the lock of a queue leads back."""
    head = lock + 8
    first = read_word(session, head)
    return first is not None and first >> 63 == 1 and read_word(session, first + 8) == head


def _running_timer(session: Session, stack: TaskStack) -> tuple[str, int] | None:
    """The function of the timer that the CPU runs, by name and address."""
    from drgn import FaultError
    from drgn.helpers.linux.percpu import per_cpu

    if stack.inside("call_timer_fn", "expire_timers", "__run_timers") is None:
        return None
    try:
        bases = per_cpu(session.prog["timer_bases"], stack.cpu)
        for base in bases:
            if base.running_timer:
                address = base.running_timer.function.value_()
                return base_name(printable(session.prog.symbol(address).name)), address
    except (FaultError, LookupError, AttributeError, ValueError):
        pass
    return None


def _functions(
    session: Session, modules: Modules | None, name: str | None, cache: str | None
) -> tuple[str, ...]:
    """Functions of a module that free objects of a cache, or that give up waiting."""
    module = next((m for m in modules.loaded if m.name == name), None) if modules else None
    if module is None:
        return ()
    code = inner_functions(session, module)
    if cache is not None:
        return freers(code, cache)
    return tuple(
        base_name(one.name) for one in code if any(_GIVES_UP.match(c) for c in one.outside)
    )
