"""Sleeping locks of a kernel with PREEMPT_RT: each is an ``rt_mutex`` within."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import Call, StackReader, TaskStack
from oopsight.evidence.hangs.waiting import rtmutex, rwsem
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import TaskPointer

TASK = BASE + 0x100
OTHER = BASE + 0x200
STACK = BASE + 0x4000
WAITER = STACK + 0x3000
LOCK = BASE + 0x8040
READER_BIAS = 1 << 31


def kernel() -> Kernel:
    """Types alone; a semaphore's rt_mutex lies behind the number of its readers."""
    made = Kernel()
    word = made.word
    name = made.prog.array_type(made.prog.int_type("char", 1, True), 16)
    made.struct("task_struct", pid=word, pi_blocked_on=word, comm=name)
    made.struct("rt_mutex_base", wait_lock=word, owner=word)
    made.struct("rt_mutex_waiter", task=word, lock=word)
    base = made.type("rt_mutex_base")
    made.struct("mutex", rtmutex=base)
    made.struct("rwbase_rt", readers=word, rtmutex=base)
    made.struct("rw_semaphore", rwbase=made.type("rwbase_rt"))
    return made


def blocked(at: int, owner: int = OTHER | 1) -> Kernel:
    """A task that is blocked on the rt_mutex at an address."""
    made = kernel()
    made.put(TASK + 8, WAITER)
    made.put(WAITER, TASK)
    made.put(WAITER + 8, at)
    made.put(at + 8, owner)
    return made


def scan(made: Kernel, *functions: str, wants: str | None = None) -> Scan:
    wanted = None if wants is None else SimpleNamespace(kind=wants, address=None)
    calls = tuple(
        cast("Call", SimpleNamespace(function=f, wants=wanted, holds=())) for f in functions
    )
    waiting = TaskStack(TaskPointer(1, "worker", Address(TASK)), 0, "D", calls)
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: None)))
    return Scan(made.prog, reader, waiting, (STACK + 0x2000, STACK + 0x4000), {})


@pytest.mark.parametrize(
    ("function", "kind", "address", "mode"),
    [
        ("mutex_lock", "mutex", LOCK, None),
        ("down_read", "rwsem", LOCK - 8, "read"),
        ("rt_mutex_lock", "rtmutex", LOCK, None),
    ],
)
def test_what_the_task_is_blocked_on(
    function: str, kind: str, address: int, mode: str | None
) -> None:
    found = rtmutex.find(scan(blocked(LOCK), "rt_mutex_slowlock", function))
    assert found is not None
    assert (found.kind, found.address, found.mode) == (kind, address, mode)
    assert [one.task.address for one in found.holders] == [OTHER]
    assert found.because


def test_what_was_called_and_jumped_on_is_told_by_the_call() -> None:
    found = rtmutex.find(scan(blocked(LOCK), "rt_mutex_slowlock", "license_take", wants="mutex"))
    assert found is not None
    assert found.kind == "mutex"


def test_who_lends_its_priority_to_a_reader_of_rcu_waits_for_that() -> None:
    found = rtmutex.find(scan(blocked(LOCK), "rt_mutex_slowlock", "rcu_boost_kthread"))
    assert found is not None
    assert (found.kind, found.name) == ("grace period", "of RCU")
    assert [one.known_by for one in found.holders] == ["reader"]


@pytest.mark.parametrize("owner", [0, OTHER, 0x480E7430A8344F3B, OTHER | 5])
def test_what_names_no_task_has_no_holder(owner: int) -> None:
    found = rtmutex.find(scan(blocked(LOCK, owner), "rt_mutex_slowlock", "mutex_lock"))
    assert found is None or not found.holders


def test_a_task_that_is_blocked_on_nothing_waits_for_no_such_lock() -> None:
    assert rtmutex.find(scan(kernel(), "rt_mutex_slowlock", "mutex_lock")) is None


@pytest.mark.parametrize(("readers", "detail"), [(2, "held by 2 readers"), (READER_BIAS, None)])
def test_a_writer_has_the_rt_mutex_while_readers_have_the_semaphore(
    readers: int, detail: str | None
) -> None:
    made = kernel()
    made.put(LOCK, readers)
    made.put(LOCK + 16, TASK | 1)
    made.put(WAITER, LOCK)
    found = rwsem.find(scan(made, "rwbase_write_lock", "down_write"))
    assert (found.detail if found else None) == detail
    if found is not None:
        assert (found.kind, found.address, found.mode) == ("rwsem", LOCK, "write")
        assert not found.holders
