"""Whether a spinlock is nobody's, as far as the CPUs tell."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, LOCK_B, call, cpu, cpus, held, spinning, stack, waits

from oopsight.cheap import replace
from oopsight.evidence.hangs.lock_leaks import _nobodys
from oopsight.evidence.hangs.waiting import Lock, Wait

SPIN = stack(1, call(3, "show"), state="R")
SPINNER = cpu(0, SPIN, spins_on=spinning(LOCK_A))
WAITS = waits(Wait(SPIN, Lock("spinlock", LOCK_A, "pool_lock"), None))


def other(*holds: object) -> object:
    return cpu(1, stack(2, call(3, "move", holds=holds), state="R"))


def test_a_spinlock_that_no_cpu_holds() -> None:
    elsewhere = other(held(LOCK_B, "spinlock"))
    assert _nobodys(cpus(SPINNER, elsewhere), WAITS)
    assert _nobodys(cpus(SPINNER, cpu(1, stack(2), idle=True)), WAITS)
    assert not _nobodys(cpus(SPINNER), waits())
    assert not _nobodys(ABSENT, WAITS)
    assert not _nobodys(cpus(SPINNER), ABSENT)


def test_a_cpu_that_may_hold_it() -> None:
    unknown = replace(held(LOCK_B, "spinlock"), address=None)
    assert not _nobodys(cpus(SPINNER, other(unknown)), WAITS)
    assert not _nobodys(cpus(SPINNER, cpu(1, stack(2))), WAITS)  # no stack
    assert not _nobodys(replace(cpus(SPINNER), unread=(ABSENT,)), WAITS)
