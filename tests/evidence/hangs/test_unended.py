"""Whose wait somebody should have ended, as far as the code tells."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, LOCK_B, call, stack, task, waits

from oopsight.cheap import replace
from oopsight.evidence.hangs.omitted_signals import OmittedSignal, OmittedSignals
from oopsight.evidence.hangs.skipped_parts import SkippedPart, SkippedParts
from oopsight.evidence.hangs.unended import Unended, collect
from oopsight.evidence.hangs.waiting import Lock, Wait
from oopsight.evidence.pointers import BytesPointer, ModulePointer

MODULE = ModulePointer("drv", loaded=True, base=LOCK_A)
WAITS = Wait(stack(1, call(3, "wait", module="drv")), Lock("completion", LOCK_A, None), 9.0)


def test_one_whose_signal_was_left_out() -> None:
    one = OmittedSignal(task(1), MODULE, "done", "done+0x8", (BytesPointer(LOCK_B, "01"),))
    assert collect(waits(WAITS), ABSENT, ABSENT, OmittedSignals((one,)), ABSENT) == Unended(
        (task(1).address,)
    )
    # Of what memory does not tell nothing is known.
    unseen = OmittedSignals((replace(one, seen=()),))
    assert collect(waits(WAITS), ABSENT, ABSENT, unseen, ABSENT) == Unended(())


def test_one_of_whose_parts_one_was_left_out() -> None:
    parts = SkippedParts((SkippedPart(MODULE, "start", "start+0x8", "put"),))
    assert collect(waits(WAITS), ABSENT, ABSENT, ABSENT, parts) == Unended((task(1).address,))
    locked = replace(WAITS, lock=Lock("mutex", LOCK_A, None))
    assert collect(waits(locked), ABSENT, ABSENT, ABSENT, parts) == Unended(())
