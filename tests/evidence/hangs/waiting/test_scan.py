"""The structures by which sleeping tasks hang on a lock, found on their stacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import TaskPointer

TASK = BASE + 0x100
STACK = BASE + 0x4000
WAITER = STACK + 0x3000
LOCK = BASE + 0x8040
QUEUE = LOCK + 16  # of the lock
BEHIND = LOCK + 32
OTHER = BASE + 0x200


def kernel() -> Kernel:
    """A task that waits for a mutex, alone."""
    made = Kernel()
    word, lists = made.word, made.type("list_head")
    made.struct("task_struct", flags=word, stack=made.prog.pointer_type(made.prog.void_type()))
    made.struct("mutex_waiter", list=lists, task=word)
    made.struct("mutex", owner=word, wait_lock=word, wait_list=lists)
    made.put(TASK + 8, STACK)
    made.put(WAITER, QUEUE)
    made.put(WAITER + 8, QUEUE)
    made.put(WAITER + 16, TASK)
    made.put(QUEUE, WAITER)
    made.put(QUEUE + 8, WAITER)
    return made


def locks(made: Kernel) -> list[int]:
    waiting = TaskStack(TaskPointer(1, "worker", Address(TASK)), 0, "D", ())
    span = (STACK + 0x2000, STACK + 0x4000)
    scan = Scan(made.prog, cast("StackReader", SimpleNamespace()), waiting, span, {})
    return [address for address, _ in scan.locks("struct mutex_waiter", "struct mutex")]


def test_the_lock_is_found_by_the_only_one_that_waits() -> None:
    assert locks(kernel()) == [LOCK]


def test_what_follows_a_lock_is_no_task() -> None:
    """A list of objects behind the mutex; their second word points to the module's code."""
    made = kernel()
    made.put(BEHIND, OTHER)
    made.put(OTHER + 8, LOCK - 0x1F00)
    assert locks(made) == [LOCK]
