"""What encloses a completion tells what is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import drgn
import pytest
from handmade_memory import BASE, Kernel
from handmade_waits import call

from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import Lock, completion
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import Address, TaskPointer

THREAD, WORKER = BASE + 0x100, BASE + 0x200
FLUSH = BASE + 0x3000
DONE = FLUSH + 16


def kernel() -> Kernel:
    """A task that has put a flush behind the items of a thread's worker."""
    made = Kernel()
    word = made.word
    made.struct(
        "task_struct",
        flags=word,
        pid=word,
        comm=made.prog.array_type(made.prog.int_type("char", 1, True), 16),
    )
    made.linked("kthread_worker", task="task_struct *")
    made.struct("swait_queue_head", task_list=made.type("list_head"))
    made.struct("completion", done=word, wait=made.type("swait_queue_head"))
    made.struct("swait_queue", task=word, task_list=made.type("list_head"))
    made.linked("kthread_work", func="long", worker="kthread_worker *")
    made.linked("kthread_flush_work", work="kthread_work", done="completion")
    made.put(THREAD, 0x200000, 77)
    made.text(THREAD + 16, b"kiln")
    made.put(WORKER, THREAD)
    made.put(FLUSH + 8, WORKER)
    node, head = BASE + 0x3108, DONE + 8
    made.put(BASE + 0x3100, THREAD, head, head)
    made.put(head, node, node)
    return made


def waited_for(made: Kernel, *functions: str) -> Lock | None:
    calls = tuple(call(i, name, module=None) for i, name in enumerate(functions))
    waiting = TaskStack(TaskPointer(77, "kiln", Address(THREAD)), 0, "D", calls)
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: None)))
    scan = Scan(made.prog, reader, waiting, (BASE + 0x3000, BASE + 0x3200), {})
    return completion.find(scan)


@pytest.mark.parametrize("flush", ["kthread_flush_work", "kthread_flush_worker"])
def test_a_thread_that_flushes_its_own_worker(flush: str) -> None:
    found = waited_for(kernel(), "wait_for_completion", flush, "drv_reset")
    assert found is not None
    assert (found.kind, found.name) == ("work", "on kthread_worker kiln")
    assert [(one.task.address, one.known_by) for one in found.holders] == [(THREAD, "worker")]


def test_a_completion_that_nothing_encloses() -> None:
    found = waited_for(kernel(), "wait_for_completion", "drv_reset")
    assert found is not None
    assert (found.kind, found.name, found.holders) == ("completion", None, ())


def test_one_whose_worker_is_not_in_the_dump() -> None:
    made = kernel()
    made.put(FLUSH + 8, 0)
    found = waited_for(made, "wait_for_completion", "kthread_flush_work")
    assert found is not None
    assert (found.kind, found.holders) == ("completion", ())


@pytest.mark.parametrize(("member", "does"), [(0, "kiln to end"), (1, "kiln to park")])
def test_a_thread_that_is_to_end_or_to_park(
    monkeypatch: pytest.MonkeyPatch, member: int, does: str
) -> None:
    made = kernel()
    size = drgn.sizeof(made.type("completion"))
    made.linked("kthread", exited="completion", parked="completion")
    thread = drgn.Object(made.prog, "struct kthread *", DONE - size * member)
    task = drgn.Object(made.prog, "struct task_struct *", THREAD)
    monkeypatch.setattr("drgn.helpers.linux.pid.for_each_task", lambda _: [task])
    monkeypatch.setattr("drgn.helpers.linux.kthread.to_kthread", lambda _: thread)
    found = waited_for(made, "wait_for_completion", "kthread_park")
    assert found is not None
    assert (found.kind, found.name) == ("thread", does)
