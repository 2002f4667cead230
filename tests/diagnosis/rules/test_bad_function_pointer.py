from __future__ import annotations

from dataclasses import replace

from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    module,
    modules,
    owner,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.bad_function_pointer import bad_function_pointer
from oopsight.diagnosis.rules.null_dereference import null_dereference
from oopsight.evidence import Address
from oopsight.evidence.corruption.stray_stores import StrayStore, StrayStores
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.chosen_handlers import ChosenHandler
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.target_writers import TargetWriters
from oopsight.evidence.pointers import ModulePointer

TARGET = Address(0xFFFFFFFFC0395070)
NULL = fault(0, access="execute", pc=Address(0), function="0x0", operand=None)


def test_the_table_that_lacks_the_function_comes_second() -> None:
    held = owner(0xFFFFFFFFC0001008, "module", module="segment")
    step = flow_step("loaded", "refresh", 0, "panel")
    flow = data_flow(way(step, name="segm_ops+0x8", held_in=held), subject="target")
    assert isinstance(bad_function_pointer(NULL, backtrace(), flow, *[ABSENT] * 7), Clear)
    finding = null_dereference(NULL, backtrace(), flow, *[ABSENT] * 16)
    assert isinstance(finding, Finding)
    assert [c.module for c in finding.culprits][:1] == ["panel"]
    assert "segment" in [c.module for c in finding.culprits]
    assert "NULL" in finding.title
    # A small number is no NULL pointer.
    counter = replace(NULL, address=Address(0xC3), pc=Address(0xC3))
    flow = data_flow(way(flow_step("loaded", "refresh", 0xC3, "panel")), subject="target")
    assert isinstance(null_dereference(counter, backtrace(), flow, *[ABSENT] * 16), Clear)
    assert isinstance(bad_function_pointer(counter, backtrace(), flow, *[ABSENT] * 7), Finding)


def test_who_chose_the_kernel_s_function_comes_before_who_had_it_called() -> None:
    held = owner(0xFFFFFFFFC0001008, "module", module="exp")
    step = flow_step("loaded", "handle_edge", 0)
    flow = data_flow(way(step, name="irq_chip.irq_ack", held_in=held), subject="target")
    chosen = ChosenHandler("handle_edge", "exp", ("exp_set_type",))
    finding = null_dereference(NULL, backtrace(), flow, *[ABSENT] * 8, chosen, *[ABSENT] * 7)
    assert isinstance(finding, Finding)
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("exp", "exp_set_type")
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.cause_certainty is Certainty.SHOWN
    nobody = ChosenHandler("handle_edge", "exp", ())
    finding = null_dereference(NULL, backtrace(), flow, *[ABSENT] * 8, nobody, *[ABSENT] * 7)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE


def test_why_a_pointer_in_an_object_went_bad_is_open() -> None:
    wild = fault(0x2E2E2E2E, access="execute", pc=Address(0x2E2E2E2E), operand=None)
    step = flow_step("loaded", "walk", 0x2E2E2E2E, "panel")
    certainties = []
    for kind in ("module", "slab"):
        held = owner(0xFFFFFFFFC0001008, kind, module=None)
        flow = data_flow(way(step, name="notify", held_in=held), subject="target")
        finding = bad_function_pointer(wild, backtrace(), flow, *[ABSENT] * 7)
        assert isinstance(finding, Finding)
        assert finding.certainty is Certainty.POSSIBLE
        certainties.append(finding.cause_certainty)
    assert certainties == [Certainty.SHOWN, Certainty.POSSIBLE]


def test_who_took_data_for_a_function_comes_before_who_called_it() -> None:
    wild = fault(TARGET, access="execute", pc=TARGET, operand=None)
    step = flow_step("loaded", "poll", int(TARGET), "hub")
    held = owner(0xFFFFFFFFC0001008, "slab")
    flow = data_flow(way(step, name="channel.convert", held_in=held), subject="target")
    state = StateWriters("hub", flow.first, ("hub_select",))
    for to_data, order in ((True, ["hub_select", "poll"]), (False, ["poll", "hub_select"])):
        writers = TargetWriters(state, to_data)
        finding = bad_function_pointer(wild, backtrace(), flow, *[ABSENT] * 5, writers, ABSENT)
        assert isinstance(finding, Finding)
        mine = [one.function for one in finding.culprits if one.module == "hub"]
        assert mine[:2] == order
        assert finding.certainty is Certainty.POSSIBLE


def test_a_target_in_an_unloaded_module_is_another_rule_s() -> None:
    made = fault(TARGET, access="execute", pc=TARGET, operand=None)
    there = modules(module("still", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000))
    assert isinstance(bad_function_pointer(made, backtrace(), ABSENT, there, *[ABSENT] * 6), Clear)


def test_code_that_was_being_carried_out_is_none() -> None:
    assert isinstance(bad_function_pointer(fault(), backtrace(), *[ABSENT] * 8), Clear)


def test_with_nobody_on_the_stack_it_is_undecided() -> None:
    alone = backtrace(nowhere=Role.PANIC_PATH)
    assert isinstance(bad_function_pointer(NULL, alone, *[ABSENT] * 8), Undecided)


def test_who_stores_by_an_index_that_can_lead_to_the_pointer_comes_first() -> None:
    wild = fault(0x2E2E2E2E, access="execute", pc=Address(0x2E2E2E2E), operand=None)
    step = flow_step("loaded", "walk", 0x2E2E2E2E, "panel")
    held = owner(0xFFFFFFFFC0001008, "module", module="panel")
    flow = data_flow(way(step, name="notify", held_in=held), subject="target")
    panel = ModulePointer("panel", loaded=True, base=Address(0xFFFFFFFFC0000000))
    strays = StrayStores(panel, "notify", (StrayStore("set_key", 8, 0, 8),))
    finding = bad_function_pointer(wild, backtrace(), flow, *[ABSENT] * 3, strays, *[ABSENT] * 3)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.culprits[0].function == "set_key"
    assert "lets pass 0 to 8: 8 is notify" in finding.chain[-1].claim


def test_a_pointer_that_was_read_from_code_was_no_member_of_a_table() -> None:
    wild = fault(0x2E2E2E2E, access="execute", pc=Address(0x2E2E2E2E), operand=None)
    held = owner(0xFFFFFFFFC0001008, "module", module="panel")
    step = flow_step("loaded", "walk", 0x2E2E2E2E, "panel")
    flow = data_flow(way(step, held_in=held), subject="target")
    finding = bad_function_pointer(wild, backtrace(), replace(flow, from_code=True), *[ABSENT] * 7)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE


def test_who_set_the_number_of_a_tables_entry_comes_first() -> None:
    at = Address(0xAF17FFFFF0E8)
    wild = fault(at, access="execute", pc=at, operand=None)
    step = flow_step("loaded", "lamp_run", int(at), "lamp")
    flow = data_flow(way(step, module="lamp"), subject="target")
    index = way(flow_step("loaded", "lamp_run", 7, "lamp"), name="lamp.mode")
    state = StateWriters("lamp", index, ("lamp_set_mode",))
    given = IndexWriters(state, beyond=False)
    finding = bad_function_pointer(wild, backtrace(), flow, *[ABSENT] * 6, given)
    assert isinstance(finding, Finding)
    assert [one.function for one in finding.culprits[:2]] == ["lamp_set_mode", "lamp_run"]
    assert finding.certainty is Certainty.POSSIBLE


def test_who_told_the_place_in_a_table_that_has_nothing_there() -> None:
    held = owner(0xFFFFFFFFC0001028, "module", module="segment")
    step = flow_step("loaded", "refresh", 0, "panel")
    flow = data_flow(way(step, name="segm_ops.[5]", held_in=held), subject="target")
    place = way(flow_step("loaded", "refresh", value=5), name="struct panel.state")
    index = IndexWriters(StateWriters("panel", place, ("panel_skip",)), beyond=False)
    finding = null_dereference(NULL, backtrace(), flow, *[ABSENT] * 12, index, *[ABSENT] * 3)
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "panel_skip"
    assert finding.certainty is Certainty.POSSIBLE
