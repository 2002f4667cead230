"""The access behind a check of KASAN that failed itself, as GCC 12 writes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, frame, log
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import KASAN, Backtrace, Role
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault, collect
from oopsight.evidence.crash.kasan_check import (
    OFFSET,
    checked_access,
    refused,
    reported_access,
    reported_address,
    shadow_of,
)

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


REPORT = (
    "BUG: KASAN: null-ptr-deref in crane_lift+0x9/0x10 [wharf]",
    "Read of size 4 at addr 0000000000000008 by task init/1",
)


def test_the_address_that_was_reported() -> None:
    assert reported_address(log(*REPORT)) == 8
    freed = "BUG: KASAN: slab-use-after-free in crane_lift+0x9/0x10 [wharf]"
    assert reported_address(log(freed, "Read of size 4 at addr ff11000000b4da00 by task")) is None
    assert reported_address(log(*REPORT, freed, REPORT[1])) is None  # another came after it
    assert reported_address(log(REPORT[1])) is None
    assert reported_address(ABSENT) is None


@pytest.mark.parametrize(
    ("names", "position"),
    [
        (("panic", "end_report", "kasan_report", "crane_lift", "crane_write"), 3),
        (("panic", "kasan_report", "kasan_check_range", "__asan_memcpy", "crane_lift"), 4),
        (("panic", "crane_lift"), None),
        (("panic", "kasan_report"), None),
    ],
)
def test_whose_access_it_was(names: tuple[str, ...], position: int | None) -> None:
    assert refused(names) == position


def test_the_access_behind_the_call_that_checked_it(machine: Machine) -> None:
    """The address is in a register that calls keep: mov eax, dword ptr [rbx]."""
    machine.memory[CODE] = bytes.fromhex("8b4304" + "8b03" + "5b" + "c3").ljust(512, b"\xcc")
    row = reported_access(machine.session, CODE, {"rbx": WILD}, WILD)
    assert row is not None
    assert row.text == "mov eax, dword ptr [rbx]"
    assert reported_access(machine.session, CODE, {"rbx": 0}, WILD) is None


def test_what_was_reported_is_told_as_what_it_would_have_been(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oopsight.evidence.crash.fault._unmapped", lambda *_: None)
    machine.memory[CODE] = bytes.fromhex("8b4308" + "5b" + "c3").ljust(512, b"\xcc")
    stopped = replace(frame(3, "crane_lift", Role.FAULT), pc=Address(CODE))
    known = (("rbx", Address(0)),)
    path = Backtrace((stopped,), known, interrupted=True, exception=KASAN)
    fault = collect(machine.session, path, log(*REPORT))
    assert isinstance(fault, Fault)
    assert (fault.exception, fault.address, fault.check) == (PAGE_FAULT, 8, CODE)
