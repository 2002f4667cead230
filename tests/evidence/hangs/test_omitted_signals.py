"""What tells that a function went the way on which it does not signal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_code import ADDRESSES, NAMES, START, assemble, function
from handmade_facts import module as made_module
from handmade_session import Machine
from handmade_waits import call, stack

from oopsight.evidence import Address
from oopsight.evidence.hangs.omitted_signals import (
    _begun_anew,
    _Code,
    _seen,
    _Signal,
    _threads,
    counted_down,
    with_helpers,
)
from oopsight.evidence.hangs.waiting import Lock, Wait
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression
from oopsight.kernel.omissions import Mark, Omission

OBJECT = 0xFFFF888000001000
MODULE = made_module("drv", START, START + 0x1000, "O")
ERRORS = Mark(Expression("rdi", 0x28), 4, None)
RESULT = Mark(Expression("rdi", 0x2C), 4, 0xFFFFFFFB)
ELSEWHERE = Mark(Expression("rsi", 0x2C), 4, 7)
CLEARED = Mark(Expression("rdi", 0x2C), 4, 0)


@pytest.mark.parametrize(
    ("errors", "result", "marks", "seen"),
    [
        (3, 0xFFFFFFFB, (ERRORS, RESULT), 2),
        (1, 0, (ERRORS, RESULT), 1),  # another has written over the result since
        (0, 0, (ERRORS, RESULT), None),
        (0, 0, (ELSEWHERE,), 0),
        (0, 0, (CLEARED,), 0),  # it may have been so from the beginning
        (0, 5, (CLEARED,), None),
    ],
)
def test_what_only_such_a_way_stores_is_looked_for(
    errors: int, result: int, marks: tuple[Mark, ...], seen: int | None
) -> None:
    machine = Machine()
    numbers = errors.to_bytes(4, "little") + result.to_bytes(4, "little")
    machine.memory[OBJECT] = bytes(0x28) + numbers
    signal = _Signal(_Code(MODULE, "done", function("c3")), [], "rdi", OBJECT, exact=True)
    found = _seen(machine.session, Omission(0, acts=True, marks=marks), signal)
    assert (len(found) if found is not None else None) == seen
    assert _seen(machine.session, Omission(0, acts=False, marks=()), signal) is None


@pytest.mark.parametrize(
    ("code", "anew"),
    [
        # helper(object); object->done = 0; wait
        (("53 4889fb", "call helper", "c7432000000000", "call mutex_lock", "5b c3"), True),
        (("53 4889fb c7432000000000", "call helper", "call mutex_lock", "5b c3"), False),
        (("53 4889fb", "call helper", "c7432400000000", "call mutex_lock", "5b c3"), False),
        (("53 4889fb", "call up", "c7432000000000", "call mutex_lock", "5b c3"), False),
    ],
)
def test_what_is_begun_anew_after_it_was_set_going(code: tuple[str, ...], *, anew: bool) -> None:
    made = function(*code)
    (site,) = [row for row in made.code.values() if row.text == f"{ADDRESSES['mutex_lock']:#x}"]
    waiting = call(3, "fetch", pc=Address(site.end), offset=site.end - START)
    wait = Wait(stack(1, waiting), Lock("completion", Address(OBJECT + 0x20), None, within=0x20), 9)
    names = SimpleNamespace(function_at=NAMES.get)
    reader: Any = SimpleNamespace(function=lambda _: made, names=names)
    assert _begun_anew(reader, wait, {ADDRESSES["helper"]}) is anew


def test_who_has_a_function_signal() -> None:
    # finish(object): complete(object + 0x20), where helper() is
    body = assemble("488d7f20", "call complete", "c3")
    finish = _Code(MODULE, "finish", Function(body, ADDRESSES["helper"], NAMES.get))
    # irq(timer): if (esi) { errors++; return; } finish(timer - 0x40)
    irq = _Code(MODULE, "irq", function("85f6 740e 488d7fc0", "call helper", "c3 90 90 90 90"
                                        "83470401 c3"))  # fmt: skip
    other = _Code(MODULE, "other", function("c3"))
    signal = _Signal(finish, [ADDRESSES["helper"] + 4], "rdi", OBJECT, exact=True)
    found = list(with_helpers([finish, irq, other], [signal], lambda _: False))
    assert [one.code.name for one in found] == ["finish", "irq"]
    assert (found[1].base, found[1].begin) == ("rdi", OBJECT + 0x40 - 2**64)
    assert len(found[1].sites) == 1


def test_who_takes_the_last_reference_back_has_done_its_part() -> None:
    # put(object): lock dec [object]; jne out; complete(object + 0x20); out: ret
    put = function("f0ff0f 7509 488d7f20", "call complete", "c3")
    (site,) = [at for at, row in put.code.items() if row.text == f"{ADDRESSES['complete']:#x}"]
    assert counted_down(put, [site]) == [START]
    # A count that decides nothing.
    plain = function("ff4f10 90 90 90 90 85f6 7509 488d7f20", "call complete", "c3")
    (site,) = [at for at, row in plain.code.items() if row.text == f"{ADDRESSES['complete']:#x}"]
    assert counted_down(plain, [site]) == []


def test_who_has_another_do_what_is_due_with_the_last_reference() -> None:
    # release(object): complete(object + 0x20), where helper() is
    body = assemble("488d7f20", "call complete", "c3")
    release = _Code(MODULE, "release", Function(body, ADDRESSES["helper"], NAMES.get))
    # put(object), where up() is: if the last one, release(object)
    start = ADDRESSES["up"]
    distance = ADDRESSES["helper"] - (start + 10)
    code = bytes.fromhex("f0ff0f 7505 e8") + distance.to_bytes(4, "little", signed=True) + b"\xc3"
    put = _Code(MODULE, "put", Function(code, start, NAMES.get))
    audit = _Code(MODULE, "audit", function("85f6 7406", "call up", "c3 83470401 c3"))
    signal = _Signal(release, [ADDRESSES["helper"] + 4], "rdi", OBJECT, exact=True)
    found = {one.code.name: one for one in with_helpers([release, put, audit], [signal],
                                                        lambda _: False)}  # fmt: skip
    assert found["put"].sites[0] == start
    assert "audit" in found


def test_what_a_thread_runs() -> None:
    # lea rdi, [rip + 0x80]; kthread_create_on_node()
    start = _Code(MODULE, "start", function("488d3d80000000", "call helper", "c3"))
    names = {**NAMES, ADDRESSES["helper"]: "kthread_create_on_node"}
    reader: Any = SimpleNamespace(names=SimpleNamespace(function_at=names.get))
    assert list(_threads(reader, [start])) == [START + 0x87]
