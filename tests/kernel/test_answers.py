"""What functions return, and whether that is looked at."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.answers import answer_in, assign_with_numbers, is_looked_at
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
