"""Who handed a bad page back."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import ABSENT, backtrace, log, module, modules
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.bad_page_state import bad_page_state
from oopsight.evidence.crash.backtrace import Role
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


def test_who_freed_it_and_whom_it_points_to_agree() -> None:
    found = bad_page_state(BAD, FREED, LOG, OWNER)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in found.culprits] == [("ring", "drain")]
    assert "non-NULL mapping" in found.summary
    assert len(found.chain) == 3


def test_where_they_disagree_or_nobody_frees_it_is_only_possible() -> None:
    other = modules(module("other", 0xFFFFFFFFC02E0000, 0xFFFFFFFFC02F0000))
    found = bad_page_state(BAD, FREED, LOG, other)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    late = bad_page_state(BAD, backtrace(), LOG, OWNER)
    assert isinstance(late, Finding)
    assert late.certainty is Certainty.POSSIBLE
    assert [(c.module, c.function) for c in late.culprits] == [("ring", None)]


def test_a_page_that_was_freed_more_than_once_is_told_by_its_count() -> None:
    page = "page:00000000f2a87fd3 refcount:-1 mapcount:0 mapping:0000000000000000 index:0x0"
    said = log(LOG.lines[0].text, page, "page dumped because: nonzero _refcount")
    found = bad_page_state(BAD, backtrace(), said, ABSENT)
    assert isinstance(found, Finding)
    assert "freed more than once" in found.summary
    assert found.certainty is Certainty.POSSIBLE


def test_clear() -> None:
    assert isinstance(bad_page_state(symptom(Kind.BUG), FREED, LOG, OWNER), Clear)
    assert isinstance(bad_page_state(BAD, FREED, log("slab error"), OWNER), Clear)
    assert isinstance(bad_page_state(BAD, FREED, ABSENT, OWNER), Clear)
