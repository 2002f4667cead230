"""Whose canary was changed."""

from __future__ import annotations

from dataclasses import replace

from handmade_facts import backtrace
from handmade_waits import symptom

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.stack_corruption import stack_corruption
from oopsight.evidence import Address
from oopsight.evidence.backtrace import Role
from oopsight.kinds import Kind

SMASHED = symptom(Kind.STACK_CORRUPTION, "stack-protector: Kernel stack is corrupted in: set")
TRACE = backtrace(
    interrupted=False,
    panic=Role.PANIC_PATH,
    __stack_chk_fail=Role.CALLER,
    set=Role.CALLER,
    beyond=Role.USER,
)


def test_the_function_whose_frame_is_damaged_and_what_was_written() -> None:
    text = Address(int.from_bytes(b"EFORE-20", "little"))
    frames = (*TRACE.frames[:3], replace(TRACE.frames[3], pc=text))
    found = stack_corruption(SMASHED, replace(TRACE, frames=frames))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["set"]
    assert "'EFORE-20'" in found.chain[1].claim


def test_clear_and_undecided() -> None:
    assert isinstance(stack_corruption(symptom(Kind.BUG), TRACE), Clear)
    assert isinstance(stack_corruption(SMASHED, backtrace()), Undecided)
    short = replace(TRACE, frames=TRACE.frames[:2])
    assert isinstance(stack_corruption(SMASHED, short), Undecided)
