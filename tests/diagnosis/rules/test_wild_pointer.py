from __future__ import annotations

import dataclasses

import pytest
from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    log,
    owner,
    slab_object,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Depth, Finding
from oopsight.diagnosis.rules.wild_pointer import wild_pointer
from oopsight.evidence import Address
from oopsight.evidence.corruption.head_taken import HeadTaken
from oopsight.evidence.corruption.seq_file_taken import SeqFileTaken
from oopsight.evidence.corruption.stray_stores import StrayStore, StrayStores
from oopsight.evidence.corruption.taken_for_own import TakenForOwn
from oopsight.evidence.corruption.wrong_member import WrongMember
from oopsight.evidence.crash.complaints import Complaint, Complaints
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import BytesPointer, ModulePointer

TEXT = 0x61622D7265707075
FAULT = fault(None, exception="general_protection")


def test_what_is_no_address_is_wild_and_says_where_it_was_kept() -> None:
    step = flow_step("loaded", "walk", TEXT, agrees=False)
    flow = data_flow(way(step, name="struct node.next"), bad=owner(TEXT, "non-canonical"))
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 11)
    assert isinstance(finding, Finding)
    assert (finding.depth, finding.certainty) == (Depth.MECHANISM, Certainty.POSSIBLE)
    assert "struct node.next" in finding.summary
    assert "changed since" in finding.summary
    assert finding.culprits[0].function == "walk"


def test_memory_that_is_there_is_not() -> None:
    flow = data_flow(way(flow_step("loaded", "f", 1)), bad=owner(0xFFFF888000000000, "slab"))
    assert isinstance(wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 11), Clear)


def test_who_stores_a_number_where_others_store_a_pointer() -> None:
    field = FieldDoers(0, None, "desk", (), (), (), (), numbers=("desk_dial",))
    doers = Doers("desk", (field,), (), ())
    flow = data_flow(way(flow_step("loaded", "f", 0x19B019B)), bad=owner(0x19B019B, "other-user"))
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 3, doers, *[ABSENT] * 7)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "desk_dial"
    assert isinstance(wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 11), Clear)
    # What has more bits is no such number.
    flow = data_flow(way(flow_step("loaded", "f", TEXT)), bad=owner(TEXT, "non-canonical"))
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 3, doers, *[ABSENT] * 7)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "f"


def test_other_exceptions_are_not() -> None:
    flow = data_flow(way(flow_step("loaded", "f", TEXT)), bad=owner(TEXT, "non-canonical"))
    other = fault(None, exception="divide_error")
    assert isinstance(wild_pointer(other, backtrace(), flow, *[ABSENT] * 11), Clear)


def test_memory_that_was_never_written_is_recognised() -> None:
    fresh = 0x5A5A5A5A5A5A5A5A
    bad = owner(fresh, "poison", detail="slab memory never written (POISON_INUSE) +0x0")
    finding = wild_pointer(
        FAULT,
        backtrace(),
        data_flow(way(flow_step("loaded", "f", fresh)), bad=bad),
        *[ABSENT] * 11,
    )
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.INFERRED


def test_an_index_is_no_pointer_and_one_of_the_users_is_told() -> None:
    led_to = owner(0xFDC02DF070, "user")
    fault_ = fault(0xFDC02DF070)
    step = flow_step("loaded", "vlan_ioctl", 0x7F000000000)
    flow = data_flow(way(step, name="struct pt_regs.dx"), bad=led_to, subject="index")
    finding = wild_pointer(fault_, backtrace(), flow, *[ABSENT] * 11)
    assert isinstance(finding, Finding)
    assert finding.title.startswith("index out of range in ")
    assert finding.certainty is Certainty.INFERRED
    assert "0x7f000000000 as an index" in finding.summary
    kept = data_flow(way(step, name="vlan_map"), bad=led_to, subject="index")
    other = wild_pointer(fault_, backtrace(), kept, *[ABSENT] * 11)
    assert isinstance(other, Finding)
    assert other.certainty is Certainty.POSSIBLE


def test_who_wrote_an_index_out_of_its_table_comes_first() -> None:
    step = flow_step("loaded", "fan_tick", TEXT, "fan")
    flow = data_flow(way(step, name="fan.limits[3]"), bad=owner(TEXT, "non-canonical"))
    index = way(flow_step("loaded", "fan_tick", 7, "fan"), name="fan.mode")
    written = IndexWriters(StateWriters("fan", index, ("fan_set_mode",)), beyond=True)
    for beyond, first in ((True, "fan_set_mode"), (False, "fan_tick")):
        given = IndexWriters(written.state, beyond)
        finding = wild_pointer(FAULT, backtrace(), flow, ABSENT, ABSENT, given, *[ABSENT] * 8)
        assert isinstance(finding, Finding)
        assert finding.culprits[0].function == first
        assert "fan_set_mode" in [culprit.function for culprit in finding.culprits[:2]]
        assert "others of fan write there" in finding.chain[-1].claim


def test_a_callback_that_counts_from_another_member() -> None:
    step = flow_step("loaded", "tx_work", TEXT, "dualq")
    flow = data_flow(way(step, module="dualq"), bad=owner(TEXT, "non-canonical"))
    at = Address(0xFFFF888000040000)
    memory = BytesPointer(at, "00" * 8)
    member = WrongMember("dualq", "tx_work", at, at, "rx_work", at, at, memory)
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 4, member, *[ABSENT] * 6)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "tx_work"
    assert "rx_work" in finding.culprits[0].why
    assert finding.chain[-1].because == (memory,)
    for other in (at, Address(at - 8)):
        member = dataclasses.replace(member, givers=("rx_probe",), other=other)
        finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 4, member, *[ABSENT] * 6)
        assert isinstance(finding, Finding)
        assert finding.culprits[0].function == "rx_probe"
        assert "tx_work" in finding.culprits[0].why


STRAY = StrayStores(
    ModulePointer("mixer", loaded=True, base=Address(0xFFFFFFFFC0000000)),
    "mixer.ops",
    (StrayStore("set_balance", -1, None, 7),),
)


def test_who_stores_by_an_index_that_can_lead_there_comes_first() -> None:
    step = flow_step("loaded", "feed", 0x80000100000000F0, "mixer")
    flow = data_flow(way(step, module="mixer"), bad=owner(0x80000100000000F0, "non-canonical"))
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 5, STRAY, *[ABSENT] * 5)
    assert isinstance(finding, Finding)
    assert [c.function for c in finding.culprits][:2] == ["set_balance", "feed"]
    assert finding.certainty is Certainty.POSSIBLE
    assert "lets pass all up to 7: -1 is mixer.ops" in finding.chain[-1].claim


def test_who_took_anothers_object_for_its_own_comes_first() -> None:
    step = flow_step("loaded", "port_follow", TEXT, "port")
    flow = data_flow(way(step, module="port"), bad=owner(TEXT, "non-canonical"))
    at = Address(0xFFFFFFFFC0400100)
    pointer = Reference(8, at, "tap_ops", "tap", BytesPointer(at, "00" * 8))
    taken = TakenForOwn("port", "port_event", "port_is_ours", "tap", slab_object(), pointer)
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 6, taken, *[ABSENT] * 4)
    assert isinstance(finding, Finding)
    named = [one.function for one in finding.culprits][:3]
    assert named == ["port_is_ours", "port_event", "port_follow"]
    assert finding.chain[-1].because == (pointer.memory,)


def test_who_took_a_seq_file_for_its_own_object_comes_first() -> None:
    step = flow_step("loaded", "mux_set", TEXT, "mux")
    flow = data_flow(way(step, name="struct mux.lines"), bad=owner(TEXT, "non-canonical"))
    taken = SeqFileTaken(slab_object(cache="seq_file"), "mux", "mux_write", None)
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 7, taken, *[ABSENT] * 3)
    assert isinstance(finding, Finding)
    assert [c.function for c in finding.culprits][:2] == ["mux_write", "mux_set"]
    other = dataclasses.replace(taken, operations="timerfd_fops")
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 7, other, *[ABSENT] * 3)
    assert isinstance(finding, Finding)
    assert "of a file whose operations are timerfd_fops" in finding.chain[-1].claim


def test_who_took_the_head_of_a_list_for_an_entry_comes_first() -> None:
    bad = owner(0x1234, "user")
    link = BytesPointer(Address(0x2000), "00" * 8)
    entry = HeadTaken(Address(0x2000), owner(0x2000, "slab"), link, True, "desk", "desk_call")
    flow = data_flow(way(flow_step("loaded", "f", 0x1234)), bad=bad)
    finding = wild_pointer(FAULT, backtrace(), flow, *[ABSENT] * 10, entry)
    assert isinstance(finding, Finding)
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("desk", "desk_call")
    assert "which is empty: it leads to itself" in finding.chain[-1].claim


def test_whose_access_out_of_bounds_was_reported_before_comes_first() -> None:
    step = flow_step("loaded", "recall", TEXT, "mixer")
    flow = data_flow(way(step, name="mixer.curve"), bad=owner(TEXT, "non-canonical"))
    line = log("UBSAN: array-index-out-of-bounds in mixer.c:46:17").lines[0]
    other = Complaint(line, "warning", "disk", ("disk_read",))
    one = Complaint(line, "UBSAN: array-index-out-of-bounds", "mixer", ("fill",), bounds=True)
    finding = wild_pointer(
        FAULT, backtrace(), flow, *[ABSENT] * 8, Complaints((other, one)), *[ABSENT] * 2
    )
    assert isinstance(finding, Finding)
    assert [c.function for c in finding.culprits][:2] == ["fill", "recall"]
    assert finding.certainty is Certainty.POSSIBLE
    finding = wild_pointer(
        FAULT, backtrace(), flow, *[ABSENT] * 8, Complaints((other,)), *[ABSENT] * 2
    )
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "recall"


@pytest.mark.parametrize(("value", "wild"), [(2, True), (0, False)])
def test_a_small_number_is_no_pointer_either(value: int, wild: bool) -> None:
    flow = data_flow(
        way(flow_step("loaded", "strike", value), ended="loaded"), bad=owner(2, "null")
    )
    found = wild_pointer(fault(2), backtrace(), flow, *[ABSENT] * 11)
    assert isinstance(found, Finding) is wild
