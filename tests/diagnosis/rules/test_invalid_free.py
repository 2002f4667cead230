from __future__ import annotations

from dataclasses import replace

from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    log,
    memory_report,
    owner,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.invalid_free import invalid_free
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.memory.memory_report import Mistake

AREA = 0xFFFFC90000400000
OTHER_CACHE = "cache_from_obj: Wrong slab cache. job_head but object is from job_body"


def test_what_is_no_object_was_freed() -> None:
    report = memory_report(Mistake.INVALID_FREE)
    answer = invalid_free(report, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "stg_work"


def test_other_reports_are_clear() -> None:
    for report in (memory_report(Mistake.DOUBLE_FREE), ABSENT):
        answer = invalid_free(report, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
        assert isinstance(answer, Clear)


def test_what_the_allocator_cannot_free_is_told_with_who_made_it() -> None:
    bad = owner(AREA, "vmalloc", detail="a vmalloc area allocated by drv_open")
    fault_ = fault(0xFFFFF328AD010AC8)
    for how, certainty in (("returned", Certainty.INFERRED), ("loaded", Certainty.POSSIBLE)):
        flow = data_flow(way(flow_step(how, "drv_close", AREA)), bad=bad, subject="freed")
        finding = invalid_free(ABSENT, ABSENT, fault_, backtrace(), flow, ABSENT)
        assert isinstance(finding, Finding)
        assert finding.certainty is certainty
        assert "drv_close gave 0xffffc90000400000 to be freed" in finding.summary
        assert "which is a vmalloc area allocated by drv_open" in finding.summary
        assert finding.culprits[0].function == "drv_close"
        assert "wild_pointer" in finding.refines


def test_who_gives_away_a_variable_comes_first_where_the_kernel_frees_it() -> None:
    table = owner(0xFFFFFFFFC04031C0, "module", module="meter", symbol="meter_ops", offset=0)
    step = flow_step("loaded", "single_release", int(table.address))
    flow = data_flow(way(step), bad=table, subject="freed", installed_by=("meter_open",))
    fault_ = fault(0xFFFFF338C0DC4B48)
    finding = invalid_free(ABSENT, ABSENT, fault_, backtrace(), flow, ABSENT)
    assert isinstance(finding, Finding)
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("meter", "meter_open")
    # A module that frees it itself comes first.
    step = flow_step("loaded", "meter_drop", int(table.address), "meter")
    flow = replace(flow, ways=(way(step, module="meter"),))
    finding = invalid_free(ABSENT, ABSENT, fault_, backtrace(), flow, ABSENT)
    assert isinstance(finding, Finding)
    assert [one.function for one in finding.culprits[:2]] == ["meter_drop", "meter_open"]


def test_an_object_of_another_cache_is_possible() -> None:
    trace = backtrace(kmem_cache_free=Role.FAULT, job_drop=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="x"), replace(trace.frames[1], module="job"))
    trace = replace(trace, frames=frames)
    stopped = fault(None, exception="invalid_op", function="kmem_cache_free")
    finding = invalid_free(ABSENT, ABSENT, stopped, trace, ABSENT, log(OTHER_CACHE))
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.culprits[0].function == "job_drop"
    later = fault(0x38, function="job_run")
    assert isinstance(invalid_free(ABSENT, ABSENT, later, trace, ABSENT, log(OTHER_CACHE)), Clear)
