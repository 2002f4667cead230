"""What an unlock leaves off that the taking of the lock had switched off."""

from __future__ import annotations

import pytest

from oopsight.kernel.held_locks import Held, still_off
from oopsight.kernel.lock_functions import BOTTOM_HALVES
from oopsight.kernel.machine_code import Expression

LOCK = Expression("rdi", 0)
BH = Held("spinlock", LOCK, 5, "_raw_spin_lock_bh")
PLAIN = Held("spinlock", LOCK, 5, "_raw_spin_lock")
OFF = Held(BOTTOM_HALVES, None, 2, "_raw_spin_lock_bh")
MUTEX = Held("mutex", LOCK, 5, "mutex_lock")


@pytest.mark.parametrize(
    ("before", "after", "by", "left"),
    [
        ((BH,), (), "_raw_spin_unlock_bh", ()),
        ((BH,), (), "_raw_spin_unlock", (Held(BOTTOM_HALVES, None, 5, "_raw_spin_lock_bh"),)),
        ((PLAIN,), (), "_raw_spin_unlock", ()),
        ((OFF, PLAIN), (OFF,), "_raw_spin_unlock_bh", ()),  # that of another lock
        ((MUTEX,), (), "mutex_unlock", ()),
        ((BH,), (BH,), "_raw_spin_unlock", (BH,)),  # of none that it has taken
    ],
)
def test_bottom_halves(
    before: tuple[Held, ...], after: tuple[Held, ...], by: str, left: tuple[Held, ...]
) -> None:
    assert still_off(before, after, by) == left
