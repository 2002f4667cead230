"""What a place is computed of, and the limits of a number in it, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import Machine as Code

from oopsight.evidence.corruption.index_limits import IndexLimits, Limits, Root, answered, sum_of
from oopsight.evidence.flow.calls import Calls

TABLE, INDEX = ("entered", "rdi"), ("entered", "rsi")


@pytest.mark.parametrize(
    ("code", "number", "terms"),
    [
        # lea rax,[rsi+rsi*2]; mov [rdi+rax*8+0x18],edx
        ("488d0476 8954c718", 0x18, {TABLE: 1, INDEX: 24}),
        # imul rax,rsi,0x28; mov [rdi+rax],edx
        ("486bc628 891407", 0, {TABLE: 1, INDEX: 0x28}),
        # mov rax,rsi; shl rax,4; add rax,rdi; mov [rax-8],edx
        ("4889f0 48c1e004 4801f8 8950f8", -8, {TABLE: 1, INDEX: 16}),
        # mov rax,rdi; sub rax,rsi; mov [rax],edx
        ("4889f8 4829f0 8910", 0, {TABLE: 1, INDEX: -1}),
        # mov eax,5; mov [rdi+rax*4],edx
        ("b805000000 891487", 20, {TABLE: 1}),
    ],
)
def test_what_a_place_is_computed_of(code: str, number: int, terms: dict[Root, int]) -> None:
    machine = Code(f"{code} c3")
    calls = Calls(machine, (), {})
    function = calls.function(machine.start(0))
    assert function is not None
    at = len(function.instructions) - 2
    memory = function.instructions[at].operands[0].memory
    assert memory is not None
    assert sum_of(calls, function, memory, at) == (number, terms)


def limits(*functions: str) -> Limits:
    """Of the second argument of the first function."""
    machine = Code(*functions)
    calls = Calls(machine, (), {})
    asked = IndexLimits(calls, [machine.start(number) for number in range(len(functions))])
    function = calls.function(machine.start(0))
    assert function is not None
    return asked.of(function, INDEX)


def test_the_limits_of_a_number() -> None:
    # cmp rsi,7; ja: unsigned, and so none below zero; jg: signed
    assert limits("4883fe07 7701 90 c3") == Limits(0, 7)
    assert limits("4883fe07 7f01 90 c3") == Limits(None, 7)
    # cmp rsi,8; jae
    assert limits("4883fe08 7301 90 c3") == Limits(0, 7)
    # With something between that sets the flags: add eax,1
    assert limits("4883fe07 83c001 7701 90 c3") == Limits(None, None, known=False)
    # cmp rsi,rdx: what lets pass by another number is a limit all the same
    assert limits("4839d6 7d01 90 c3") == Limits(None, 0)


def test_who_hands_a_number_over_is_asked() -> None:
    bare = "c3"
    # mov esi,5; call; ret
    five = "be05000000 e8f6efffff c3"
    assert limits(bare, five) == Limits(5, 5)
    # lea rsi,[rsi+2]; call; ret, of which nobody is known to call that one
    two_more = "488d7602 e8f7efffff c3"
    assert limits(bare, two_more) == Limits(None, None, known=False)
    # cmp rsi,7; ja past the call; lea rsi,[rsi+2]; call; ret
    checked = "4883fe07 7709 488d7602 e8f1efffff c3"
    assert limits(bare, checked) == Limits(2, 9)
    assert limits(bare, checked, "c3") == Limits(2, 9)


@pytest.mark.parametrize(
    ("code", "most"),
    [
        # mov eax,[rdi+8]; mov [rsi+rax*8],edx; add eax,1; cmp eax,16; ja; mov [rdi+8],eax; ret
        ("8b4708 8914c6 83c001 83f810 7703 894708 c3", 16),
        # The same, with jae.
        ("8b4708 8914c6 83c001 83f810 7303 894708 c3", 15),
        # mov eax,[rdi+8]; add eax,1; cmp eax,16; ja past the store; mov [rsi+rax*8-8],edx; ret
        ("8b4708 83c001 83f810 7704 8954c6f8 c3", 15),
    ],
)
def test_what_is_compared_as_it_will_be_stored(code: str, most: int) -> None:
    machine = Code(code)
    calls = Calls(machine, (), {})
    function = calls.function(machine.start(0))
    assert function is not None
    asked = IndexLimits(calls, [machine.start(0)])
    assert asked.of(function, ("load", 0)).most == most


def test_a_comparison_that_is_the_answer() -> None:
    # lea rax,[rsi-1]; cmp rax,95; setbe al; ret
    machine = Code("488d46ff 4883f85f 0f96c0 c3")
    calls = Calls(machine, (), {})
    function = calls.function(machine.start(0))
    assert function is not None
    assert answered(calls, function, INDEX).most == 96
    assert IndexLimits(calls, [machine.start(0)]).of(function, INDEX).most is None
