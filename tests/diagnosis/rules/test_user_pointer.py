from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, backtrace, data_flow, fault, flow_step, owner, task, way

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.user_pointer import user_pointer
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.user_pointer_keepers import UserPointerKeepers

USER = 0x7FFE15343500
FAULT = fault(USER, operand=None)
STEP = flow_step("loaded", "__x64_sys_ioctl", USER)


def test_what_came_with_the_system_call_is_shown() -> None:
    flow = data_flow(way(STEP, name="const struct pt_regs.dx"), bad=owner(USER, "user"))
    finding = user_pointer(FAULT, backtrace(), flow, ABSENT, task("camd"), ABSENT, ABSENT)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.SHOWN
    assert finding.culprits[0].function == "f"
    assert "camd" in finding.summary


def test_what_the_task_has_mapped_is_inferred() -> None:
    flow = data_flow(way(STEP), bad=owner(USER, "user", mapped=True))
    finding = user_pointer(FAULT, backtrace(), flow, ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.INFERRED


def test_what_a_thread_of_the_kernel_has_of_a_process_is_possible() -> None:
    flow = data_flow(way(STEP), bad=owner(USER, "other-user", mapped=True))
    finding = user_pointer(FAULT, backtrace(), flow, ABSENT, task("kworker/1:2"), ABSENT, ABSENT)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert "pointer of a process" in finding.summary


@pytest.mark.parametrize("kind", ["user", "slab", "null"])
def test_anything_else_is_left_to_others(kind: str) -> None:
    flow = data_flow(way(STEP), bad=owner(USER, kind))
    assert isinstance(user_pointer(FAULT, backtrace(), flow, ABSENT, ABSENT, ABSENT, ABSENT), Clear)


def test_a_number_that_the_module_computes_is_no_pointer() -> None:
    number = 0x19B019B
    flow = data_flow(way(STEP), bad=owner(number, "other-user", mapped=True))
    field = FieldDoers(0, None, "desk", (), (), (), (), numbers=("desk_dial",))
    for doers, answer in (
        (Doers("desk", (field,), (), ()), Clear),
        (Doers("desk", (replace(field, numbers=()),), (), ()), Finding),
    ):
        found = user_pointer(FAULT, backtrace(), flow, ABSENT, task("kworker/1:2"), ABSENT, doers)
        assert isinstance(found, answer)


def test_who_kept_it_comes_before_who_followed_it() -> None:
    flow = data_flow(way(STEP), bad=owner(USER, "user", mapped=True))
    keepers = UserPointerKeepers("cam", ("cam_submit",))
    finding = user_pointer(FAULT, backtrace(), flow, ABSENT, task("camd"), keepers, ABSENT)
    assert isinstance(finding, Finding)
    assert [one.function for one in finding.culprits][:2] == ["cam_submit", "f"]
    assert (finding.certainty, finding.cause_certainty) == (
        Certainty.POSSIBLE,
        Certainty.INFERRED,
    )
    assert finding.summary.startswith("f followed a pointer of camd")
