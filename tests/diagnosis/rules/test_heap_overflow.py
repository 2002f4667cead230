from __future__ import annotations

from dataclasses import replace

from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    overrun,
    owner,
    slab_object,
    users,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.heap_overflow import heap_overflow

TEXT = 0x61622D7265707075
FLOW = data_flow(way(flow_step("loaded", "run_timers", TEXT)), bad=owner(TEXT, "non-canonical"))


def test_the_module_that_owns_the_first_object_is_blamed() -> None:
    made = replace(users(slab_object()), question="overrun", overrun=overrun())
    answer = heap_overflow(fault(None), backtrace(), FLOW, made, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("mod", "mod_copy")
    assert "upper-ba" in " ".join(step.claim for step in answer.chain)


def test_the_guard_page_of_a_vmalloc_area_is_an_overflow() -> None:
    at = 0xFFFFC90000405000
    flow = data_flow(way(flow_step("loaded", "copy", at)), bad=owner(at, "vmalloc"))
    answer = heap_overflow(fault(at), backtrace(), flow, ABSENT, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "f"


def test_a_mapped_area_and_other_pointers_are_clear() -> None:
    at = 0xFFFFC90000405000
    mapped = data_flow(way(flow_step("loaded", "c", at)), bad=owner(at, "vmalloc", mapped=True))
    assert isinstance(heap_overflow(fault(at), backtrace(), mapped, ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(heap_overflow(fault(None), backtrace(), FLOW, ABSENT, ABSENT, ABSENT), Clear)
