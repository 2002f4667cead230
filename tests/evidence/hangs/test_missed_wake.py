"""Who makes a condition true, and whether somebody is woken after that."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, assemble
from handmade_code import function as made
from handmade_waits import LOCK_A, call, lock, stack

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.hangs.conditions import Condition, Looked, NumberAt, looked_at
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

QUEUE = 0xFFFFFFFFC0003000
COUNT = 0x18
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
