"""What code comes to on the memory of a dump."""

from __future__ import annotations

import pytest
from handmade_code import ADDRESSES, NAMES, START, assemble, function

from oopsight.kernel.code_locks import Function
from oopsight.kernel.run_through import Flags, Machine, two

OBJECT, STACK = 0xFFFF888000001000, 0xFFFFC90000004000
INNER = START + 0x1400  # helper


def ran(*code: str, numbers: dict[int, int], inner: tuple[str, ...] | None = None) -> bool | None:
    """Whether code returns one, with the object in rbx and numbers of four bytes in it."""
    memory = bytearray(0x40)
    for offset, number in numbers.items():
        memory[offset : offset + 4] = number.to_bytes(4, "little")

    def read(address: int, size: int) -> bytes | None:
        offset = address - OBJECT
        return bytes(memory[offset : offset + size]) if 0 <= offset <= 0x40 - size else None

    one = function(*code)
    called = Function(assemble(*inner), INNER, NAMES.get) if inner is not None else None
    machine = Machine(
        lambda target: called.code if called is not None and target == INNER else None,
        lambda target: 0 if target == ADDRESSES["up"] else None,
        lambda _: False,
        read,
        {"rbx": OBJECT, "rsp": STACK},
    )
    end = machine.run(one.code, START, lambda _: False)
    return None if end is None else machine.registers.get("rax") == 1


# head - tail < 8
ROOM = ("8b4304 2b4308 83f807 0f96c0 0fb6c0 c3",)


@pytest.mark.parametrize(
    ("code", "numbers", "one"),
    [
        (ROOM, {4: 12, 8: 5}, True),
        (ROOM, {4: 13, 8: 5}, False),
        (ROOM, {4: 2, 8: 0xFFFFFFFE}, True),  # they count past their ends
        (("8b4304 a804 0f95c0 0fb6c0 c3",), {4: 4}, True),  # a bit
        (("837b0400 b801000000 7402 31c0 c3",), {4: 0}, True),
        (("837b0400 b801000000 7402 31c0 c3",), {4: 7}, False),
        (("53 b801000000 50 58 5b c3",), {}, True),  # push, pop
        (("31c0 ba01000000 837b0405 0f44c2 c3",), {4: 5}, True),  # cmove
        (("8b4304 c1e803 c3",), {4: 8}, True),
        (("8b4344 85c0 7400 c3",), {}, None),  # not in the dump
        (("85f6 7400 c3",), {}, None),  # of a register that is not known
        (("call up", "83c001 c3"), {}, True),
    ],
)
def test_what_it_comes_to(code: tuple[str, ...], numbers: dict[int, int], one: bool | None) -> None:
    assert ran(*code, numbers=numbers) is one


def test_a_function_that_is_called_is_gone_into() -> None:
    calls = ("4889df", "call helper", "c3")
    assert ran(*calls, numbers={4: 1}, inner=("8b4704 c3",)) is True
    assert ran(*calls, "85c0 7400 c3", numbers={4: 1}) is False


def test_numbers_below_zero() -> None:
    assert two("cmp", 0xFF, 1, 8)[1] == Flags(zero=False, sign=True, carry=False, overflow=False)
    assert two("add", 0x7F, 1, 8)[1] == Flags(zero=False, sign=True, carry=False, overflow=True)
    assert two("sar", 0x80, 1, 8)[0] == 0xC0


def test_a_number_with_a_sign_fills_the_register_that_is_named() -> None:
    # movsx eax,byte [rbx]: the upper half is zero; movsx rax,byte [rbx]
    for code, number in (("0fbe03", 0xFFFFFF80), ("480fbe03", 0xFFFFFFFFFFFFFF80)):
        one = function(f"{code} c3")
        machine = Machine(
            lambda _: None, lambda _: None, lambda _: False, lambda *_: b"\x80", {"rbx": OBJECT}
        )
        assert machine.run(one.code, START, lambda _: False) is not None
        assert machine.registers["rax"] == number


def test_what_is_not_shifted_may_be_any_number() -> None:
    assert two("cmp", 1, 1 << 62, 64)[1] is not None
    assert two("shl", 1, 1 << 62 | 3, 64)[0] == 8
