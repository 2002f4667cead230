from __future__ import annotations

from typing import Any

from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    owner,
    slab_object,
    track,
    users,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.use_after_free import use_after_free

POISON = 0x6B6B6B6B6B6B6B6B
FAULT = fault(None, exception="general_protection")
STEP = flow_step("loaded", "run_timers", POISON)


def flow(**changes: Any) -> Any:
    bad = owner(POISON, "poison", detail="freed slab memory (POISON_FREE) +0x0")
    return data_flow(way(STEP), **{"bad": bad, **changes})


def test_whoever_the_allocator_recorded_is_blamed() -> None:
    one = slab_object("free", poisoned=True, tracks=(track("freed", "release", "wdt"),))
    answer = use_after_free(FAULT, backtrace(), flow(), ABSENT, users(one), ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.SHOWN
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("wdt", "release")
    assert "wild_pointer" in answer.refines


def test_without_a_record_the_only_function_that_frees_is_blamed() -> None:
    answer = use_after_free(
        FAULT, backtrace(), data_flow(way(STEP)), ABSENT, users(slab_object("free")), ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert answer.culprits[0].function == "mod_free"
    assert "only function" in answer.culprits[0].why


def test_the_pattern_alone_names_no_freeing_function() -> None:
    answer = use_after_free(FAULT, backtrace(), flow(), ABSENT, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert [c.function for c in answer.culprits] == ["f", "g"] or answer.culprits


def test_memory_that_is_allocated_is_clear() -> None:
    assert isinstance(
        use_after_free(FAULT, backtrace(), data_flow(way(STEP)), ABSENT, ABSENT, ABSENT), Clear
    )
