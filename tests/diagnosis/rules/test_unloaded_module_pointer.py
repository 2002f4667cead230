from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, way

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.unloaded_module_pointer import WORD_SEARCH, unloaded_module_pointer
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.dangling import Dangling, DanglingPointers
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.pointer_keeper import PointerKeeper
from oopsight.evidence.modules.taken_over import TakenOver
from oopsight.evidence.modules.unloaded_modules import collect
from oopsight.evidence.pointers import BytesPointer, FramePointer, Memory, Unmapped

BAD = Address(0xFFFFFFFFC0500040)
NONE = Missing(Why.NOT_APPLICABLE, "not looked at")
FAULT = Fault(
    exception="page_fault",
    address=BAD,
    access="read",
    pc=Address(0xFFFFFFFF81000010),
    function="strnlen",
    module=None,
    instruction="movzx eax, byte ptr [rdx]",
    code="0fb602",
    operand=None,
    unmapped=Unmapped(BAD),
    frame=FramePointer(0, Address(0xFFFFFFFF81000010), "strnlen"),
)
NEIGHBOUR = Module(
    "alpha", Address(0xFFFFFFFFC0400000), ((Address(0xFFFFFFFFC0400000), BAD - 0x40),), "O"
)
MODULES = Modules(
    (NEIGHBOUR,), (), "beta", (Address(0xFFFFFFFFC0000000), Address(0xFFFFFFFFFF000000))
)
OBJECT = Address(0xFFFF888000001000)
MEMORY = Memory(
    "struct kmem_cache", OBJECT, "name", Address(OBJECT + 96), BAD.to_bytes(8, "little").hex()
)
HELD = DanglingPointers((Dangling("slab_caches", "slab cache", "pool", BAD, MEMORY),), ())


def decide(
    fault: Fault = FAULT, modules: Modules = MODULES, held: Any = HELD, flow: Any = NONE
) -> Any:
    unloaded = collect(modules, NONE)
    return unloaded_module_pointer(
        fault, modules, held, NONE, NONE, NONE, NONE, unloaded, flow, NONE, NONE
    )


def test_other_unloaded_modules_are_named_after_the_last() -> None:
    finding = decide(modules=dataclasses.replace(MODULES, unloaded_tainted=(("older", "0x3000"),)))
    assert [culprit.module for culprit in finding.culprits] == ["beta", "older"]


def test_a_jump_into_it_is_called_a_jump() -> None:
    finding = decide(dataclasses.replace(FAULT, access="execute"))
    assert "the kernel jumped there" in finding.summary
    assert finding.chain[0].claim == f"the kernel jumped to {BAD}"


def test_a_registry_that_points_into_the_gap_is_the_cause() -> None:
    finding = decide()
    assert isinstance(finding, Finding)
    # That beta was the last to be unloaded does not tell that it lay there.
    assert finding.certainty is Certainty.POSSIBLE
    assert [culprit.module for culprit in finding.culprits] == ["beta"]
    assert [innocent.module for innocent in finding.innocent] == ["alpha"]
    assert MEMORY in [pointer for step in finding.chain for pointer in step.because]


def test_without_an_unloaded_module_nobody_is_blamed() -> None:
    finding = decide(modules=dataclasses.replace(MODULES, last_unloaded=None))
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.culprits == ()


def test_a_loaded_owner_clears() -> None:
    owner = dataclasses.replace(NEIGHBOUR, ranges=((NEIGHBOUR.base, Address(BAD + 1)),))
    outcome = decide(modules=dataclasses.replace(MODULES, loaded=(owner,)))
    assert isinstance(outcome, Clear)
    assert "alpha" in outcome.why


def test_an_address_elsewhere_clears() -> None:
    outcome = decide(dataclasses.replace(FAULT, address=Address(0x38)))
    assert isinstance(outcome, Clear)


def test_what_is_not_confirmed_stays_undecided() -> None:
    nobody = DanglingPointers((), ())
    far = DanglingPointers(
        (Dangling("slab_caches", "slab cache", "c", Address(BAD - 4096), MEMORY),), ()
    )
    damaged = dataclasses.replace(MODULES, damaged=(Missing(Why.UNREADABLE, "page"),))
    for outcome in (
        decide(modules=dataclasses.replace(MODULES, last_unloaded=None), held=nobody),
        decide(modules=dataclasses.replace(MODULES, last_unloaded=None), held=far),
        decide(modules=damaged),
        decide(modules=dataclasses.replace(MODULES, area=None)),
        decide(dataclasses.replace(FAULT, unmapped=None)),
    ):
        assert isinstance(outcome, Undecided)


def test_without_a_registry_the_unloaded_module_is_only_possible() -> None:
    finding = decide(held=DanglingPointers((), ()))
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE
    assert [culprit.module for culprit in finding.culprits] == ["beta"]


NOTHING = DanglingPointers((), ())


def read_from_memory() -> DataFlow:
    memory = BytesPointer(Address(OBJECT + 8), BAD.to_bytes(8, "little").hex())
    step = flow_step("loaded", "vfs_read", BAD, agrees=True, memory=memory)
    return data_flow(way(step, name="struct file.f_op"))


def test_data_flow_stands_in_for_a_registry_that_is_not_searched() -> None:
    flow = read_from_memory()
    assert "struct file.f_op" in decide(held=NOTHING, flow=flow).summary
    # A word found by searching all of the kernel's data is no better than what was read.
    guess = dataclasses.replace(HELD.found[0], registry=WORD_SEARCH, label="x")
    assert "'x'" not in decide(held=DanglingPointers((guess,), ()), flow=flow).summary


OWNER = FormerOwner(
    module="beta",
    sure=True,
    others=(),
    elsewhere=(),
    begin=BAD,
    description=(),
    symbol="beta_tick",
    function=True,
    exit="beta_exit",
    source="beta.ko beside the dump",
    refused=(),
    placed=True,
)


def owned(
    fault: Fault = FAULT,
    held: Any = HELD,
    modules: Modules = MODULES,
    keeper: PointerKeeper | Missing = NONE,
    flow: DataFlow | Missing = NONE,
    **changes: Any,
) -> Any:
    owner = dataclasses.replace(OWNER, **changes)
    unloaded = collect(modules, NONE)
    return unloaded_module_pointer(
        fault, modules, held, NONE, NONE, NONE, owner, unloaded, flow, NONE, keeper
    )


def test_the_exit_function_is_blamed_before_what_it_left() -> None:
    finding = owned()
    assert [(c.module, c.function) for c in finding.culprits] == [
        ("beta", "beta_exit"),
        ("beta", "beta_tick"),
    ]
    assert "beta_tick" in finding.culprits[0].why
    assert any("beta.ko beside the dump" in step.claim for step in finding.chain)
    assert "beta_exit()" in finding.advice[1]


def test_of_several_modules_none_is_preferred_without_a_reason() -> None:
    finding = owned(sure=False, others=("gamma",), symbol=None, function=False, exit=None)
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.title == "pointer into unloaded module beta or gamma"
    assert len({(c.function, c.why) for c in finding.culprits}) == 1
    assert [c.module for c in finding.culprits] == ["beta", "gamma"]


def test_one_that_lay_elsewhere_is_innocent() -> None:
    assert "gamma" in [innocent.module for innocent in owned(elsewhere=("gamma",)).innocent]


def test_a_file_that_was_refused_is_told() -> None:
    finding = owned(symbol=None, function=False, exit=None, refused=("beta.ko: another build",))
    assert any("beta.ko: another build" in line for line in finding.advice)
    assert not any("beta.ko: another build" in line for line in owned(refused=("x",)).advice)


def test_a_jump_to_what_had_been_a_function_needs_no_registry() -> None:
    nothing = DanglingPointers((), ())
    jump = dataclasses.replace(FAULT, access="execute")
    assert owned(jump, held=nothing).certainty is Certainty.INFERRED
    assert owned(held=nothing).certainty is Certainty.POSSIBLE
    assert owned(jump, held=nothing, symbol=None, function=False).certainty is Certainty.POSSIBLE


def test_what_lies_in_the_place_of_another_is_innocent() -> None:
    described = (MEMORY,)
    taken = TakenOver(
        address=Address(NEIGHBOUR.base + 0x30),
        now="alpha",
        inside=None,
        former=dataclasses.replace(OWNER, description=described, symbol=None, function=False),
    )
    step = flow_step("loaded", "match", 0)
    null = dataclasses.replace(FAULT, address=Address(0x30))
    finding = unloaded_module_pointer(
        null, MODULES, HELD, NONE, NONE, NONE, NONE, NONE, data_flow(way(step)), taken, NONE
    )
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in finding.culprits] == [("beta", "beta_exit")]
    assert [innocent.module for innocent in finding.innocent] == ["alpha"]
    assert "null_dereference" in finding.refines
    assert MEMORY in finding.chain[-1].because
    guess = dataclasses.replace(taken, former=dataclasses.replace(OWNER, sure=False))
    finding = unloaded_module_pointer(
        null, MODULES, HELD, NONE, NONE, NONE, NONE, NONE, data_flow(way(step)), guess, NONE
    )
    assert isinstance(finding, Finding)
    assert finding.certainty is Certainty.POSSIBLE


@pytest.mark.parametrize("placed", [True, False])
def test_a_module_of_which_nothing_tells_that_it_lay_there_is_only_possible(
    *, placed: bool
) -> None:
    expected = Certainty.INFERRED if placed else Certainty.POSSIBLE
    assert owned(placed=placed).certainty is expected


def test_one_that_failed_to_load_is_to_blame_for_its_initialisation() -> None:
    never = BytesPointer(Address(0xFFFFFFFF82000000), "00" * 8)
    empty = dataclasses.replace(MODULES, last_unloaded=None)
    finding = owned(modules=empty, exit=None, init="beta_init", never=never, placed=False)
    assert finding.title == "pointer into module beta, which had failed to load"
    assert [(c.module, c.function) for c in finding.culprits] == [
        ("beta", "beta_init"),
        ("beta", "beta_tick"),
    ]
    assert any(never in step.because for step in finding.chain)
    assert "beta_init()" in finding.advice[1]
    assert finding.certainty is Certainty.POSSIBLE


def test_the_name_that_all_initialisations_have_is_none_to_blame() -> None:
    never = BytesPointer(Address(0xFFFFFFFF82000000), "00" * 8)
    empty = dataclasses.replace(MODULES, last_unloaded=None)
    finding = owned(modules=empty, exit=None, init="init_module", never=never)
    assert (finding.culprits[0].module, finding.culprits[0].function) == ("beta", None)
    assert "its initialisation failed" in finding.culprits[0].why


def test_what_was_read_leads_to_one_that_failed_to_load() -> None:
    never = BytesPointer(Address(0xFFFFFFFF82000000), "00" * 8)
    empty = dataclasses.replace(MODULES, last_unloaded=None)
    told = {"modules": empty, "exit": None, "init": "beta_init", "never": never}
    finding = owned(held=NOTHING, flow=read_from_memory(), **told)
    assert finding.culprits[0].function == "beta_init"
    assert "struct file.f_op" in finding.summary
    assert isinstance(owned(held=NOTHING, **told), Undecided)
    unplaced = owned(held=NOTHING, flow=read_from_memory(), placed=False, **told)
    assert isinstance(unplaced, Undecided)


def test_another_module_that_kept_the_pointer_may_not_have_taken_all_back() -> None:
    keeper = PointerKeeper("alpha", "alpha_deliver", known=True, takes_back=("alpha_leave",))
    finding = owned(keeper=keeper)
    assert finding.certainty is Certainty.POSSIBLE
    assert finding.cause_certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in finding.culprits][:2] == [
        ("alpha", "alpha_leave"),
        ("beta", "beta_exit"),
    ]
    assert not finding.innocent
    # What the module that is gone called is not known; or it called nothing of that kind.
    unknown = owned(keeper=dataclasses.replace(keeper, known=False, takes_back=()))
    assert unknown.certainty is Certainty.POSSIBLE
    assert unknown.culprits[0].function == "beta_exit"
    forgot = owned(keeper=dataclasses.replace(keeper, takes_back=()))
    assert forgot.certainty is Certainty.INFERRED
    assert forgot.cause_certainty is None
    assert [one.module for one in forgot.innocent] == ["alpha"]
