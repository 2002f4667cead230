"""Which comparison led to a trap."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.conditions import condition


@pytest.mark.parametrize(
    ("parts", "offset", "text", "registers"),
    [
        # cmp esi, edi; jb trap; ret; trap: ud2
        (("39fe", "7201", "c3", "0f0b"), 5, "esi < (unsigned) edi", ("rsi", "rdi")),
        # cmp eax, 8; jbe past; ud2; past: ret
        (("83f808", "7602", "0f0b", "c3"), 5, "eax > (unsigned) 8", ("rax",)),
        # test rdi, rdi; jne past; mov rsi, rax; ud2; past: ret
        (("4885ff", "7505", "4889c6", "0f0b", "c3"), 8, "rdi == 0", ("rdi",)),
        # test edi, edi; js trap; ret; trap: ud2
        (("85ff", "7801", "c3", "0f0b"), 5, "edi is negative", ("rdi",)),
    ],
)
def test_the_comparison_is_told(
    parts: tuple[str, ...], offset: int, text: str, registers: tuple[str, ...]
) -> None:
    found = condition(function(*parts), START + offset)
    assert found is not None
    assert (found.text, found.registers) == (text, registers)


def test_a_register_that_was_changed_since_is_no_proof() -> None:
    # cmp eax, 8; jbe past; mov eax, 1; ud2; past: ret
    found = condition(function("83f808", "7607", "b801000000", "0f0b", "c3"), START + 10)
    assert found is not None
    assert found.registers == ()


def test_a_place_reached_in_two_ways_or_unconditionally_has_none() -> None:
    # test edi, edi; je trap; cmp esi, edi; jb trap; ret; trap: ud2
    two = function("85ff", "7405", "39fe", "7201", "c3", "0f0b")
    assert condition(two, START + 9) is None
    assert condition(function("90", "0f0b"), START + 1) is None
