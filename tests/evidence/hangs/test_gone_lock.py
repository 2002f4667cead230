"""Locks that are waited for in memory that is not theirs any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import ABSENT, modules, owner, slab_object
from handmade_session import Machine
from handmade_waits import call, cpu, cpus, lock, spinning, stack, symptom, task, waits

from oopsight.evidence import Missing
from oopsight.evidence.hangs import gone_lock
from oopsight.evidence.hangs.gone_lock import GoneLock, collect
from oopsight.evidence.hangs.stacks import TaskStack
from oopsight.evidence.hangs.waiting import Wait
from oopsight.kinds import Kind

AT = 0xFFFFC90000003B30
HUNG = symptom(Kind.HUNG_TASK)
WAITER = stack(7, call(2, "__mutex_lock", None, plumbing="locks"), call(4, "smb_echo", "smb"))
TIMER = stack(0, call(1, "complete", None, plumbing="wakes"), call(3, "call_timer_fn", None))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    made.words(AT, 0x61616161, 0x62626262)
    monkeypatch.setattr(gone_lock, "_functions", lambda *_: ("f",))
    monkeypatch.setattr(gone_lock, "owner_of", lambda *_: owner(AT, "stack"))
    return made


def hung(machine: Machine) -> GoneLock | Missing:
    waiting = waits(Wait(WAITER, lock(AT), 9.0))
    return collect(machine.session, HUNG, waiting, ABSENT, modules())


def spins(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> GoneLock | Missing:
    """A timer completes a request on the stack of process 9, which is in another function now."""
    other: Any = SimpleNamespace(value_=lambda: 0xFFFF888000009000)
    now = TaskStack(task(9), 0, "S", (call(1, "mbox_note", "mbox", sp=AT - 64),
                                      call(2, "mbox_write", "mbox", sp=AT + 64)))  # fmt: skip
    reader = SimpleNamespace(read=lambda *_, **__: now)
    monkeypatch.setattr(gone_lock, "task_with_stack_at", lambda *_: other)
    monkeypatch.setattr(gone_lock, "StackReader", lambda *_: reader)
    monkeypatch.setattr(gone_lock, "task_pointer", lambda _: task(9))
    monkeypatch.setattr(gone_lock, "_running_timer", lambda *_: None)
    busy = cpus(cpu(0, TIMER, spins_on=spinning(AT)))
    return collect(machine.session, symptom(Kind.RCU_STALL), ABSENT, busy, modules())


def test_a_lock_in_a_free_object(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(hung(machine), Missing)
    one = slab_object("free")
    monkeypatch.setattr(gone_lock, "owner_of", lambda *_: owner(AT, "slab", slab=one))
    found = hung(machine)
    assert isinstance(found, GoneLock)
    assert (found.slab, found.module) == (one, "smb")


def test_a_queue_on_a_stack_that_others_use_now(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = spins(machine, monkeypatch)
    assert isinstance(found, GoneLock)
    assert (found.inside, found.module) == ("mbox_note [mbox]", "mbox")


def test_a_queue_whose_list_leads_back_is_in_use(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.words(AT, 1, AT + 8)
    machine.memory[AT] += (AT + 8).to_bytes(8, "little")
    assert isinstance(spins(machine, monkeypatch), Missing)
