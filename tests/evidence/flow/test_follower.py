"""Handlers that the kernel had called before it came to the fault, on code assembled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from handmade_machine import OBJECT, STACK, Machine

from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.data_flow import _that_jumped_on
from oopsight.evidence.flow.follower import Follower

OPERATIONS = OBJECT + 0x1000
# f0: ud2   f1: call f3; mov rdi,rax; mov rsi,rbx; call f2; mov rdi,rbx; call f0
# f2: mov rax,[rsi+0x10]; sub rsp,8; call [rax+8]; add rsp,8; ret   f3, f4: ret
FREES = "0f0b"
SENDS = "e8fb1f0000 4889c7 4889de e8f00f0000 4889df e8e8efffff 90"
DISPATCHES = "488b4610 4883ec08 ff5008 4883c408 c3"


def calls(machine: Machine, *callers: tuple[int, int, dict[str, int]]) -> Calls:
    frames = [PhysicalFrame(0, machine.start(0), STACK, {"rdi": OBJECT}, faulted=True)]
    for index, (number, offset, registers) in enumerate(callers, 1):
        pc, sp = machine.start(number) + offset, STACK + 64 * index
        frames.append(PhysicalFrame(index, pc, sp, registers, faulted=False))
    return Calls(machine, frames, {})


def follower(machine: Machine, found: Calls) -> Follower:
    def owner(address: int) -> Any:
        return SimpleNamespace(name="drv") if address == machine.start(4) else None

    namer = SimpleNamespace(module=lambda _: None, modules=SimpleNamespace(owner=owner))
    return Follower(cast("Any", None), cast("Any", namer), found)


def test_a_handler_that_a_function_had_called_which_has_returned() -> None:
    machine = Machine(FREES, SENDS, DISPATCHES, "c3", "c3")
    machine.words |= {OBJECT + 0x10: OPERATIONS, OPERATIONS + 8: machine.start(4)}
    found = follower(machine, calls(machine, (1, 0x18, {"rbx": OBJECT})))
    assert found.called_back() == ()
    (handler,) = found.called_within(OBJECT)
    assert (handler.function, handler.module) == ("f4", "drv")


def test_what_was_handed_something_else_is_not_looked_into() -> None:
    # As f1, with mov rdi,rbx; nop in place of mov rdi,rax.
    machine = Machine(FREES, SENDS.replace("4889c7", "4889df"), DISPATCHES, "c3", "c3")
    machine.words |= {OBJECT + 0x10: OPERATIONS, OPERATIONS + 8: machine.start(4)}
    found = follower(machine, calls(machine, (1, 0x18, {"rbx": OBJECT})))
    assert found.called_within(OBJECT + 0x100) == ()


@pytest.mark.parametrize("indirect", [True, False])
def test_who_was_called_through_a_pointer_and_jumped_on(indirect: bool) -> None:
    # f0: ud2   f1: mov rdi,[rdi+8]; jmp f0   f2: call [rbx+0x10], or f1 by its name
    by_pointer, by_name = "ff5310 90 c3", "e8fbefffff c3"
    machine = Machine(FREES, "488b7f08 e9f7efffff", by_pointer if indirect else by_name)
    machine.words |= {OBJECT + 0x10: machine.start(1)}
    found = calls(machine, (2, 3 if indirect else 5, {"rbx": OBJECT}))
    between = _that_jumped_on(found, 1)
    # What the call names, the trace finds by itself.
    assert (between is not None and between.function.name) == ("f1" if indirect else False)
