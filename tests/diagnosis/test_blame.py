from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import backtrace, data_flow, fault, flow_step, module, modules, track, way

from oopsight.diagnosis import Culprit
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    function_first,
    owners_first,
    track_culprits,
)
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.fault import Operand
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.pointers import RegisterPointer


def test_what_called_the_module_that_freed_is_not_to_blame() -> None:
    freed = track("freed", "wdt_release", "wdt")
    pc = Address(0xFFFFFFFF81000010)
    outer = (
        TrackFrame(pc, "__fput", None, "dispatches"),
        TrackFrame(pc, "wdt_close", "wdt", None),
        TrackFrame(pc, "exit_to_user_mode_prepare", None, None),
    )
    found = track_culprits(replace(freed, frames=(*freed.frames, *outer)), "freed the object", 3)
    assert [(one.module, one.function) for one in found] == [
        ("wdt", "wdt_release"),
        ("wdt", "wdt_close"),
    ]
    assert track_culprits(None, "freed the object") == []


def test_an_operand_beside_the_instruction_pointer_names_no_register() -> None:
    at = Address(0xFFFFFFFFC0400100)
    for base, named in (("rip", 0), ("rbx", 1)):
        step = fault_step(fault(at, operand=Operand(base, at, None, 0x20, Address(at + 0x20))))
        assert sum(isinstance(one, RegisterPointer) for one in step.because) == named


def test_a_module_of_others_that_gave_the_value_comes_before_the_kernel_s_own() -> None:
    def named(function: str, module: str | None) -> Culprit:
        return Culprit(module, function, None, None, "was given the NULL pointer")

    flow = data_flow(way(flow_step("loaded", "__dev_queue_xmit", 0)))
    loaded = modules(
        module("hsr", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"),
        module("bonding", 0xFFFFFFFFC0420000, 0xFFFFFFFFC0430000),
    )
    kernel, own, foreign = (
        named("__dev_queue_xmit", None),
        named("bond_xmit", "bonding"),
        named("hl_xmit", "hsr"),
    )
    assert owners_first([kernel, own, foreign], flow, loaded) == [foreign, kernel, own]
    assert owners_first([kernel, own], flow, loaded) == [kernel, own]
    # Before those, too, who handed on the object that the pointer was read from.
    handed = way(
        flow_step("passed", "hl_destroy", 0xFFFF888003400000, "hsr"),
        flow_step("passed", "qdisc_create", 0xFFFF888003400000),
    )
    flow = data_flow(flow.first, handed)
    found = owners_first([kernel, own], flow, loaded)
    assert [one.function for one in found] == ["hl_destroy", "__dev_queue_xmit", "bond_xmit"]


def test_a_function_of_the_suspected_module_says_more_than_the_module() -> None:
    module_, other, own = (
        Culprit(name, function, None, None, "")
        for name, function in (("dac", None), ("alsa", "pcm_tick"), ("dac", "dac_tick"))
    )
    assert function_first([module_, other, own]) == [own, module_, other]
    assert function_first([module_, other]) == [module_, other]
    assert function_first([other, module_, own]) == [other, module_, own]


def test_a_module_without_a_function_is_named_as_a_module() -> None:
    whole = Culprit("pixbuf", None, None, None, "its object was written over")
    one = Culprit("pixbuf", "pix_scale", None, None, "copies memory")
    assert blamed_first([whole, one], "somebody") == "module pixbuf"
    assert blamed_first([one], "somebody") == "pix_scale [pixbuf]"
    nobody = Culprit(None, None, None, None, "called it")
    assert blamed_first([nobody], "somebody") == blamed_first([], "somebody") == "somebody"


@pytest.mark.parametrize(
    ("called", "names"),
    [
        ("shelf_reset.isra.0", ["shelf_reset", "shelf_write"]),
        ("shelf_reset", ["shelf_write", "shelf_reset"]),
    ],
)
def test_what_the_compiler_had_the_caller_read_is_the_callees(
    called: str, names: list[str]
) -> None:
    text = f"shelf_write [shelf] called {called} with 0x6607b0800118 as its argument in rdi"
    passed = replace(flow_step("passed", "shelf_write", 0x6607B0800118, "shelf"), text=text)
    loaded = flow_step("loaded", "shelf_write", 0x6607B0800118, "shelf")
    flow = data_flow(way(passed, loaded, module="shelf", function="shelf_write", ended="loaded"))
    path = backtrace(shelf_reset=Role.FAULT)
    path = replace(path, frames=tuple(replace(one, module="shelf") for one in path.frames))
    found = flow_culprits(flow, path, what="the bad pointer")
    assert [one.function for one in found] == names
