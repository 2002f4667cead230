from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, frame, module, modules, owner, slab_object, way

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.null_dereference import null_dereference
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.head_taken import HeadTaken
from oopsight.evidence.corruption.zeroed_object import ZeroedObject
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.evidence.crash.fault import Fault, Operand
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.guard_writers import GuardWriters
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.limit_writers import LimitWriters
from oopsight.evidence.modules.lookup_keys import LookupKey
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.unfilled import Unfilled
from oopsight.evidence.pointers import BytesPointer, FramePointer, Unmapped

NONE = Missing(Why.NOT_APPLICABLE, "not looked at")
NULL_BASE = Operand("rdi", Address(0), None, 0x38, Address(0x38))
FAULT = Fault(
    exception="page_fault",
    address=Address(0x38),
    access="read",
    pc=Address(0xFFFFFFFFC0400007),
    function="set_rate",
    module="gamma",
    instruction="cmp dword ptr [rdi + 0x38], esi",
    code="397738",
    operand=NULL_BASE,
    unmapped=Unmapped(Address(0x38)),
    frame=FramePointer(0, Address(0xFFFFFFFFC0400007), "set_rate"),
)
FRAME = Frame(
    0,
    Address(0xFFFFFFFFC0400007),
    Address(0),
    "set_rate",
    "set_rate+0x7",
    "gamma",
    None,
    inline=False,
    role=Role.FAULT,
)
TRACE = Backtrace((FRAME,), (("rdi", Address(0)),), interrupted=True, exception="page_fault")


def decided(
    *facts: Any,
    head: Any = NONE,
    doers: Any = NONE,
    unfilled: Any = NONE,
    entry: Any = NONE,
    index: Any = NONE,
    guard: Any = NONE,
    key: Any = NONE,
    limit: Any = NONE,
) -> Any:
    late = unfilled, NONE, entry, NONE, NONE, index, guard, key, limit
    return null_dereference(*facts, head, doers, NONE, NONE, NONE, *late)


def test_a_zero_base_register_is_a_null_pointer() -> None:
    finding = decided(FAULT, TRACE, NONE, NONE, NONE)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].module == "gamma"
    assert finding.culprits[0].function == "set_rate"
    assert "0x38" in finding.summary


@pytest.mark.parametrize(
    "change",
    [
        {"exception": "general_protection"},
        {"address": Address(0x5000)},
        {"access": "execute"},
        {"operand": None},
        {"operand": dataclasses.replace(NULL_BASE, base_value=Address(8), address=Address(0x40))},
        {"operand": dataclasses.replace(NULL_BASE, address=None)},
        {"operand": dataclasses.replace(NULL_BASE, address=Address(0x40))},
    ],
)
def test_anything_else_is_not(change: dict[str, Any]) -> None:
    made = dataclasses.replace(FAULT, **change)
    assert isinstance(decided(made, TRACE, NONE, NONE, NONE), Clear)


def test_data_flow_tells_who_brought_the_zero_in() -> None:
    loaded = flow_step("loaded", "find_gamma", value=0)
    flow = data_flow(way(flow_step("passed", "find_gamma", value=0), loaded, name="gamma_current"))
    finding = decided(FAULT, TRACE, flow, NONE, NONE)
    assert isinstance(finding, Finding)
    assert [c.function for c in finding.culprits] == ["find_gamma", "set_rate"]
    assert "gamma_current" in finding.summary
    assert all(step.because for step in finding.chain)


def test_where_the_zero_came_from_must_be_known_to_blame_somebody_for_sure() -> None:
    lost = data_flow(way(flow_step("lost", "set_rate", value=0)))
    finding = decided(FAULT, TRACE, lost, NONE, NONE)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE


def test_container_of_null_lies_below_zero() -> None:
    flow = data_flow(
        way(flow_step("computed", "f", value=-8), flow_step("loaded", "f", value=0), name="head")
    )
    base = Operand("rdi", Address((1 << 64) - 8), None, 0, Address((1 << 64) - 8))
    fault = dataclasses.replace(FAULT, address=Address((1 << 64) - 8), operand=base)
    assert isinstance(decided(fault, TRACE, flow, NONE, NONE), Finding)
    # Without the flow it may as well be an error code.
    assert isinstance(decided(fault, TRACE, NONE, NONE, NONE), Clear)


def test_a_pointer_that_was_not_zero_at_its_origin_is_not_null() -> None:
    flow = data_flow(way(flow_step("returned", "f", value=-2), returned_by="filp_open"))
    assert isinstance(decided(FAULT, TRACE, flow, NONE, NONE), Clear)


def test_who_is_to_blame_for_what_the_modules_own_lookup_did_not_find_is_only_possible() -> None:
    got = way(flow_step("returned", "f", 0), returned_by="find", ended="returned")
    of_kernel = decided(FAULT, TRACE, data_flow(got), NONE, NONE)
    own = dataclasses.replace(got, returner_module="nic")
    of_module = decided(FAULT, TRACE, data_flow(own), NONE, NONE)
    assert isinstance(of_kernel, Finding)
    assert of_kernel.certainty is Certainty.SHOWN
    assert isinstance(of_module, Finding)
    assert of_module.certainty is Certainty.POSSIBLE
    assert of_module.cause_certainty is Certainty.SHOWN


KERNEL = dataclasses.replace(FRAME, module=None, function="netif_rx_one")
IN_KERNEL = dataclasses.replace(FAULT, function="netif_rx_one", module=None)
PATH = dataclasses.replace(TRACE, frames=(KERNEL,))
LOADED = modules(module("nic", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"))


def test_what_the_kernel_met_in_a_modules_object_is_the_modules() -> None:
    memory = BytesPointer(Address(0xFFFF888000040000), "00" * 8)
    one = slab_object(
        "allocated", refers=(Reference(0, Address(0xFFFFFFFFC0400010), "nic_ops", "nic", memory),)
    )
    step = flow_step("loaded", "netif_rx_one", 0)
    flow = data_flow(way(step, held_in=owner(int(one.address) + 8, "slab", slab=one)))
    finding = decided(IN_KERNEL, PATH, flow, NONE, LOADED)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].module == "nic"
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.cause_certainty is Certainty.INFERRED
    assert "check it in module nic" in finding.advice[0]
    # Modules of the kernel itself are its own code.
    own = modules(module("nic", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000))
    finding = decided(IN_KERNEL, PATH, flow, NONE, own)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].module is None


def test_of_an_object_of_zeros_it_may_be_anothers_by_now() -> None:
    one = slab_object("allocated")
    flow = data_flow(
        way(
            flow_step("loaded", "set_rate", 0, "gamma"),
            held_in=owner(int(one.address) + 8, "slab", slab=one),
        )
    )
    zeros = ZeroedObject(one.address, 64, "kmalloc-64", BytesPointer(one.address, "00" * 64))
    finding = decided(FAULT, TRACE, flow, zeros, NONE)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert all(step.because for step in finding.chain)


def test_who_is_registering_the_callback_has_not_set_it_up_yet() -> None:
    frames = (
        frame(0, "note_event", Role.FAULT, "ledger"),
        frame(1, "call_netdevice_notifier", Role.CALLER),
        frame(2, "register_netdevice_notifier", Role.CALLER),
        frame(3, "ledger_init", Role.CALLER, "ledger"),
    )
    held = owner(0xFFFFFFFFC0300010, "module", module="ledger")
    flow = data_flow(way(flow_step("loaded", "note_event", 0, "ledger"), held_in=held))
    finding = decided(FAULT, dataclasses.replace(TRACE, frames=frames), flow, NONE, NONE)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "ledger_init"
    assert finding.certainty is Certainty.POSSIBLE
    # Where others set the field, as open() does, it had not to.
    field = FieldDoers(0, None, "ledger", (), (), (), (), fill_by=("ledger_open",))
    doers = Doers("ledger", (field,), (), ())
    finding = decided(
        FAULT, dataclasses.replace(TRACE, frames=frames), flow, NONE, NONE, doers=doers
    )
    assert finding.culprits[0].function == "note_event"
    # Another call out of the module further out registers nothing.
    frames = (*frames[:2], dataclasses.replace(frames[2], function="vfs_read"), frames[3])
    finding = decided(FAULT, dataclasses.replace(TRACE, frames=frames), flow, NONE, NONE)
    assert finding.culprits[0].function == "note_event"


def test_who_took_the_head_of_a_list_for_an_entry_comes_first() -> None:
    held = owner(0xFFFF888000001000, "slab")
    flow = data_flow(way(flow_step("loaded", "set_rate", 0, "gamma"), held_in=held))
    link = BytesPointer(Address(0x2000), "00" * 8)
    entry = HeadTaken(Address(0x2000), owner(0x2000, "module"), link, False, "gamma", "find_rate")
    finding = decided(FAULT, TRACE, flow, NONE, NONE, entry=entry)
    assert finding.culprits[0].function == "find_rate"
    assert "to which the last entry leads" in finding.chain[-1].claim


def test_who_was_to_fill_a_variable_comes_before_its_owner() -> None:
    step = flow_step("set", "set_rate", 0, "gamma")
    flow = data_flow(way(step, ended="set"))
    one = Unfilled("gamma", "set_rate", "rate_of", step.instruction)
    finding = decided(FAULT, TRACE, flow, NONE, NONE, unfilled=one)
    assert [c.function for c in finding.culprits] == ["rate_of", "set_rate"]
    assert (finding.certainty, finding.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    assert decided(FAULT, TRACE, flow, NONE, NONE).certainty is Certainty.SHOWN


def test_who_read_it_in_a_header_s_function_and_jumped_on_has_no_frame() -> None:
    header = "include/linux/workqueue.h:515"
    step = flow_step("loaded", "post", 0, "gamma", source=header)
    flow = data_flow(way(step, held_in=owner(0xFFFF888000001000, "slab"), function="post"))
    finding = decided(FAULT, TRACE, flow, NONE, NONE)
    assert [c.function for c in finding.culprits][:2] == ["post", "set_rate"]


def test_who_says_alone_that_the_pointer_may_be_followed_comes_first() -> None:
    kind = way(flow_step("loaded", "set_rate", value=2), name="struct gamma.kind")
    guard = GuardWriters("gamma", kind, ("gamma_copy",), ("gamma_prepare",))
    flow = data_flow(
        way(
            flow_step("loaded", "set_rate", value=0),
            held_in=owner(0xFFFF888000001000, "slab"),
            function="set_rate",
        )
    )
    finding = decided(FAULT, TRACE, flow, NONE, NONE, guard=guard)
    assert isinstance(finding, Finding)
    assert [one.function for one in finding.culprits][:2] == ["gamma_copy", "set_rate"]
    assert finding.certainty is Certainty.POSSIBLE
    assert all(step.because for step in finding.chain)


def test_who_told_the_place_in_the_table_comes_first() -> None:
    place = way(flow_step("loaded", "set_rate", value=4), name="struct gamma.pos")
    state = StateWriters("gamma", place, ("gamma_cut",), leaving=("gamma_cut",))
    index = IndexWriters(state, beyond=False)
    flow = data_flow(
        way(
            flow_step("loaded", "set_rate", value=0),
            held_in=owner(0xFFFF888000001000, "slab"),
            function="set_rate",
        )
    )
    finding = decided(FAULT, TRACE, flow, NONE, NONE, index=index)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "gamma_cut"
    assert "leaves struct gamma.pos alone" in finding.culprits[0].why


def test_who_left_the_number_by_which_nothing_was_found() -> None:
    number = way(flow_step("loaded", "set_rate", value=6), name="struct gamma.current")
    state = StateWriters(
        "gamma", number, ("gamma_select", "gamma_remove"), leaving=("gamma_remove",)
    )
    flow = data_flow(
        way(flow_step("returned", "set_rate", value=0), returned_by="xa_load", function="set_rate")
    )
    alone = decided(FAULT, TRACE, flow, NONE, NONE)
    assert isinstance(alone, Finding)
    assert alone.certainty is not Certainty.POSSIBLE
    finding = decided(FAULT, TRACE, flow, NONE, NONE, key=LookupKey("xa_load", state))
    assert isinstance(finding, Finding)
    names = [one.function for one in finding.culprits]
    assert (names[0], names[-1]) == ("gamma_remove", "gamma_select")
    assert finding.certainty is Certainty.POSSIBLE


def test_who_raises_the_number_of_entries_in_vain_comes_first() -> None:
    number = way(flow_step("loaded", "set_rate", value=3), name="struct gamma.nr")
    flow = data_flow(
        way(
            flow_step("loaded", "set_rate", value=0),
            held_in=owner(0xFFFF888000001000, "slab"),
            function="set_rate",
        )
    )
    for names, first in ((("gamma_let",), "gamma_let"), (("a", "b"), "set_rate")):
        limit = LimitWriters("gamma", number, names)
        finding = decided(FAULT, TRACE, flow, NONE, NONE, limit=limit)
        assert isinstance(finding, Finding)
        assert finding.culprits[0].function == first
        assert finding.certainty is Certainty.POSSIBLE


def test_an_address_that_stands_in_the_code_needs_no_register() -> None:
    known = dataclasses.replace(
        FAULT, operand=Operand(None, None, None, 0x38, Address(0x38)), check=Address(FAULT.pc - 8)
    )
    answer = decided(known, TRACE, NONE, NONE, NONE)
    assert isinstance(answer, Finding)
    assert "KASAN's check of that, at 0xffffffffc03fffff" in answer.chain[0].claim
