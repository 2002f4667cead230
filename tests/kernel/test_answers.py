"""What functions return, and whether that is looked at."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.answers import (
    answer_in,
    assign_with_numbers,
    can_fail,
    is_looked_at,
    is_lost,
)
from oopsight.kernel.machine_code import Expression, Registers


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("85c0 c3", True),  # test eax,eax
        ("31c0 c3", False),  # xor eax,eax
        ("4889c3 c3", True),  # mov rbx,rax
        ("c3", False),
    ],
)
def test_whether_it_is_looked_at(code: str, found: bool) -> None:
    one = function("call helper", code)
    assert is_looked_at(one, one.code[START]) is found


def test_numbers_of_half_a_word() -> None:
    registers: Registers = {}
    for row in function(
        "31db bb09000000 89d8"
    ).code.values():  # xor ebx,ebx; mov ebx,9; mov eax,ebx
        assign_with_numbers(row, registers)
    assert answer_in(registers) == 9
    assert answer_in({"rax": Expression("rdi", 0)}) is None


@pytest.mark.parametrize(
    ("code", "lost"),
    [
        ("31c0 c3", True),
        ("89d8 c3", True),  # mov eax,ebx
        ("c3", False),  # it is returned in turn
        ("85c0 c3", False),
    ],
)
def test_an_answer_that_nobody_hears(code: str, lost: bool) -> None:
    one = function("call helper", code)
    assert is_lost(one, one.code[START]) is lost


def test_who_has_an_error_to_return() -> None:
    assert can_fail(function("b8f4ffffff c3"))  # mov eax,-12
    assert not can_fail(function("b80c000000 c3"))
    assert not can_fail(function("c70712000000 c3"))
