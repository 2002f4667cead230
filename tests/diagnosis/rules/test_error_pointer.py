from __future__ import annotations

from handmade_facts import ABSENT, backtrace, data_flow, fault, flow_step, owner, way

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.error_pointer import error_pointer
from oopsight.evidence import Address
from oopsight.evidence.crash.fault import Operand
from oopsight.evidence.modules.handed_in import HandedIn

WRAPPED = fault(22, operand=Operand("rdi", Address((1 << 64) - 2), None, 24, Address(22)))


def test_the_code_and_who_returned_it_are_named() -> None:
    flow = data_flow(way(flow_step("returned", "reload", -2, "certs"), returned_by="filp_open"))
    finding = error_pointer(WRAPPED, backtrace(), flow, ABSENT, doers=ABSENT, handed=ABSENT)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.SHOWN
    assert "-ENOENT" in finding.title
    assert "filp_open" in finding.summary
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("certs", "reload")
    assert "null_dereference" in finding.refines


def test_without_its_origin_it_is_inferred() -> None:
    finding = error_pointer(WRAPPED, backtrace(), ABSENT, ABSENT, doers=ABSENT, handed=ABSENT)
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.INFERRED


def test_container_of_null_is_none() -> None:
    flow = data_flow(way(flow_step("computed", "f", -2), flow_step("loaded", "f", 0)))
    assert isinstance(
        error_pointer(WRAPPED, backtrace(), flow, ABSENT, doers=ABSENT, handed=ABSENT), Clear
    )


def test_a_null_pointer_is_none() -> None:
    assert isinstance(
        error_pointer(fault(), backtrace(), ABSENT, ABSENT, doers=ABSENT, handed=ABSENT), Clear
    )


def test_a_function_of_the_same_module_may_not_have_been_meant_to_return_one() -> None:
    got = way(
        flow_step("returned", "reload", -2, "certs"),
        returned_by="cert_open",
        returner_module="certs",
    )
    finding = error_pointer(
        WRAPPED, backtrace(), data_flow(got), ABSENT, doers=ABSENT, handed=ABSENT
    )
    assert isinstance(finding, Finding)
    assert finding.culprits[0].function == "reload"
    assert "cert_open" in [one.function for one in finding.culprits]
    assert (finding.certainty, finding.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)


def test_who_handed_it_to_a_module_that_only_keeps_it_comes_first() -> None:
    held = owner(0xFFFF888000001000, "slab")
    read = way(flow_step("loaded", "release", -2, "registry"), held_in=held)
    handed = HandedIn("registry_add", (("mirror", "mirror_open"),))
    finding = error_pointer(
        WRAPPED, backtrace(), data_flow(read), ABSENT, doers=ABSENT, handed=handed
    )
    assert isinstance(finding, Finding)
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("mirror", "mirror_open")
    assert finding.certainty is Certainty.POSSIBLE
