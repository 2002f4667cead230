"""Where a length came from that a check of bounds found too large, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import OBJECT, STACK, TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption import bounds_length
from oopsight.evidence.corruption.bounds_length import BoundsLength, collect
from oopsight.evidence.corruption.bounds_report import BoundsReport
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.flow import follower
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import LogPointer

CHECK = TEXT + 0x400
MODULES = made.modules(made.module("rec", TEXT, TEXT + 0x1000, "O"))
REPORT = BoundsReport("usercopy", LogPointer(7.0, "usercopy: …"), None, None, 80, 32, None, None)


def collected(
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    at: int,
    checker: str = "__check_object_size",
    writers: Any = None,
    **registers: int,
) -> Any:
    """What is found where the call that returns to ``at`` is of the checker."""
    machine = Code(code)
    machine.words = {OBJECT + 8: 80}
    real = machine.function
    machine.function = lambda address: (  # type: ignore[method-assign]
        (checker, CHECK, 16) if CHECK <= address < CHECK + 16 else real(address)
    )
    trace = made.backtrace(usercopy_abort=Role.FAULT, rec_read=Role.CALLER)
    serving, caller = trace.frames
    frames = (replace(serving, plumbing="serves all"), replace(caller, module="rec"))
    frame = PhysicalFrame(caller.index, TEXT + at, STACK, registers, faulted=False)
    monkeypatch.setattr(bounds_length, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(bounds_length, "writers_of", lambda *_: writers)
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    return collect(Machine().session, REPORT, replace(trace, frames=frames), MODULES)


def call(after: int) -> str:
    """The bytes of a call of the checker that ends at an offset of the function."""
    return "e8" + (CHECK - (TEXT + after)).to_bytes(4, "little", signed=True).hex()


def test_a_length_that_was_read_from_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov rsi,[rbx+8]; call __check_object_size; ret
    found = collected(monkeypatch, f"488b7308 {call(9)} c3", 9, rbx=OBJECT)
    assert isinstance(found, BoundsLength)
    assert (found.module, found.function) == ("rec", "rec_read")
    assert (found.way.ended, int(found.way.value or 0)) == ("loaded", 80)
    assert not found.brought
    assert found.state is None


def test_who_else_writes_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateWriters("rec", made.way(made.flow_step("loaded", "rec_read", 80)), ("rec_set",))
    code = f"488b7308 {call(9)} c3"
    found = collected(monkeypatch, code, 9, writers=state, rbx=OBJECT)
    assert found.state is state


def test_a_length_that_was_compared_before_the_check_gave_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # mov rax,[rbx+8]; cmp rax,0x20; ja 1f; ret; 1: call fortify_panic
    code = f"488b4308 4883f820 7701 c3 {call(16)} c3"
    found = collected(monkeypatch, code, 16, checker="fortify_panic", rbx=OBJECT)
    assert isinstance(found, BoundsLength)
    assert (found.way.ended, int(found.way.value or 0)) == ("loaded", 80)


def test_a_length_set_by_the_function_itself_did_not_come_with_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = collected(monkeypatch, f"be50000000 {call(10)} c3", 10)  # mov esi,80
    assert isinstance(found, BoundsLength)
    assert (found.way.ended, found.brought) == ("set", False)


def test_of_another_callee_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, f"488b7308 {call(9)} c3", 9, checker="memcpy", rbx=OBJECT)
    assert isinstance(found, Missing)


def test_what_came_from_the_kernels_caller_was_brought() -> None:
    step = made.flow_step("passed", "vfs_read", 200, None)
    assert BoundsLength("rec", "rec_read", made.way(step), None).brought
    own = made.flow_step("lost", "rec_read", 200, "rec")
    assert not BoundsLength("rec", "rec_read", made.way(own), None).brought
