from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, backtrace, fault, log
from handmade_waits import task

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.standstill import Standstill
from oopsight.evidence.crash.symptom import Symptom, collect
from oopsight.kinds import Kind
from oopsight.oops import parse

LINES = (
    "foreign: loading",
    "WARNING: CPU: 0 PID: 7 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
    "BUG: kernel NULL pointer dereference, address: 0000000000000038",
    "RIP: 0010:f+0x9/0x20",
)


def test_the_first_crash_in_the_log_is_the_symptom() -> None:
    symptom = collect(
        replace(log(*LINES), crashes=parse("\n".join(LINES))), fault(), backtrace(), ABSENT
    )
    assert isinstance(symptom, Symptom)
    assert symptom.origin == "log"
    assert symptom.kind in (Kind.WARNING, Kind.REFCOUNT)
    assert symptom.headline is not None
    assert symptom.headline.text == LINES[1]


@pytest.mark.parametrize(
    ("seconds", "kind"), [((114.0, 302.0), Kind.NULL_DEREF), ((114.0, 120.0), Kind.SOFT_LOCKUP)]
)
def test_a_stall_that_the_machine_got_over_is_not(seconds: tuple[float, float], kind: Kind) -> None:
    lines = (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/0:1]",
        "BUG: kernel NULL pointer dereference, address: 0000000000000038",
    )
    text = "\n".join(f"[{at:12.6f}] {line}" for at, line in zip(seconds, lines, strict=True))
    made = replace(log(*lines), crashes=parse(text))
    timed = tuple(replace(line, seconds=at) for line, at in zip(made.lines, seconds, strict=True))
    symptom = collect(replace(made, lines=timed), fault(), backtrace(), ABSENT)
    assert isinstance(symptom, Symptom)
    assert symptom.kind is kind


def test_a_warning_before_a_stall_is_not_what_brought_the_machine_down() -> None:
    lines = (
        "WARNING: CPU: 0 PID: 127 at kernel/rcu/tree_plugin.h:320 rcu_note_context_switch+0x4e",
        "INFO: task zebra:130 blocked for more than 3 seconds.",
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(), backtrace(), ABSENT)
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.HUNG_TASK
    # If a crash came between, the stall may come of that.
    oops = (lines[0], *LINES[2:], lines[1])
    made = replace(log(*oops), crashes=parse("\n".join(oops)))
    symptom = collect(made, fault(), backtrace(), ABSENT)
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.NULL_DEREF


def test_a_complaint_before_the_check_that_failed_is_not_what_brought_the_machine_down() -> None:
    lines = (
        "sysfs: cannot create duplicate filename '/devices/virtual/net/veth0/carrier'",
        "kernel BUG at net/core/dev.c:10937!",
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "RIP: 0010:free_netdev+0x176/0x1b0",
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(exception="invalid_op", address=None), backtrace(), ABSENT)
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.BUG


@pytest.mark.parametrize(("after", "kind"), [(LINES[2:], Kind.NULL_DEREF), ((), Kind.UBSAN)])
def test_an_index_that_was_only_complained_of(after: tuple[str, ...], kind: Kind) -> None:
    lines = (
        "UBSAN: array-index-out-of-bounds in telcd.c:46:17",
        "index 5 is out of range for type 'telcd_handler *[4]'",
        *after,
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(), backtrace(), ABSENT)
    assert isinstance(symptom, Symptom)
    assert symptom.kind is kind


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, Kind.NULL_DEREF),
        ({"address": 0xFFFFFFFFC0395070}, Kind.PAGE_FAULT),
        ({"exception": "general_protection", "address": None}, Kind.GENERAL_PROTECTION),
        ({"exception": "divide_error", "address": None}, Kind.DIVIDE_ERROR),
        ({"exception": "made_by_hand", "address": None}, Kind.OTHER),
    ],
)
def test_without_a_log_the_fault_is(changes: dict[str, object], kind: Kind) -> None:
    symptom = collect(ABSENT, fault(**changes), ABSENT, ABSENT)  # type: ignore[arg-type]
    assert isinstance(symptom, Symptom)
    assert (symptom.kind, symptom.origin) == (kind, "fault")


@pytest.mark.parametrize(
    ("caller", "kind"),
    [
        ("sysrq_handle_crash", Kind.PANIC_OTHER),
        ("watchdog_timer_fn", Kind.SOFT_LOCKUP),
        ("some_driver", Kind.PANIC_OTHER),
    ],
)
def test_without_a_fault_whoever_called_panic_is(caller: str, kind: Kind) -> None:
    frames = {"panic": Role.PANIC_PATH, caller: Role.CALLER}
    symptom = collect(ABSENT, ABSENT, backtrace(interrupted=False, **frames), ABSENT)
    assert isinstance(symptom, Symptom)
    assert (symptom.kind, symptom.origin) == (kind, "backtrace")


def test_without_anything_it_is_missing() -> None:
    assert isinstance(collect(ABSENT, ABSENT, ABSENT, ABSENT), Missing)


def test_what_stands_still_where_nobody_panicked() -> None:
    hangs = Standstill((task(4), task(5)), 31.0)
    found = collect(log("foreign: loading"), ABSENT, ABSENT, hangs)
    assert isinstance(found, Symptom)
    assert (found.kind, found.origin) == (Kind.HUNG_TASK, "tasks")
    assert "worker4 (pid 4) has been blocked for 31 s, and 1 others" in found.title
    # A CPU that does not come on may be what they wait for.
    stuck = collect(ABSENT, ABSENT, ABSENT, replace(hangs, cpu=1, on_cpu=task(9)))
    assert isinstance(stuck, Symptom)
    assert (stuck.kind, stuck.cpu) == (Kind.SOFT_LOCKUP, 1)


def test_what_the_log_had_reported_before_is_the_symptom_unless_it_was_harmless() -> None:
    hangs = Standstill((task(4),), 31.0)
    warned = "WARNING: CPU: 0 PID: 7 at drivers/net/tap.c:28 tap_open+0xba/0x110"
    for line, kind in ((warned, Kind.HUNG_TASK), (LINES[2], Kind.NULL_DEREF)):
        found = collect(replace(log(line), crashes=parse(line)), ABSENT, ABSENT, hangs)
        assert isinstance(found, Symptom)
        assert found.kind is kind


def test_a_machine_that_is_well() -> None:
    found = collect(ABSENT, ABSENT, ABSENT, Standstill((), 0.0))
    assert isinstance(found, Symptom)
    assert found.kind is Kind.NOT_A_CRASH
