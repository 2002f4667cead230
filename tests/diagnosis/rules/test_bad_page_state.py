"""Who handed a bad page back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, backtrace, log, module, modules
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.bad_page_state import bad_page_state
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.memory.page_freers import PageFreers
from oopsight.kinds import Kind

BAD = symptom(Kind.MEMORY_CORRUPTION, "BUG: Bad page state in process proxy  pfn:02b90")
LOG = log(
    "BUG: Bad page state in process proxy  pfn:02b90",
    "raw: 000fffffc0000000 0000000000000000 dead000000000122 ffffffffc02e93c0",
    "page dumped because: non-NULL mapping",
)
OWNER = modules(module("ring", 0xFFFFFFFFC02E0000, 0xFFFFFFFFC02F0000))
MADE = backtrace(
    interrupted=False, panic=Role.PANIC_PATH, __free_pages_ok=Role.CALLER, drain=Role.CALLER
)
FREED = replace(
    MADE,
    frames=(
        MADE.frames[0],
        replace(MADE.frames[1], plumbing="allocates or frees memory"),
        replace(MADE.frames[2], module="ring"),
    ),
)


def decided(*facts: Any, freers: Any = ABSENT) -> Finding | Clear | Undecided:
    return bad_page_state(*facts, freers)


def test_a_helper_comes_after_who_handed_it_the_page() -> None:
    trace = replace(
        FREED, frames=(*FREED.frames, replace(FREED.frames[2], function="cut", index=3))
    )
    for shared, first in ((("drain",), "cut"), ((), "drain")):
        freers = PageFreers("ring", ("drain",), ("drain",), shared)
        found = decided(BAD, trace, LOG, OWNER, freers=freers)
        assert isinstance(found, Finding)
        assert found.certainty is Certainty.POSSIBLE
        assert {one.function for one in found.culprits} == {"drain", "cut"}
        assert found.culprits[0].function == first


def test_who_gives_pages_back_where_it_was_found_late() -> None:
    freers = PageFreers("ring", ("ring_put",), (), ())
    found = decided(
        BAD, backtrace(), log(*[one.text for one in LOG.lines[::2]]), OWNER, freers=freers
    )
    assert isinstance(found, Finding)
    assert [(one.module, one.function) for one in found.culprits] == [("ring", "ring_put")]
    assert found.certainty is Certainty.POSSIBLE


def test_who_freed_it_and_whom_it_points_to_agree() -> None:
    found = decided(BAD, FREED, LOG, OWNER)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in found.culprits] == [("ring", "drain")]
    assert "non-NULL mapping" in found.summary
    assert len(found.chain) == 3


def test_where_they_disagree_or_nobody_frees_it_is_only_possible() -> None:
    other = modules(module("other", 0xFFFFFFFFC02E0000, 0xFFFFFFFFC02F0000))
    found = decided(BAD, FREED, LOG, other)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    late = decided(BAD, backtrace(), LOG, OWNER)
    assert isinstance(late, Finding)
    assert late.certainty is Certainty.POSSIBLE
    assert [(c.module, c.function) for c in late.culprits] == [("ring", None)]


def test_a_page_that_was_freed_more_than_once_is_told_by_its_count() -> None:
    page = "page:00000000f2a87fd3 refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0"
    said = log(LOG.lines[0].text, page, "page dumped because: nonzero _refcount")
    found = decided(BAD, backtrace(), said, ABSENT)
    assert isinstance(found, Finding)
    assert "freed more than once" in found.summary
    assert found.certainty is Certainty.POSSIBLE


def test_clear() -> None:
    assert isinstance(decided(symptom(Kind.BUG), FREED, LOG, OWNER), Clear)
    assert isinstance(decided(BAD, FREED, log("slab error"), OWNER), Clear)
    assert isinstance(decided(BAD, FREED, ABSENT, OWNER), Clear)
