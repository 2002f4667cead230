"""Readers that wait for a writer of a seqlock who has gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as facts
import pytest
from handmade_code import START, function
from handmade_session import Machine
from handmade_waits import call, cpu, cpus, held, stack, task

from oopsight.cheap import replace
from oopsight.evidence import Address, Missing
from oopsight.evidence.hangs import odd_sequence
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.odd_sequence import OddSequences, collect
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.kernel.code_locks import Function

AT = 0xFFFFFFFFC0008000
# pause; mov edx, [rip + 0x100]; test dl, 1; jne to the pause
WAITS = "f390 8b1500010000 f6c201 75f3 c3"
# the same, but until it is not zero: test edx, edx; je
POLLS = "f390 8b1500010000 85d2 74f4 c3"
LOOP = LoopState(
    task(1),
    "now",
    ModulePointer("drv", loaded=True, base=None),
    by_itself=False,
    stands_still=True,
    fields=(BytesPointer(Address(AT), "03000000"),),
    names=(),
    replaces=(),
    advances=(),
)
READER = cpu(0, stack(1, call(0, "now", pc=START + 2, offset=2, in_loop=True), state="R"))


def found(
    monkeypatch: pytest.MonkeyPatch,
    code: str = WAITS,
    state: LoopState = LOOP,
    lock: str = "01000000",
    others: tuple[Any, ...] = (),
) -> list[int] | None:
    """The locks."""
    names = SimpleNamespace(within=lambda _: None)
    reader = SimpleNamespace(function=lambda _: function(code), names=names)
    monkeypatch.setattr(odd_sequence, "StackReader", lambda *_: reader)
    memory = {AT + 4: bytes.fromhex(lock)}
    session: Any = SimpleNamespace(prog=SimpleNamespace(read=lambda at, _: memory[at]))
    told = collect(session, LoopStates((state,)), cpus(READER, *others), facts.modules())
    if isinstance(told, Missing):
        return None
    assert isinstance(told, OddSequences)
    return [int(one.lock.address) for one in told.found if one.lock is not None]


def test_the_number_is_odd_and_the_lock_behind_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch) == [AT + 4]
    # test byte ptr [rip + 0x100], 1
    assert found(monkeypatch, code="f390 f6050001000001 75f5 c3") == [AT + 4]
    assert found(monkeypatch, lock="00000000") == []
    even = replace(LOOP, fields=(BytesPointer(Address(AT), "02000000"),))
    assert found(monkeypatch, state=even) == []


# now(), which waits for the number at 4: pause; mov edx, [rdi + 4]; test dl, 1; jne; ret
NOW = "f390 8b5704 f6c201 75f6 c3"
# add [rdi + 4], 1; if (esi < 0) goto 1; add [rdi + 4], 1; 1: ret
TRIM = "83470401 85f6 7804 83470401 c3"
SLEW = "83470401 83470401 c3"


def test_a_count_without_a_lock_that_is_left_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    code = {START: NOW, START + 0x100: TRIM, START + 0x200: SLEW}
    names = SimpleNamespace(within=lambda _: 0x2C)
    made = {at: Function(bytes.fromhex(one), at, lambda _: None) for at, one in code.items()}
    monkeypatch.setattr(
        odd_sequence, "StackReader", lambda *_: SimpleNamespace(function=made.get, names=names)
    )
    rows = [("trim", START + 0x100, b""), ("slew", START + 0x200, b"")]
    monkeypatch.setattr(odd_sequence, "machine_code", lambda *_: rows)
    machine = Machine()
    machine.memory[AT + 4] = bytes(4)
    reading = cpu(0, stack(1, call(0, "now", pc=START, offset=0, in_loop=True), state="R"))
    drv = facts.modules(facts.module("drv", START, START + 0x800, "OE"))
    told = collect(machine.session, LoopStates((LOOP,)), cpus(reading), drv)
    assert isinstance(told, OddSequences)
    assert [(one.lock, one.left_by) for one in told.found] == [(None, ("trim",))]


def test_a_loop_that_does_not_wait_for_an_even_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, code=POLLS) == []
    assert found(monkeypatch, state=replace(LOOP, stands_still=False)) == []


def test_somebody_may_be_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = call(0, "slew", holds=(held(AT + 4, "spinlock"),))
    assert found(monkeypatch, others=(cpu(1, stack(2, writer)),)) is None
    assert found(monkeypatch, others=(cpu(1, stack(2)),)) is None
    assert found(monkeypatch, others=(cpu(1, stack(2), idle=True),)) == [AT + 4]
