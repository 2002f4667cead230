"""The access behind a check of KASAN that failed itself, as GCC 12 writes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, frame
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault, collect
from oopsight.evidence.crash.kasan_check import OFFSET, checked_access, shadow_of

CODE = 0xFFFFFFFFC0400000
ACCESS = CODE + 12
CHECK = bytes.fromhex(
    "0fb60402"  # movzx eax, byte ptr [rdx + rax]
    "84c0"  # test al, al
    "7404"  # je ACCESS
    "3c03"  # cmp al, 3
    "7e04"  # jle, to the report
    "8b4708"  # ACCESS: mov eax, dword ptr [rdi + 8]
    "c3"
)
WILD = 0x2D2D2D2D2D2D2D2D


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.symbols = {0xFFFFFFFF81500000: ("kasan_report", 0x100)}
    made.memory[CODE] = CHECK.ljust(512, b"\xcc")
    return made


def registers(pointer: int) -> dict[str, int]:
    return {"rdi": pointer, "rdx": (pointer + 8) >> 3, "rax": OFFSET, "rip": CODE}


def found(machine: Machine, pointer: int, shadow: int | None = None) -> int | None:
    at = shadow_of(pointer + 8) if shadow is None else shadow
    row = checked_access(machine.session, CODE, registers(pointer), at)
    return row.address if row is not None else None


@pytest.mark.parametrize("pointer", [0, 0x100, WILD, 0xFFFFFFFFFFFFFFF4 - 8])
def test_the_access_that_was_to_follow(machine: Machine, pointer: int) -> None:
    assert found(machine, pointer) == ACCESS


def test_a_check_that_goes_round_the_report(machine: Machine) -> None:
    """The access may come before the check in memory."""
    machine.memory[CODE] = bytes.fromhex("0fb60402" + "84c0" + "74f5").ljust(512, b"\xcc")
    machine.memory[CODE - 3] = bytes.fromhex("8b4708").ljust(300, b"\xcc")
    assert found(machine, 0) == CODE - 3


def test_what_is_no_check(machine: Machine) -> None:
    assert found(machine, 0, shadow=0x38) is None
    assert found(machine, 0, shadow=shadow_of(0x4000)) is None  # of another address
    machine.symbols = {}
    assert found(machine, 0) is None  # a kernel without KASAN


def test_code_that_is_not_in_the_dump(machine: Machine) -> None:
    machine.memory.clear()
    assert found(machine, 0) is None


def collected(machine: Machine, pointer: int, monkeypatch: pytest.MonkeyPatch) -> Fault:
    monkeypatch.setattr("oopsight.evidence.crash.fault._unmapped", lambda *_: None)
    faulted = replace(frame(1, "crane_lift", Role.FAULT), pc=Address(CODE))
    known = tuple((name, Address(value)) for name, value in registers(pointer).items())
    made = Backtrace((faulted,), known, interrupted=True, exception=GENERAL_PROTECTION)
    fault = collect(machine.session, made, ABSENT)
    assert isinstance(fault, Fault)
    return fault


def test_a_null_pointer_is_told_as_the_page_fault_that_it_would_have_been(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = collected(machine, 0, monkeypatch)
    assert (fault.exception, fault.address, fault.access) == (PAGE_FAULT, 8, "read")
    assert (fault.pc, fault.check) == (ACCESS, CODE)
    assert fault.instruction == "mov eax, dword ptr [rdi + 8]"


def test_a_wild_pointer_stays_what_it_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = collected(machine, WILD, monkeypatch)
    assert (fault.exception, fault.address, fault.check) == (GENERAL_PROTECTION, None, CODE)
    assert fault.operand is not None
    assert fault.operand.base_value == WILD
