"""Tasks that wait for each other, made by hand."""

from __future__ import annotations

from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.cpus import Cpu, Cpus, SpinLock
from oopsight.evidence.hangs.lock_leaks import LockLeak, LockLeaks
from oopsight.evidence.hangs.stacks import Call, HeldLock, TaskStack
from oopsight.evidence.hangs.waiting import Holder, Lock, Wait, Waits
from oopsight.evidence.pointers import LogPointer, Memory, ModulePointer, TaskPointer
from oopsight.kinds import Kind

LOCK_A = Address(0xFFFFFFFFC0001000)
LOCK_B = Address(0xFFFFFFFFC0001040)


def symptom(kind: Kind, headline: str | None = None) -> Symptom:
    """What the log said first."""
    line = LogPointer(9.0, headline) if headline is not None else None
    return Symptom(kind, headline or str(kind), "log", line, None)


def task(pid: int, comm: str = "worker") -> TaskPointer:
    """A task whose address tells its number."""
    return TaskPointer(pid, f"{comm}{pid}", Address(0xFFFF888000000000 + pid * 0x4000))


def held(address: int, kind: str = "mutex", by: str = "mutex_lock") -> HeldLock:
    """A lock that a function has taken."""
    return HeldLock(kind, Address(address), f"lock_{address:x}", "taker+0x10", by)


def call(index: int, function: str, module: str | None = "drv", **changes: Any) -> Call:
    """A frame of a module's function that can be to blame."""
    values: dict[str, Any] = {
        "index": index,
        "pc": Address(0xFFFFFFFFC0000000 + index),
        "sp": Address(0xFFFFC90000001000 + index * 64),
        "function": function,
        "offset": 16,
        "module": module,
        "interrupted": False,
        "plumbing": None,
    }
    return Call(**{**values, **changes})


def stack(pid: int, *calls: Call, state: str = "D") -> TaskStack:
    """A task's stack."""
    return TaskStack(task(pid), 0, state, calls)


def memory(address: int) -> Memory:
    """A lock's owner member."""
    return Memory("struct mutex", Address(address), "owner", Address(address), "00" * 8)


def lock(address: int, *holders: int, kind: str = "mutex", known_by: str = "owner") -> Lock:
    """A lock held by living tasks."""
    who = tuple(Holder(task(pid), alive=True, known_by=known_by) for pid in holders)
    return Lock(kind, Address(address), f"lock_{address:x}", None, who, (memory(address),))


def waits(*all_of_them: Wait) -> Waits:
    """The graph."""
    return Waits(all_of_them, len(all_of_them), len(all_of_them))


def cpu(number: int, on: TaskStack, **changes: Any) -> Cpu:
    """A busy CPU, in the kernel with interrupts on."""
    values: dict[str, Any] = {
        "number": number,
        "stack": on,
        "panicking": False,
        "idle": False,
        "in_user": False,
        "interrupts_on": True,
        "spins_on": None,
    }
    return Cpu(**{**values, **changes})


def cpus(*all_of_them: Cpu) -> Cpus:
    """The machine."""
    return Cpus(all_of_them, ())


def spinning(address: int) -> SpinLock:
    """A spinlock that is held."""
    return SpinLock(Address(address), f"lock_{address:x}", 1, confirmed=True)


def leak(function: str, kind: str = "mutex", address: int | None = None) -> LockLeak:
    """A function of ``drv`` that can leave a lock taken."""
    module = ModulePointer("drv", loaded=True, base=Address(0xFFFFFFFFC0000000))
    where = None if address is None else Address(address)
    return LockLeak(module, function, kind, where, f"{function}+0x8", f"{function}+0x30")


def leaks(*found: LockLeak) -> LockLeaks:
    """What a search of ``drv`` found."""
    return LockLeaks(found, ("drv",), 5)
