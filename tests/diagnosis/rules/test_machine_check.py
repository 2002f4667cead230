"""A fatal machine check."""

from __future__ import annotations

from handmade_facts import ABSENT, backtrace, log

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.rules.machine_check import machine_check
from oopsight.evidence.crash.backtrace import Role

BANK = "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f"
PANIC = "Kernel panic - not syncing: Fatal machine check"


def test_found_by_log_or_by_stack() -> None:
    found = machine_check(log(BANK, PANIC), ABSENT)
    assert isinstance(found, Finding)
    assert len(found.chain) == 2
    assert found.culprits[0].module is None
    trace = backtrace(interrupted=False, panic=Role.PANIC_PATH, do_machine_check=Role.CALLER)
    assert isinstance(machine_check(ABSENT, trace), Finding)


def test_a_corrected_error_does_not_stop_a_machine() -> None:
    assert isinstance(machine_check(log(BANK), backtrace()), Clear)
    assert isinstance(machine_check(ABSENT, ABSENT), Clear)
