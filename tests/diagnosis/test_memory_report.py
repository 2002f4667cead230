"""Whom a report of the heap's own checks blames, and how surely."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest

from oopsight.diagnosis import Certainty, Finding
from oopsight.diagnosis.memory_report import freed_twice, freed_wrongly, used_freed, wrote_over
from oopsight.evidence.corruption.writer_limits import Teller, WriterLimit, WriterLimits
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake


def blamed(finding: Finding) -> list[str | None]:
    assert all(step.because for step in finding.chain)
    return [culprit.function for culprit in finding.culprits]


def anothers(report: MemoryReport, module: str | None) -> MemoryReport:
    """The same, freed by another module."""
    return replace(report, freed=tuple(replace(one, module=module) for one in report.freed))


def test_the_second_who_freed_comes_before_the_first() -> None:
    answer = freed_twice(made.memory_report(Mistake.DOUBLE_FREE), made.ABSENT)
    assert blamed(answer)[:2] == ["stg_work", "stg_abort"]
    # Either may have freed it once too often, unless it is the same.
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    report = made.memory_report(Mistake.DOUBLE_FREE)
    answer = freed_twice(replace(report, freed=report.stack), made.ABSENT)
    assert answer.certainty is Certainty.INFERRED


def test_whoever_jumped_to_the_allocator_freed_it() -> None:
    report = made.memory_report(Mistake.DOUBLE_FREE, jumped=True)
    assert freed_twice(report, made.ABSENT).certainty is Certainty.POSSIBLE
    named = replace(report, by=replace(report.stack[0], function="stg_complete"))
    answer = freed_twice(named, made.ABSENT)
    assert blamed(answer)[0] == "stg_complete"
    assert answer.cause_certainty is Certainty.INFERRED


def test_of_two_modules_that_freed_it_the_one_that_had_not_allocated_it_is_suspect() -> None:
    report = anothers(made.memory_report(Mistake.DOUBLE_FREE), "other")
    answer = freed_twice(report, made.ABSENT)
    assert answer.culprits[0].module == "other"
    assert answer.certainty is Certainty.POSSIBLE


def test_who_freed_what_another_still_used() -> None:
    caught = made.memory_report(Mistake.USE_AFTER_FREE, checker="KFENCE")
    assert blamed(used_freed(caught, made.ABSENT)) == ["stg_abort", "stg_write", "stg_work"]
    later = made.memory_report(Mistake.WRITTEN_FREE)
    answer = used_freed(later, made.ABSENT)
    # Who came upon it was only given the object.
    assert blamed(answer) == ["stg_abort", "stg_write"]
    # The helper, or who called it.
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    alone = used_freed(replace(later, freed=later.freed[:1]), made.ABSENT)
    assert alone.certainty is Certainty.INFERRED


def test_what_begins_with_the_object_may_come_from_the_one_before() -> None:
    one = made.slab_object("free")
    report = made.memory_report(Mistake.WRITTEN_FREE, object=one, start=one.address, length=8)
    assert used_freed(report, made.ABSENT).cause_certainty is None
    zones = replace(report, red_zones=True)
    assert used_freed(zones, made.ABSENT).cause_certainty is Certainty.INFERRED


def test_the_kernel_that_freed_is_not_blamed_for_a_module_that_used() -> None:
    report = anothers(made.memory_report(Mistake.USE_AFTER_FREE), None)
    answer = used_freed(report, made.ABSENT)
    assert answer.culprits[0].module == "stage"
    assert answer.certainty is Certainty.POSSIBLE


@pytest.mark.parametrize(("only", "certainty"), [(True, "inferred"), (False, "possible")])
def test_what_was_overwritten_names_a_writer_where_there_is_one(only: bool, certainty: str) -> None:
    writers = ("stg_tag",) if only else ("stg_tag", "stg_copy")
    report = made.memory_report(
        Mistake.OVERWRITTEN, owner="stage", writers=writers, only_writer=only
    )
    answer = wrote_over(report, made.ABSENT, made.ABSENT)
    assert blamed(answer) == list(writers)
    assert answer.certainty == certainty


def test_an_access_out_of_bounds_is_its_functions() -> None:
    answer = wrote_over(made.memory_report(Mistake.OUT_OF_BOUNDS), made.ABSENT, made.ABSENT)
    assert blamed(answer) == ["stg_work"]
    assert answer.certainty is Certainty.INFERRED


@pytest.mark.parametrize("module", [None, "other"])
def test_what_others_allocated_may_be_too_small(module: str | None) -> None:
    report = made.memory_report(Mistake.OUT_OF_BOUNDS)
    theirs = tuple(replace(one, module=module) for one in report.allocated)
    answer = wrote_over(replace(report, allocated=theirs), made.ABSENT, made.ABSENT)
    assert blamed(answer)[0] == "stg_work"
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    unknown = wrote_over(replace(report, allocated=()), made.ABSENT, made.ABSENT)
    assert unknown.certainty is Certainty.INFERRED


def test_whoever_freed_what_is_no_object() -> None:
    answer = freed_wrongly(made.memory_report(Mistake.INVALID_FREE), made.ABSENT)
    assert blamed(answer) == ["stg_work"]


def test_who_told_the_writer_how_far_to_go() -> None:
    report = made.memory_report(
        Mistake.OVERWRITTEN, owner="stage", writers=("stg_tag",), only_writer=True
    )
    tellers = (Teller("stg_label", 8), Teller("stg_name", 64))
    limits = WriterLimits("stage", (WriterLimit("stg_tag", by_memory=False, tellers=tellers),), ())
    answer = wrote_over(report, made.ABSENT, limits)
    assert blamed(answer) == ["stg_name", "stg_label", "stg_tag"]
    assert answer.certainty is Certainty.POSSIBLE


def test_who_computed_the_size_of_what_was_too_small() -> None:
    report = made.memory_report(Mistake.OUT_OF_BOUNDS, cache="kmalloc-64")
    limit = WriterLimit("stg_work", by_memory=True, tellers=())
    answer = wrote_over(report, made.ABSENT, WriterLimits("stage", (limit,), ("stg_submit",)))
    assert blamed(answer) == ["stg_submit", "stg_work"]
    assert answer.certainty is Certainty.POSSIBLE


def test_a_writer_that_goes_by_its_code_alone_may_be_right() -> None:
    report = made.memory_report(
        Mistake.OVERWRITTEN, owner="stage", writers=("stg_tag",), only_writer=True
    )
    for constant, certainty in ((True, Certainty.POSSIBLE), (False, Certainty.INFERRED)):
        limit = WriterLimit("stg_tag", by_memory=False, tellers=(), constant=constant)
        answer = wrote_over(report, made.ABSENT, WriterLimits("stage", (limit,), ()))
        assert blamed(answer)[0] == "stg_tag"
        assert ("stg_submit" in blamed(answer)) is constant
        assert answer.certainty is certainty
