from __future__ import annotations

import pytest
from handmade_facts import ABSENT, backtrace, fault, log

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
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
    from dataclasses import replace

    symptom = collect(replace(log(*LINES), crashes=parse("\n".join(LINES))), fault(), backtrace())
    assert isinstance(symptom, Symptom)
    assert symptom.origin == "log"
    assert symptom.kind in (Kind.WARNING, Kind.REFCOUNT)
    assert symptom.headline is not None
    assert symptom.headline.text == LINES[1]


@pytest.mark.parametrize(
    ("seconds", "kind"), [((114.0, 302.0), Kind.NULL_DEREF), ((114.0, 120.0), Kind.SOFT_LOCKUP)]
)
def test_a_stall_that_the_machine_got_over_is_not(seconds: tuple[float, float], kind: Kind) -> None:
    from dataclasses import replace

    lines = (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/0:1]",
        "BUG: kernel NULL pointer dereference, address: 0000000000000038",
    )
    text = "\n".join(f"[{at:12.6f}] {line}" for at, line in zip(seconds, lines, strict=True))
    made = replace(log(*lines), crashes=parse(text))
    timed = tuple(replace(line, seconds=at) for line, at in zip(made.lines, seconds, strict=True))
    symptom = collect(replace(made, lines=timed), fault(), backtrace())
    assert isinstance(symptom, Symptom)
    assert symptom.kind is kind


def test_a_warning_before_a_stall_is_not_what_brought_the_machine_down() -> None:
    from dataclasses import replace

    lines = (
        "WARNING: CPU: 0 PID: 127 at kernel/rcu/tree_plugin.h:320 rcu_note_context_switch+0x4e",
        "INFO: task zebra:130 blocked for more than 3 seconds.",
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(), backtrace())
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.HUNG_TASK
    # If a crash came between, the stall may come of that.
    oops = (lines[0], *LINES[2:], lines[1])
    made = replace(log(*oops), crashes=parse("\n".join(oops)))
    symptom = collect(made, fault(), backtrace())
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.NULL_DEREF


def test_a_complaint_before_the_check_that_failed_is_not_what_brought_the_machine_down() -> None:
    from dataclasses import replace

    lines = (
        "sysfs: cannot create duplicate filename '/devices/virtual/net/veth0/carrier'",
        "kernel BUG at net/core/dev.c:10937!",
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "RIP: 0010:free_netdev+0x176/0x1b0",
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(exception="invalid_op", address=None), backtrace())
    assert isinstance(symptom, Symptom)
    assert symptom.kind is Kind.BUG


@pytest.mark.parametrize(("after", "kind"), [(LINES[2:], Kind.NULL_DEREF), ((), Kind.UBSAN)])
def test_an_index_that_was_only_complained_of(after: tuple[str, ...], kind: Kind) -> None:
    from dataclasses import replace

    lines = (
        "UBSAN: array-index-out-of-bounds in telcd.c:46:17",
        "index 5 is out of range for type 'telcd_handler *[4]'",
        *after,
    )
    made = replace(log(*lines), crashes=parse("\n".join(lines)))
    symptom = collect(made, fault(), backtrace())
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
    symptom = collect(ABSENT, fault(**changes), ABSENT)  # type: ignore[arg-type]
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
    symptom = collect(ABSENT, ABSENT, backtrace(interrupted=False, **frames))
    assert isinstance(symptom, Symptom)
    assert (symptom.kind, symptom.origin) == (kind, "backtrace")


def test_without_anything_it_is_missing() -> None:
    assert isinstance(collect(ABSENT, ABSENT, ABSENT), Missing)
