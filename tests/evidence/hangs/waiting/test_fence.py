"""A fence of another driver's that a task waits for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import fence
from oopsight.evidence.hangs.waiting.scan import Scan, value
from oopsight.evidence.pointers import TaskPointer

TASK, STACK, FENCE = BASE + 0x100, BASE + 0x4000, BASE + 0x8000
OPERATIONS = 0xFFFFFFFFC0002160


def kernel() -> Kernel:
    made = Kernel()
    array = made.prog.array_type(made.word, 8)
    made.struct("task_struct", stack=made.word)
    made.struct("thread_union", words=array)
    made.struct("dma_fence_cb", node=made.type("list_head"), func=made.word)
    made.struct("default_wait_cb", base=made.type("dma_fence_cb"), task=made.word)
    made.struct("dma_fence", lock=made.word, ops=made.word, cb_list=made.type("list_head"))
    return made


def scan(made: Kernel) -> Scan:
    waiting = TaskStack(TaskPointer(1, "flip", Address(TASK)), 0, "D", ())
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: None)))
    return Scan(made.prog, reader, waiting, (STACK, STACK + 0x40), {})


def test_the_fence_that_has_the_callback() -> None:
    made = kernel()
    made.put(TASK, STACK)
    made.put(FENCE + 8, OPERATIONS, STACK, STACK)
    made.put(STACK, FENCE + 16, FENCE + 16, 0, TASK)
    found = fence.find(scan(made))
    assert found is not None
    assert (found.kind, found.address) == ("fence", FENCE)
    assert value(found.because[0]) == OPERATIONS


def test_a_callback_that_is_on_no_list_tells_nothing() -> None:
    made = kernel()
    made.put(STACK, STACK, STACK, 0, TASK)
    assert fence.find(scan(made)) is None
    assert fence.find(scan(Kernel())) is None
