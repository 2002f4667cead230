from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    frame,
    list_report,
    module,
    modules,
    owner,
    slab_object,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Depth, Finding
from oopsight.diagnosis.rules.list_corruption import list_corruption
from oopsight.evidence import Address
from oopsight.evidence.corruption.empty_head import EmptyHead
from oopsight.evidence.corruption.list_report import ListEntry
from oopsight.evidence.corruption.off_list import OffList
from oopsight.evidence.corruption.requeued_work import RequeuedWork
from oopsight.evidence.corruption.set_up_again import SetUpAgain
from oopsight.evidence.corruption.stale_head import StaleHead
from oopsight.evidence.corruption.taken_off_before import TakenOffBefore
from oopsight.evidence.corruption.two_lists import TwoLists
from oopsight.evidence.corruption.unlocked import Unlocked
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.sizes import FunctionSizes
from oopsight.evidence.pointers import BytesPointer

STOPPED = fault(None, exception="invalid_op", operand=None)


def decided(
    *facts: Any,
    doers: Any = ABSENT,
    unlocked: Any = ABSENT,
    again: Any = ABSENT,
    head: Any = ABSENT,
    stale: Any = ABSENT,
    off: Any = ABSENT,
    before: Any = ABSENT,
) -> Finding | Clear:
    return list_corruption(*facts, doers, unlocked, again, head, ABSENT, stale, off, before)


@pytest.mark.parametrize(
    ("text", "depth", "words"),
    [
        (
            "list_del corruption, ffff888003400000->next is LIST_POISON1 (dead000000000100)",
            Depth.ROOT_CAUSE,
            "deleted from its list before",
        ),
        (
            "list_add double add: new=ffff888003400000, prev=ffff888003400000, "
            "next=ffffffffc0301030.",
            Depth.ROOT_CAUSE,
            "on the list already",
        ),
        (
            "list_add corruption. prev->next should be next (ffffffffc0301030), but was "
            "ffff888003400abc. (prev=ffff888003400000).",
            Depth.MECHANISM,
            "prev->next should have been 0xffffffffc0301030",
        ),
        (
            "list_del corruption, ffff888003400000->next is NULL",
            Depth.MECHANISM,
            "is on no list",
        ),
        (
            "list_del corruption. next->prev should be ffff888003400000, but was NULL. "
            "(next=ffff888003400040)",
            Depth.MECHANISM,
            "was NULL",
        ),
    ],
)
def test_the_kernel_s_report_is_understood(text: str, depth: Depth, words: str) -> None:
    answer = decided(STOPPED, backtrace(), ABSENT, list_report(text), ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.depth is depth
    assert words in answer.summary


def test_who_left_an_entry_as_it_is_had_taken_it_off_first() -> None:
    text = "list_del corruption, ffff888003400000->next is LIST_POISON1 (dead000000000100)"
    own = frame(0, "recorder_close", Role.FAULT, "recorder")
    path = replace(backtrace(), frames=(own,))
    said = TakenOffBefore(
        Address(0xFFFF888003400000), "recorder", ("recorder_cancel",), ("recorder_close", "rec_end")
    )

    def first(before: TakenOffBefore) -> str | None:
        answer = decided(STOPPED, path, ABSENT, list_report(text), ABSENT, ABSENT, before=before)
        assert isinstance(answer, Finding)
        assert answer.certainty is Certainty.POSSIBLE
        return answer.culprits[0].function

    assert first(said) == "recorder_cancel"
    # It sets what it takes off up anew, and leaves no poison.
    assert first(replace(said, belied=())) == "recorder_cancel"
    # It may have been the same before.
    both = replace(said, functions=("recorder_cancel", "recorder_close"), belied=("rec_end",))
    assert first(both) == "recorder_close"


@pytest.mark.parametrize(("only", "certainty"), [(True, "inferred"), (False, "possible")])
def test_an_entry_on_two_lists_is_blamed_on_who_adds_without_taking_off(
    only: bool, certainty: str
) -> None:
    at = BytesPointer(Address(0xFFFF888003400000), "00" * 8)
    entry = owner(int(at.address), "slab")
    twice = TwoLists(entry, at, at, "ready", "jobs", ("jobs_ready",), only=only)
    text = (
        "list_del corruption. prev->next should be ffff888003400040, but was ffffffffc0301030. "
        "(prev=ffff888003400000)"
    )
    answer = decided(STOPPED, backtrace(), ABSENT, list_report(text), twice, ABSENT)
    assert isinstance(answer, Finding)
    assert (answer.depth, answer.certainty) == (Depth.ROOT_CAUSE, certainty)
    assert answer.culprits[0].function == "jobs_ready"


def test_poison_that_is_followed_is_a_deleted_entry() -> None:
    bad = owner(0xDEAD000000000100, "poison", detail="LIST_POISON1: the next pointer +0x0")
    flow = data_flow(way(flow_step("loaded", "walk", 0xDEAD000000000100, "jobs")), bad=bad)
    answer = decided(fault(None), backtrace(), flow, ABSENT, ABSENT, ABSENT)
    assert isinstance(answer, Finding)
    assert "walk" in [c.function for c in answer.culprits]


def test_without_either_it_is_clear() -> None:
    assert isinstance(decided(fault(), backtrace(), ABSENT, ABSENT, ABSENT, ABSENT), Clear)


def test_what_the_kernel_found_broken_is_the_modules_whose_entry_is_on_it() -> None:
    report = list_report(
        "list_del corruption, ffffffffc0400100->next is LIST_POISON1 (dead000000000100)"
    )
    entries = tuple(
        replace(one, owner=owner(0xFFFFFFFFC0400100, "module", module="nic"))
        if one.role == "entry"
        else one
        for one in report.entries
    )
    report = replace(report, entries=entries)
    loaded = modules(module("nic", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"))
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, loaded)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].module == "nic"
    assert answer.certainty is Certainty.POSSIBLE


def test_an_entry_of_zeros_was_wiped() -> None:
    report = list_report("list_del corruption, ffff888003400000->next is NULL")
    doers = Doers("spool", (), (), (), wipes=("spool_reset",))
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, doers=doers)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "spool_reset"
    assert answer.certainty is Certainty.POSSIBLE


def test_which_of_two_deletions_is_one_too_many_is_open() -> None:
    report = list_report(
        "list_del corruption, ffff888003400000->next is LIST_POISON1 (dead000000000100)"
    )
    first = frame(0, "spool_finish", Role.FAULT, "spool")
    path = replace(backtrace(), frames=(first,))
    doers = Doers("spool", (), (), (), unlinks=("spool_finish",))
    answer = decided(STOPPED, path, ABSENT, report, ABSENT, ABSENT, doers=doers)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.SHOWN
    others = replace(doers, unlinks=("spool_finish", "spool_cancel"))
    # So it is where another of the module had it deleted, or has added what is there.
    caller = replace(path, frames=(first, frame(1, "spool_write", Role.CALLER, "spool")))
    double = list_report("list_add double add: new=ffff888003400000, prev=ffff888003400000, next=0")
    for known, way_there, said in (
        (others, path, report),
        (doers, caller, report),
        (doers, path, double),
    ):
        answer = decided(STOPPED, way_there, ABSENT, said, ABSENT, ABSENT, doers=known)
        assert isinstance(answer, Finding)
        assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)


def test_a_head_that_was_copied_with_its_object() -> None:
    report = list_report(
        "list_add corruption. prev->next should be next (ffff888003400040), but was "
        "ffff888003400140. (prev=ffff888003400240)."
    )
    doers = Doers("menus", (), (), (), copies=(FunctionSizes("menu_from", (0x80,)),))

    def with_slab(entry: ListEntry) -> ListEntry:
        at = int(entry.owner.address) & ~0xFF
        one = slab_object("allocated", address=Address(at), size=0x80)
        return replace(entry, owner=replace(entry.owner, slab=one, offset=0x40))

    report = replace(report, entries=tuple(with_slab(entry) for entry in report.entries))
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, doers=doers)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "menu_from"


MISMATCH = (
    "list_del corruption. next->prev should be ffff888003400000, but was ffff888003500000. "
    "(next=ffff888003600000)"
)


def test_who_changes_lists_without_the_lock_comes_first() -> None:
    unlocked = Unlocked("jobs", ("jobs_pick",), ("jobs_submit", "jobs_age", "jobs_drop"))
    report = list_report(MISMATCH)
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, unlocked=unlocked)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "jobs_pick"
    assert "jobs_submit" in answer.culprits[0].why
    assert answer.certainty is Certainty.POSSIBLE


def test_who_sets_entries_up_again_comes_first() -> None:
    entry = owner(0xFFFF888003600000, "slab")
    again = SetUpAgain(entry, BytesPointer(entry.address, "00" * 16), "jobs", ("jobs_ready",))
    report = list_report(MISMATCH)
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, again=again)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "jobs_ready"
    assert "can have set up an entry that was on a list" in answer.summary
    assert answer.certainty is Certainty.POSSIBLE
    again = replace(again, head=True)
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, again=again)
    assert isinstance(answer, Finding)
    assert "can have set up a list's head that was in use" in answer.summary


def test_who_moves_all_entries_away_and_leaves_the_head_comes_first() -> None:
    entry = owner(0xFFFF888003400000, "slab")
    memory = BytesPointer(entry.address, "00" * 8)
    twice = TwoLists(
        entry, memory, memory, "ready", "jobs", ("jobs_put",), only=True, splicers=("jobs_flush",)
    )
    answer = decided(STOPPED, backtrace(), ABSENT, list_report(MISMATCH), twice, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "jobs_flush"
    assert "jobs_put" not in [one.function for one in answer.culprits]
    assert "left the list's head leading to them" in answer.summary
    assert answer.certainty is Certainty.POSSIBLE


def test_so_it_does_where_one_of_them_was_deleted_meanwhile() -> None:
    stale = StaleHead("jobs", ("jobs_flush",))
    answer = decided(
        STOPPED, backtrace(), ABSENT, list_report(MISMATCH), ABSENT, ABSENT, stale=stale
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "jobs_flush"
    assert answer.certainty is Certainty.POSSIBLE


def test_an_entry_that_was_added_again_and_deleted() -> None:
    entry = owner(0xFFFF888003400000, "slab")
    memory = BytesPointer(entry.address, "00" * 8)
    twice = TwoLists(
        entry, memory, memory, "jobs_list", "jobs", ("jobs_raise",), only=True, deleted=True
    )
    report = list_report(
        "list_del corruption, ffff888003400000->next is LIST_POISON1 (dead000000000100)"
    )
    answer = decided(STOPPED, backtrace(), ABSENT, report, twice, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "jobs_raise"
    assert "leads to it still, from both sides" in answer.summary


@pytest.mark.parametrize("known", [True, False])
def test_a_head_that_was_never_set_up(known: bool) -> None:
    report = list_report("list_add corruption. prev is NULL.")
    at = Address(0xFFFF888003400000)
    where = (at, BytesPointer(at, "00" * 16), owner(int(at), "slab")) if known else (None,) * 3
    head = EmptyHead(*where, "relay", ("relay_repeat", "relay_submit"), by_init=False)
    answer = decided(STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT, head=head)
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits][:2] == ["relay_repeat", "relay_submit"]
    assert answer.certainty is Certainty.POSSIBLE
    assert "never set up" in answer.summary
    assert any(str(at) in step.claim for step in answer.chain) is known
    # It was filled with zeros since, where nobody is known who makes such.
    doers = Doers("relay", (), (), (), wipes=("relay_reset",))
    for functions, first in (((), "relay_reset"), (("relay_repeat",), "relay_repeat")):
        head = replace(head, functions=functions)
        facts = (STOPPED, backtrace(), ABSENT, report, ABSENT, ABSENT)
        answer = decided(*facts, head=head, doers=doers)
        assert isinstance(answer, Finding)
        assert answer.culprits[0].function == first


def test_a_work_item_that_was_on_its_queue_twice() -> None:
    work = owner(0xFFFF888000040010, "slab")
    memory = BytesPointer(work.address, "a0")
    requeued = RequeuedWork(work, memory, "gw_send", "gw", ("gw_prepare",))
    absent = (ABSENT,) * 8
    answer = list_corruption(fault(0x8), backtrace(), *absent, requeued, *absent[:3])
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].function, answer.certainty) == ("gw_prepare", Certainty.POSSIBLE)
    assert "null_dereference" in answer.refines
    nobody = replace(requeued, functions=())
    answer = list_corruption(fault(0x8), backtrace(), *absent, nobody, *absent[:3])
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("gw", None)


@pytest.mark.parametrize("listed", [True, False])
def test_an_entry_that_is_on_no_list(listed: bool) -> None:
    entry = owner(0xFFFF888003400000, "slab")
    memory = BytesPointer(entry.address, "00" * 8)
    names = ("port_collect",), ("port_write",), ("port_get",)
    off = OffList(
        entry,
        memory,
        poisoned=False,
        listed=listed,
        module="port",
        splicers=names[0],
        adders=names[1],
        unlocked=names[2],
    )
    trace = backtrace(skb_dequeue=Role.FAULT, port_burst=Role.CALLER)
    met = replace(trace.frames[1], module="port")
    trace = replace(trace, frames=(trace.frames[0], met))
    facts = (fault(0x8), trace, ABSENT, ABSENT, ABSENT, ABSENT)
    answer = decided(*facts, off=off)
    assert isinstance(answer, Finding)
    names = [one.function for one in answer.culprits if one.module]
    # Who had a pointer of its own to it should have looked.
    earlier = ["port_collect", "port_get", "port_write"]
    assert names == ([*earlier, "port_burst"] if listed else ["port_burst", *earlier])
    assert answer.certainty is Certainty.POSSIBLE
    assert "null_dereference" in answer.refines


def test_a_timer_that_is_set_up_while_it_is_pending() -> None:
    timer = owner(0xFFFF888003400018, "slab")
    memory = BytesPointer(timer.address, "22010000000000de")
    again = SetUpAgain(timer, memory, "ward", ("ward_raise",), pending=True)
    poison = owner(0xDEAD000000000122, "poison", detail="LIST_POISON2")
    flow = data_flow(way(flow_step("loaded", "__run_timers", 0)), bad=poison)
    answer = decided(fault(), backtrace(), flow, ABSENT, ABSENT, ABSENT, again=again)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "ward_raise"
    assert answer.certainty is Certainty.POSSIBLE
    assert "was deleted, and the kernel still comes to it" in answer.summary


def test_of_those_that_add_who_takes_no_lock_comes_first() -> None:
    entry = owner(0xFFFF888003400000, "slab")
    memory = BytesPointer(entry.address, "00" * 8)
    adders = ("snap_release", "snap_drop")
    twice = TwoLists(entry, memory, memory, "snap", "snap", adders, only=False)
    report = list_report(
        "list_add corruption. prev->next should be next (ffffffffc0301030), but was "
        "ffff888003400abc. (prev=ffff888003400000)."
    )
    unlocked = Unlocked("snap", ("snap_drop",), ("snap_take", "snap_release"))
    facts = (STOPPED, backtrace(), ABSENT, report, twice, ABSENT)
    answer = decided(*facts, unlocked=unlocked)
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits][:2] == ["snap_drop", "snap_release"]
