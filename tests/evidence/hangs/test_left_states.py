"""Who brought about a state that a task waits to be left."""

from __future__ import annotations

import pytest
from handmade_code import function

from oopsight.evidence.hangs.conditions import Looked, NumberAt
from oopsight.evidence.hangs.left_states import numbers_set, who_sets
from oopsight.kernel.machine_code import Expression

IDLE, MOVING, LOCKED = 0, 1, 2


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        ("c7473801000000 c3", {MOVING}),  # mov dword ptr [rdi + 0x38], 1
        ("31c0 894738 c3", {IDLE}),  # xor eax, eax; mov [rdi + 0x38], eax
        ("c7473801000000 85f6 7407 c7473800000000 c3", {MOVING, IDLE}),
        ("c7473401000000 c3", set()),  # another member
        ("c6473801 c3", set()),  # of another size
        ("897738 c3", set()),  # what it is told
    ],
)
def test_the_numbers_that_a_function_sets(code: str, numbers: set[int]) -> None:
    looking = function("837f3800 7401 90 c3")
    at = NumberAt(0x1050, Expression("rdi", 0x38), 0x18)
    looked = Looked(looking.code[looking.start], at, MOVING.to_bytes(4, "little"))
    assert numbers_set(function(code), looked, lambda _: None) == numbers


@pytest.mark.parametrize(
    ("setting", "who"),
    [
        ({"open": {MOVING}, "shut": {MOVING, IDLE}, "motor": {IDLE}}, ("open",)),
        ({"open": {MOVING}, "motor": {IDLE}, "lock": {LOCKED}}, ("open",)),
        ({"open": {MOVING, IDLE}, "motor": {IDLE}}, ("open",)),
        # Nobody ever sets anything else there.
        ({"open": {MOVING}, "shut": {MOVING}}, ()),
        ({"motor": {IDLE}}, ()),
    ],
)
def test_who_sets_it_and_not_back(setting: dict[str, set[int]], who: tuple[str, ...]) -> None:
    known = {name: frozenset(numbers) for name, numbers in setting.items()}
    assert who_sets(known, MOVING) == who
