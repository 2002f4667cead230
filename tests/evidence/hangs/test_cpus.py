"""Where a CPU's own work begins, below the panic and what led to it."""

from __future__ import annotations

import pytest

from oopsight.evidence.hangs.cpus import broken_in

PANIC = ("panic", False, False)
TIMER = ("watchdog_timer_fn", False, False)
ENTRY = ("asm_sysvec_apic_timer_interrupt", False, False)
CAUGHT = ("strlen", False, True)
DRIVER = ("drv_find", True, False)


@pytest.mark.parametrize(
    ("frames", "skipped"),
    [
        # The watchdog's interrupt: the interrupted function is where the CPU was.
        ([PANIC, TIMER, ENTRY, CAUGHT, DRIVER], 3),
        # Somebody calls panic(), be it from an interrupt: the caller is what is wanted.
        ([PANIC, DRIVER, ENTRY, CAUGHT], 1),
        ([PANIC, ("kthread", False, False)], 1),
        # Stopped by another CPU.
        ([("stop_this_cpu", False, False), ENTRY, CAUGHT, DRIVER], 2),
        # Nothing of the kind: all is its own.
        ([CAUGHT, DRIVER], 0),
        ([], 0),
    ],
)
def test_what_the_panic_added_is_left_out(
    frames: list[tuple[str, bool, bool]], skipped: int
) -> None:
    assert broken_in(frames) == skipped
