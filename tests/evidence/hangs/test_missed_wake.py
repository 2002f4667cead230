"""Who makes a condition true, and whether somebody is woken after that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_code import NAMES, START, assemble
from handmade_code import function as made
from handmade_session import Machine
from handmade_waits import LOCK_A, call, lock, stack

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.hangs.conditions import Condition, Looked, NumberAt, by_running, looked_at
from oopsight.evidence.hangs.goes_on import GoesOn
from oopsight.evidence.hangs.missed_wake import (
    Change,
    Waking,
    awaited,
    by_waking,
    changes_of,
    decisive,
    wakes_queue,
)
from oopsight.evidence.hangs.waiting import Wait
from oopsight.evidence.modules.modules import Module
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression

QUEUE = 0xFFFFFFFFC0003000
COUNT = 0x18
RING = 0xFFFF888000001000
# wait_event(queue, !object->count): 1: call helper (schedule); mov eax, [rbx + 0x18]; test; jne 1b
WAITING = made("53 4889fb", "call helper", "8b4318 85c0 75f4 5b c3")
RETURN = START + 9
MODULE = Module("drv", Address(START), ((Address(START), Address(START + 0x4000)),), "O")
WAKE = ("48c7c7003000c0 be03000000", "call __wake_up", "c3")


def condition(number: int) -> Condition:
    waiting = call(3, "wait_ready", pc=Address(RETURN))
    ((row, where),) = looked_at(WAITING, RETURN)
    at = NumberAt(0xFFFF888000001018, where, 0)
    looked = Looked(row, at, number.to_bytes(4, "little"))
    wait = Wait(stack(1, waiting), lock(LOCK_A, kind="event"), 9.0)
    return Condition(wait, waiting, MODULE, WAITING, (looked,))


def at(start: int, *parts: str) -> Function:
    """A function elsewhere, that calls nothing by its distance."""
    return Function(assemble(*parts), start, NAMES.get)


def test_by_a_number_that_is_there_the_task_would_go_on() -> None:
    assert decisive(condition(0), NAMES.get) is not None
    assert decisive(condition(2), NAMES.get) is None


def test_what_comes_after_the_wait_is_another_one() -> None:
    # for (;;) wait_event(queue, !object->count)
    endless = made("53 4889fb", "call helper", "8b4318 85c0 75f4", "call finish_wait", "ebed 5b c3")
    one = replace(condition(0), function=endless)
    assert decisive(one, NAMES.get) is not None
    assert decisive(one, {}.get) is None


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("f0ff4f18", True),  # lock dec
        ("f0ff4718", False),  # lock inc
        ("c7471800000000", True),  # mov dword ptr [rdi + 0x18], 0
        ("c7471801000000", False),
        ("48c7471800000000", False),  # of another size
        ("894718", True),  # mov [rdi + 0x18], eax
        ("83671801", True),  # and
        ("836718fe", True),  # and …, ~1: it was one before
        ("836f1801", True),  # sub
        ("834f1801", False),  # or
        ("0fba771800", True),  # btr …, 0
        ("837f1801", False),  # cmp
        ("f0ff4f1c", False),  # of another field
    ],
)
def test_what_makes_the_condition_true(code: str, found: bool) -> None:
    (looked,) = condition(0).looks
    one = made(code, "c3")
    told = changes_of("f", one, looked, awaited(WAITING, looked), lambda _: [])
    assert bool(list(told)) is found


def sorted_out(*code: tuple[str, Function]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    changes = [
        Change(name, function, row.end)
        for name, function in code
        for row in function.code.values()
        if row.mnemonic == "dec"
    ]
    return by_waking(list(code), changes, Waking(wakes_queue(QUEUE), list(code), NAMES.get))


def test_those_that_wake_nobody_after_it_come_first() -> None:
    loud = made("f0ff4f18 7401 c3", *WAKE)
    silent = at(START + 0x200, "f0ff4f18 c3")
    assert sorted_out(("done", loud), ("cancel", silent)) == (("cancel",), ("done",))
    # It wakes before it, or another queue, or who can be interrupted.
    for parts in (
        (*WAKE[:2], "f0ff4f18 c3"),
        ("f0ff4f18 48c7c7004000c0 be03000000", "call __wake_up", "c3"),
        ("f0ff4f18 48c7c7003000c0 be01000000", "call __wake_up", "c3"),
    ):
        assert sorted_out(("f", made(*parts))) == (("f",), ())


def test_a_function_that_leaves_the_waking_to_its_callers_is_not_silent() -> None:
    put = at(START + 0x1400, "f0ff4f18 c3")  # where helper() is
    loud = made("call helper", *WAKE)
    quiet = made("call helper", "c3")
    assert sorted_out(("put", put), ("done", loud)) == ((), ("put",))
    assert sorted_out(("put", put), ("done", loud), ("cancel", quiet)) == (("cancel",), ())
    assert sorted_out(("put", put), ("cancel", quiet)) == (("put",), ())


def test_a_function_of_the_module_may_wake_for_another() -> None:
    notify = at(
        START + 0x1400, "e9" + (START + 0x2400 - START - 0x1405).to_bytes(4, "little").hex()
    )
    assert sorted_out(("notify", notify), ("done", made("f0ff4f18", "call helper", "c3"))) == (
        (),
        ("done",),
    )


def test_another_queue_of_the_same_object_is_no_waking() -> None:
    wakes = wakes_queue(None)
    here = Expression("rdi", 0x48)
    other = {"rdi": Expression("rdi", 0x30), "rsi": Expression("", 3)}
    assert not wakes("__wake_up", other, here)
    assert wakes("__wake_up", {**other, "rdi": here}, here)
    assert wakes("__wake_up", {**other, "rdi": Expression("rsi", 0x30)}, here)
    assert wakes("__wake_up", other, None)


# wait_event(queue, object->head - object->tail < 8): 1: call helper (schedule); mov eax, [rbx + 4];
# sub eax, [rbx + 8]; cmp eax, 7; ja 1b
ROOM = made("53 4889fb", "call helper", "8b4304 2b4308 83f807 77f0 5b c3")


def ring(head: int, tail: int) -> Condition:
    machine = Machine()
    numbers = (0, head, tail, 0)
    machine.memory[RING] = b"".join(number.to_bytes(4, "little") for number in numbers)
    waiting = call(3, "submit", pc=Address(RETURN))
    wait = Wait(stack(1, waiting), lock(RING + 0x48, kind="event"), 9.0)
    reader: Any = SimpleNamespace(
        names=SimpleNamespace(code=lambda _: ("submit", START, 0), function_at=NAMES.get),
        function=lambda _: ROOM,
        read_memory=machine.read,
    )
    goes_on = GoesOn(reader, MODULE, ROOM, RETURN, {"rbx": RING})
    return Condition(wait, waiting, MODULE, ROOM, (), goes_on)


def test_a_condition_of_two_numbers_is_carried_out() -> None:
    def read(address: int, size: int) -> bytes | None:
        return bytes((12, 0, 0, 0)) if address > RING and size == 4 else None

    assert by_running(ring(13, 5), read) == []  # there is no room: it waits rightly
    pairs = by_running(ring(12, 12), read)
    assert [looked.at.address - RING for looked, _ in pairs] == [4, 8]
    _, (tail, would) = pairs
    assert [would(number) for number in (4, 5, 12, 13)] == [False, True, True, False]
    # The tail that is 12 by now was 4 once.
    consume = made("83470801 c3")
    (change,) = changes_of("consume", consume, tail, would, lambda _: [])
    assert (change.place, change.queue) == (Expression("rdi", 8), Expression("rdi", 0x48))
