"""A panic that was asked for, and panics that were not."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT, accessed, backtrace, log, task

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.rules.deliberate_panic import deliberate_panic
from oopsight.evidence.crash.backtrace import Role

ASKED = backtrace(
    interrupted=False, panic=Role.PANIC_PATH, sysrq_handle_crash=Role.CALLER, ksys_write=Role.CALLER
)


def test_found_with_who_and_through_what() -> None:
    found = deliberate_panic(
        ASKED, task(), log("sysrq: Trigger a crash"), accessed("/proc/sysrq-trigger")
    )
    assert isinstance(found, Finding)
    assert "sh (pid 42)" in found.summary
    assert "/proc/sysrq-trigger" in found.summary
    assert not found.culprits
    assert len(found.chain[0].because) == 2


def test_found_without_log_and_file() -> None:
    assert isinstance(deliberate_panic(ASKED, task(), ABSENT, ABSENT), Finding)


def test_found_without_the_task_which_a_filter_left_out() -> None:
    finding = deliberate_panic(ASKED, ABSENT, ABSENT, ABSENT)
    assert isinstance(finding, Finding)
    assert finding.summary.startswith("somebody whose task is not in the dump crashed")
    assert all(step.because for step in finding.chain)


def test_clear() -> None:
    interrupted = replace(ASKED, interrupted=True)
    other = backtrace(interrupted=False, panic=Role.PANIC_PATH, do_exit=Role.CALLER)
    frames = tuple(replace(f, module="impostor") for f in ASKED.frames)
    for trace in (interrupted, other, replace(ASKED, frames=frames)):
        assert isinstance(deliberate_panic(trace, task(), ABSENT, ABSENT), Clear)
