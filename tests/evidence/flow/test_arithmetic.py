"""What went into an operation, against the operation itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oopsight.evidence.flow.arithmetic import BINARY, UNARY, compute, invert

NUMBERS = st.integers(0, (1 << 64) - 1)
SIZES = st.sampled_from([4, 8])


@given(st.sampled_from(sorted(BINARY)), NUMBERS, NUMBERS, st.sampled_from([0, 1]), SIZES)
def test_what_inversion_gives_makes_the_result_again(
    name: str, first: int, second: int, position: int, size: int
) -> None:
    inputs = (first, second)
    result = compute(name, inputs, size)
    found = invert(name, result, position, inputs[1 - position], size)
    if found is not None:
        assert found == inputs[position] & ((1 << 8 * size) - 1)
        again = (found, second) if position == 0 else (first, found)
        assert compute(name, again, size) == result


@given(st.sampled_from(sorted(UNARY)), NUMBERS, SIZES)
def test_operations_on_one_number_undo_themselves(name: str, number: int, size: int) -> None:
    found = invert(name, compute(name, (number,), size), 0, None, size)
    assert found == number & ((1 << 8 * size) - 1)


@pytest.mark.parametrize(
    ("name", "inputs", "size", "result"),
    [
        ("sub", (0, 1), 8, (1 << 64) - 1),
        ("sub", (0, 1), 4, (1 << 32) - 1),
        ("sar", ((1 << 64) - 16, 2), 8, (1 << 64) - 4),
        ("shr", (0xFFFFFFFF00000010, 4), 4, 1),
        ("shl", (1, 33), 4, 2),
        ("ror", (1, 1), 8, 1 << 63),
        ("imul", ((1 << 64) - 1, 24), 8, (1 << 64) - 24),
        ("bswap", (0x0102030405060708,), 8, 0x0807060504030201),
    ],
)
def test_as_the_cpu_computes(name: str, inputs: tuple[int, ...], size: int, result: int) -> None:
    assert compute(name, inputs, size) == result


@pytest.mark.parametrize("name", ["and", "or", "imul", "shl", "shr", "sar"])
def test_what_loses_bits_cannot_be_undone(name: str) -> None:
    assert invert(name, 0x10, 0, 3, 8) is None
