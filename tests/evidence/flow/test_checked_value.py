"""What a failed check had compared, on code assembled by hand."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import OBJECT, STACK, TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.flow import checked_value, follower
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.checked_value import CheckedValue, collect

MODULES = made.modules(made.module("rec", TEXT, TEXT + 0x1000, "O"))


def collected(
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    at: int,
    exception: str | None = None,
    **registers: int,
) -> Any:
    machine = Code(code)
    machine.words = {OBJECT + 8: 3}
    frame = PhysicalFrame(0, TEXT + at, STACK, registers, faulted=True)
    monkeypatch.setattr(checked_value, "calls", lambda *_: Calls(machine, [frame], {}))
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    division = code.startswith("f7")
    fault = made.fault(
        None,
        exception=exception or ("divide_error" if division else "invalid_op"),
        function="rec_stop",
        module="rec",
    )
    return collect(Machine().session, fault, made.backtrace(), MODULES)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        # cmp dword [rbx+8],1; jne 1f; ret; 1: ud2
        ("837b0801 7501 c3 0f0b", 7),
        # mov eax,[rbx+8]; cmp eax,1; jne 1f; ret; 1: nop; ud2
        ("8b4308 83f801 7501 c3 90 0f0b", 10),
    ],
)
def test_what_was_compared_with_a_constant(
    monkeypatch: pytest.MonkeyPatch, code: str, at: int
) -> None:
    found = collected(monkeypatch, code, at, rbx=OBJECT)
    assert isinstance(found, CheckedValue)
    assert [int(way.value or 0) for way in found.ways] == [3]
    assert found.alone


def test_what_was_compared_with_what_the_call_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    # cmp esi,[rbx+8]; jae 1f; ret; 1: ud2
    found = collected(monkeypatch, "3b7308 7301 c3 0f0b", 6, rbx=OBJECT, rsi=5)
    assert isinstance(found, CheckedValue)
    assert not found.alone


def test_the_divisor(monkeypatch: pytest.MonkeyPatch) -> None:
    # div dword [rbx+8]
    found = collected(monkeypatch, "f77308 c3", 0, rbx=OBJECT)
    assert isinstance(found, CheckedValue)


@pytest.mark.parametrize(
    ("code", "at"),
    [
        # cmp esi,1; jne 1f; ret; 1: ud2: nothing was kept
        ("83fe01 7501 c3 0f0b", 6),
        # je 1f; jne 1f; ret; 1: ud2: two ways lead there
        ("7403 7501 c3 0f0b", 5),
    ],
)
def test_else_nothing_is_said(monkeypatch: pytest.MonkeyPatch, code: str, at: int) -> None:
    assert isinstance(collected(monkeypatch, code, at, rbx=OBJECT, rsi=5), Missing)


@pytest.mark.parametrize(
    ("code", "at", "difference"),
    [
        ("8b7308 2b730c f7f6 c3", 6, True),  # mov esi,[rbx+8]; sub esi,[rbx+12]; div esi
        ("8b7308 83ee02 f7f6 c3", 6, False),  # sub esi,2
        ("8b7308 909090 f7f6 c3", 6, False),
    ],
)
def test_a_divisor_may_be_a_difference(
    monkeypatch: pytest.MonkeyPatch, code: str, at: int, difference: bool
) -> None:
    found = collected(monkeypatch, code, at, exception="divide_error", rbx=OBJECT, rsi=0)
    assert found.difference == difference


@pytest.mark.parametrize(
    ("code", "at", "wrong"),
    [
        ("837b0801 7701 c3 0f0b", 7, "high"),  # cmp dword [rbx+8],1; ja 1f; ret; 1: ud2
        ("837b0801 7602 0f0b c3", 6, "high"),  # jbe past the ud2
        ("837b0801 7201 c3 0f0b", 7, "low"),
        ("837b0801 7501 c3 0f0b", 7, ""),  # jne: other than one
        ("837b0800 7501 c3 0f0b", 7, "high"),  # other than zero
        ("837b0800 7502 0f0b c3", 6, "low"),  # zero
        ("8b4308 85c0 7801 c3 0f0b", 8, "low"),  # mov eax,[rbx+8]; test eax,eax; js 1f
        ("3b7308 7201 c3 0f0b", 6, "high"),  # cmp esi,[rbx+8]; jb 1f
    ],
)
def test_on_which_side_of_it_the_number_is_wrong(
    monkeypatch: pytest.MonkeyPatch, code: str, at: int, wrong: str
) -> None:
    found = collected(monkeypatch, code, at, rbx=OBJECT, rsi=5)
    assert found.wrong == (wrong,)


def test_a_caller_may_have_computed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a remainder, what was divided by is its limit.
    # cmp edx,[rdi+16]; jae 1f; ret; 1: ud2
    # mov eax,[rbx+12]; xor edx,edx; div dword [rbx+8]; call f0; ret
    machine = Code("3b5710 7301 c3 0f0b", "8b430c 31d2 f77308 e8f3efffff c3")
    machine.words = {OBJECT + 8: 12, OBJECT + 0x10: 8}
    frames = [
        PhysicalFrame(0, TEXT + 6, STACK, {"rdi": OBJECT, "rdx": 8, "rbx": OBJECT}, faulted=True),
        PhysicalFrame(1, machine.start(1) + 13, STACK + 8, {"rbx": OBJECT}, faulted=False),
    ]
    monkeypatch.setattr(checked_value, "calls", lambda *_: Calls(machine, frames, {}))
    monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(OBJECT + 8, "slab"))
    fault = made.fault(None, exception="invalid_op", function="rec_put", module="rec")
    found = collect(Machine().session, fault, made.backtrace(), MODULES)
    assert isinstance(found, CheckedValue)
    assert [int(way.value or 0) for way in found.ways] == [12, 8]
    assert found.alone


def test_a_count_of_what_a_list_should_have_had(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov eax,[rbx+0x20]; test eax,eax; je 1f; mov rdx,[rbx+8]; lea rax,[rbx+8]; cmp rdx,rax;
    # je 2f; 1: ret; 2: ud2
    code = "8b4320 85c0 740d 488b5308 488d4308 4839c2 7401 c3 0f0b"
    head = OBJECT + 8
    for value, count, found in ((head, 5, [head, 5]), (head + 64, 5, None)):
        machine = Code(code)
        machine.words = {head: value, OBJECT + 0x20: count}
        registers = {"rbx": OBJECT, "rdx": value, "rax": head}
        frame = PhysicalFrame(0, TEXT + 21, STACK, registers, faulted=True)
        trace = Calls(machine, [frame], {})
        monkeypatch.setattr(checked_value, "calls", lambda *_, trace=trace: trace)
        monkeypatch.setattr(follower, "owner_of", lambda *_: made.owner(head, "slab"))
        fault = made.fault(None, exception="invalid_op", function="rec_stop", module="rec")
        answer = collect(Machine().session, fault, made.backtrace(), MODULES)
        assert isinstance(answer, CheckedValue)
        if found is not None:
            assert [way.value for way in answer.ways] == found
            assert answer.wrong[-1] == "high"
        else:
            assert len(answer.ways) == 1


def test_a_count_that_went_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov eax,-1; lock xadd [rbx+8],eax; sub eax,1; js 1f; ret; 1: ud2
    code = "b8ffffffff f00fc14308 83e801 7801 c3 0f0b"
    found = collected(monkeypatch, code, 16, rbx=OBJECT)
    assert isinstance(found, CheckedValue)
    assert ([way.value for way in found.ways], found.wrong) == ([3], ("low",))
    # With jne, and with a number that was kept nowhere.
    assert isinstance(collected(monkeypatch, code.replace("7801", "7501"), 16, rbx=OBJECT), Missing)
    assert isinstance(collected(monkeypatch, "83e801 7801 c3 0f0b", 6, rbx=OBJECT), Missing)
