"""A bit that is waited for, in code as compilers make it."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, function
from handmade_waits import LOCK_A, call, stack

from oopsight.evidence import Address
from oopsight.evidence.hangs.bit_wait import ClearBit, cleared_by, clears, waited_at, wakes_bit
from oopsight.evidence.hangs.missed_wake import Change, Waking, by_waking
from oopsight.evidence.hangs.waiting import Lock, Wait
from oopsight.evidence.modules.modules import Module
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import MASK, Expression

WORD = 0xFFFF888000001018
MODULE = Module("drv", Address(START), ((Address(START), Address(START + 0x4000)),), "O")
WAIT = Wait(stack(1, call(3, "settle")), Lock("bit", LOCK_A, None, bit=9), 9.0)


def bit(number: int = 9, **changes: object) -> ClearBit:
    one = ClearBit(WAIT, MODULE, WORD, number, bytes(8), frozenset({0x18}), {})
    return one._replace(**changes)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("f0806719fd", True),  # lock and byte ptr [rdi + 0x19], 0xfd
        ("f0806718fd", False),  # of the byte before
        ("f0806719fe", False),  # of another bit
        ("f0804f1902", False),  # lock or
        ("f0480fba771809", True),  # lock btr qword ptr [rdi + 0x18], 9
        ("f0480fba771808", False),
        ("f0480fba6f1809", False),  # lock bts
        ("f0480fb37718", True),  # lock btr qword ptr [rdi + 0x18], rsi
        ("48816718fffdffff", True),  # and qword ptr [rdi + 0x18], ~0x200
        ("48c7471800000000", True),  # mov qword ptr [rdi + 0x18], 0
        ("c7471800020000", False),  # mov dword ptr [rdi + 0x18], 0x200
        ("48897718", False),  # mov [rdi + 0x18], rsi
        ("f0806721fd", False),  # of another field
        ("80642419fd", False),  # of the own stack
    ],
)
def test_what_clears_a_bit(code: str, found: bool) -> None:
    assert bool(list(cleared_by(function(code, "c3"), bit()))) is found


def test_a_handler_is_given_a_member_of_the_object() -> None:
    # lock and byte ptr [rdi - 8], 0xfe, of a timer 8 bytes behind the word
    handler = function("f08067f8fe", "c3")
    assert not list(cleared_by(handler, bit(0)))
    assert list(cleared_by(handler, bit(0, handlers={START: frozenset((-8 & MASK,))})))
    assert not list(cleared_by(handler, bit(0, handlers={START: frozenset((8,))})))
    assert not list(cleared_by(handler, bit(0, handlers={START + 0x100: frozenset((-8 & MASK,))})))


def test_what_is_not_known_to_clear_it() -> None:
    one = function("f0217718 c3")  # lock and dword ptr [rdi + 0x18], esi
    row = one.code[START]
    assert not clears(row, one.registers(START), 9)
    assert clears(row, {"rsi": Expression("", 0)}, 9)
    assert not clears(row, {"rsi": Expression("", 0)}, 40)


def test_the_code_that_waits_tells_where_the_word_is() -> None:
    waiting = function("4883c718", "call out_of_line_wait_on_bit_lock", "c3")
    assert waited_at(waiting, NAMES.get) == [Expression("rdi", 0x18)]


def test_who_clears_it_has_to_wake_for_the_same_bit() -> None:
    clear = "f0806719fd 4883c718"
    loud = function(clear, "be09000000", "call wake_up_bit", "c3")
    other = function(clear, "be08000000", "call wake_up_bit", "c3")
    queue = function(clear, "call __wake_up", "c3")
    for one, silent in ((loud, False), (other, True), (queue, True)):
        assert bool(sorted_out(one)[0]) is silent


def sorted_out(one: Function) -> tuple[tuple[str, ...], tuple[str, ...]]:
    changes = [Change("moved", one, row.end) for row in cleared_by(one, bit())]
    code = [("moved", one)]
    return by_waking(code, changes, Waking(wakes_bit(WORD, 9), code, NAMES.get))


def test_where_the_arguments_of_a_wake_are() -> None:
    wakes = wakes_bit(WORD, 9)
    word, nine, eight = Expression("", WORD), Expression("", 9), Expression("", 8)
    assert wakes("wake_up_bit", {"rdi": word, "rsi": nine})
    assert wakes("__wake_up_bit", {"rdi": eight, "rsi": word, "rdx": nine})
    assert not wakes("__wake_up_bit", {"rsi": word, "rdx": eight})
    assert wakes("clear_and_wake_up_bit", {"rdi": nine, "rsi": word})
    assert not wakes("clear_and_wake_up_bit", {"rdi": eight})
    assert not wakes("wake_up_bit", {"rdi": word.plus(8), "rsi": nine})
    assert wakes("wake_up_bit", {})


def test_a_variable_is_told_by_its_address() -> None:
    assert bit().may_be(function("c3"), Expression("", WORD))
    assert not bit().may_be(function("c3"), Expression("", 0x18))
