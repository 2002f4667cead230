"""Warnings before the crash, by the reports that the log holds."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made

from oopsight.diagnosis import Culprit, Step
from oopsight.diagnosis.blame import warned_first
from oopsight.evidence import Missing
from oopsight.evidence.crash.complaints import Complaints, collect
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.kinds import Kind
from oopsight.oops.facts import CrashReport, Frame, Stack

MODULES = made.modules(
    made.module("survey", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"),
    made.module("virtio_net", 0xFFFFFFFFC0420000, 0xFFFFFFFFC0430000),
)


def warning(line: int, *frames: tuple[str, str | None], kind: Kind = Kind.WARNING) -> CrashReport:
    stack = Stack("crash", tuple(Frame(name, 1, 2, module=module) for name, module in frames))
    return CrashReport(kind, f"{kind} in {frames[0][0]}", "WARNING", line, stacks=(stack,))


def log(*crashes: CrashReport) -> Log:
    return replace(made.log("one", "two", "three", "four"), crashes=crashes)


DIED = warning(3, ("__queue_work", None), kind=Kind.NULL_DEREF)
SYMPTOM = Symptom(Kind.NULL_DEREF, "NULL pointer", "log", None, DIED)
SET = warning(1, ("queue_delayed_work_on", None), ("survey_set.isra.0", "survey"),
              ("survey_write", "survey"), ("vfs_write", None))  # fmt: skip


def test_what_was_complained_of_before_the_crash() -> None:
    found = collect(log(warning(0, ("free_irq", None), ("survey_up", "survey")), SET, DIED),
                    SYMPTOM, MODULES)  # fmt: skip
    assert isinstance(found, Complaints)
    assert [one.functions for one in found.found] == [
        ("survey_set", "survey_write"),
        ("survey_up",),
    ]
    one = found.of("survey")
    assert one is not None
    assert one.line.text == "two"
    assert found.of("other") is None


def test_the_kernel_s_own_and_what_comes_after_the_crash_do_not_count() -> None:
    own = warning(0, ("virtnet_poll", "virtio_net"), ("net_rx_action", None))
    later = replace(SYMPTOM, report=warning(0, ("strlen", None), kind=Kind.PAGE_FAULT))
    assert isinstance(collect(log(own, DIED), SYMPTOM, MODULES), Missing)
    assert isinstance(collect(log(SET, DIED), later, MODULES), Missing)
    assert isinstance(collect(log(), SYMPTOM, MODULES), Missing)


def test_the_function_comes_before_its_module() -> None:
    found = collect(log(SET, DIED), SYMPTOM, MODULES)
    module = Culprit("survey", None, None, None, "its data")
    steps: list[Step] = []
    culprits = warned_first([module], found, steps)
    assert [one.function for one in culprits] == ["survey_set", None]
    assert "WARNING" in steps[0].claim.upper()
    # One that is known by name stays first.
    named = [replace(module, function="survey_poll"), module]
    assert warned_first(named, found, steps) == named
    assert warned_first([replace(module, module="other")], found, steps)[0].function is None
    assert warned_first([module], made.ABSENT, steps) == [module]
    assert len(steps) == 1


def test_an_access_out_of_bounds_is_one_of_a_check() -> None:
    ubsan = warning(1, ("__ubsan_handle_out_of_bounds", None), ("survey_fill", "survey"),
                    kind=Kind.UBSAN)  # fmt: skip
    text = "UBSAN: array-index-out-of-bounds in survey.c:46:17"
    lines = replace(made.log("one", text, "three", "four"), crashes=(ubsan, DIED))
    found = collect(lines, SYMPTOM, MODULES)
    assert isinstance(found, Complaints)
    assert [one.bounds for one in found.found] == [True]
    assert found.out_of_bounds(["other"]) == found.found[0]
    plain = collect(log(SET, DIED), SYMPTOM, MODULES)
    assert isinstance(plain, Complaints)
    assert plain.out_of_bounds(["survey"]) is None
