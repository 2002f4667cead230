"""What ends a loop, in code as compilers make it."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.cheap import replace
from oopsight.kernel.loop_ends import Bound, LoopEnd, Read, loop_end, stored_from
from oopsight.kernel.machine_code import Expression

SIZE, HEAD, TAIL = (Read(Expression("rdi", at), 4) for at in (0x8, 0xC, 0x10))
# while (ring->tail != ring->head) { helper(ring); ring->tail = (ring->tail + 1) % ring->size; }
RING = (
    "53 4889fb 8b470c 394710 7423 be03000000 4889df",
    "call helper",
    "8b4310 83c001 ba00000000 f77308 895310 3b530c 75dd 5b c3",
)
IN_RING = START + 0x19
# while (tail != head) { if (!helper(ring)) continue; tail = tail + 1; }, both in registers
FORGETS = (
    "53 4889fb eb0c 8b4310 83c001 895310 0f1f00 8b430c 394310 7413 be03000000 4889df",
    "call helper",
    "85c0 75db ebe5 5b c3",
)
# while (!(*flag & 1)) pause
POLLS = ("8b07 a801 7508 f390 8b07 a801 74f8 c3",)
# for (i = 0; i != n; i += 2) helper(i)
COUNTS = (
    "4154 55 53 4189fc 90909090 bb00000000 bd00000000 89de bf00000000",
    "call helper",
    "01c5 83c302 4139dc 75ea 89e8 5b 5d 415c c3",
)
# while (helper()) n++
CALLS = ("53 bb00000000", "call helper", "85c0 7405 83c301 ebf2 89d8 5b c3")


def ended(code: tuple[str, ...], address: int) -> LoopEnd:
    found = loop_end(function(*code), address)
    assert found is not None
    return found


def test_numbers_that_are_read_before_the_loop_or_in_it() -> None:
    found = ended(RING, IN_RING)
    assert found == LoopEnd(frozenset({SIZE, HEAD, TAIL}), called=False, stands_still=False)


def test_a_way_round_that_changes_nothing() -> None:
    found = ended(FORGETS, START + 0x27)
    assert {HEAD, TAIL} <= found.reads
    assert found.stands_still
    # It was caught where it does go on.
    assert not ended(FORGETS, START + 6).stands_still


def test_a_loop_that_polls_stands_still() -> None:
    found = ended(POLLS, START + 8)
    assert found == LoopEnd(frozenset({Read(Expression("rdi", 0), 4)}), False, True)
    assert not found.by_itself


def test_what_a_function_counts_itself_is_no_memory() -> None:
    assert ended(COUNTS, START + 0x21).by_itself


def test_what_a_call_returns_is_not_its_own() -> None:
    found = ended(CALLS, START + 0xB)
    assert not found.reads
    assert found.called
    assert not found.by_itself


def test_an_element_of_a_table_has_no_known_place() -> None:
    # 1: mov eax, [rdi + rcx * 4]; add ecx, 1; test eax, eax; jne 1b; ret
    found = ended(("8b048f 83c101 85c0 75f6 c3",), START)
    reads = frozenset({Read(None, 4)})
    ends = LoopEnd(reads, called=False, stands_still=False, elsewhere=frozenset({START}))
    assert found == replace(ends, given=True)  # rcx


def test_a_number_kept_on_the_own_stack_is_followed() -> None:
    # mov eax, [rdi + 8]; mov [rsp - 8], eax; 1: add ecx, 1; cmp ecx, [rsp - 8]; jne 1b; ret
    found = ended(("8b4708 894424f8 83c101 3b4c24f8 75f7 c3",), START + 7)
    assert found.reads == {SIZE}


def test_straight_code_is_no_loop() -> None:
    assert loop_end(function("8b07 c3"), START) is None


@pytest.mark.parametrize(
    ("code", "at", "reads"),
    [
        # The next head is made of the last one and the size.
        ("8b470c 83c001 ba00000000 f77708 89570c c3", 14, {SIZE, HEAD}),
        ("897708 c3", 0, set()),  # size = an argument
        ("c7470c00000000 c3", 0, set()),
    ],
)
def test_what_a_store_is_made_of(code: str, at: int, reads: set[Read]) -> None:
    assert stored_from(function(code), START + at).reads == reads


def test_a_number_whose_place_changes_by_turns_is_told_by_its_instruction() -> None:
    # for (at = 0; at < n; at += *(u16 *)(tape + at)) helper's registers: rdi tape, esi n
    goes = ("31d2 85f6 740e 89d0 4801f8 0fb700 01c2 39f2 72f2 c3",)
    found = ended(goes, START + 6)
    assert found.elsewhere == {START + 0xB}
    assert not ended(RING, IN_RING).elsewhere


def test_what_is_chosen_by_a_comparison_may_be_what_was_there_before() -> None:
    # eax = size; if (head == 1) eax = edx; head = eax
    assert stored_from(function("8b4708 837f0c01 0f44c2 89470c c3"), START + 10).reads == {SIZE}


# for (i = 0; i < n; i += 2) helper(i)
BELOW = (*COUNTS[:2], COUNTS[2].replace("75ea", "72ea"))
# while (ring->tail != ring->head) ring->tail = (ring->tail + 2) & 63
PAIRS = ("8b4710 3b470c 740e 83c002 83e03f 894710 3b470c 75f2 c3",)
# while (n) n -= 4
TAKES = ("85ff 7405 83ef04 75fb c3",)


@pytest.mark.parametrize(
    ("code", "at", "stride"),
    [
        (COUNTS, 0x21, 2),
        (BELOW, 0x21, None),
        (RING, IN_RING - START, None),
        (PAIRS, 8, 2),
        (TAKES, 4, 4),
    ],
    ids=["counts", "below", "by one", "pairs", "takes off"],
)
def test_what_may_be_stepped_over(code: tuple[str, ...], at: int, stride: int | None) -> None:
    assert ended(code, START + at).stride == stride


def test_a_number_that_was_given_is_no_pointer() -> None:
    assert ended(COUNTS, START + 0x21).given
    assert not ended(RING, IN_RING).given


@pytest.mark.parametrize(
    ("code", "at", "bounds"),
    [
        (COUNTS, 0x21, [Bound("rbx", "r12", 4)]),
        (TAKES, 4, []),  # by four
        (("85ff 7405 83ef01 75fb c3",), 4, [Bound("rdi", None, 4)]),
        (POLLS, 8, []),
    ],
)
def test_how_far_it_counts(code: tuple[str, ...], at: int, bounds: list[Bound]) -> None:
    assert list(ended(code, START + at).bounds) == bounds


def test_how_far_a_loop_can_count_in_a_part_of_a_register() -> None:
    # xor ecx, ecx; 1: add ecx, 1; movzx eax, cl; cmp eax, esi; jb 1b; ret
    code = ("31c9 83c101 {} 39f0 72f6 c3", "0fb6c1", "0fb7c1")
    found = ended((code[0].format(code[1]),), START + 2)
    assert found.bounds == (Bound("rax", "rsi", 4, 0xFF),)
    found = ended((code[0].format(code[2]),), START + 2)
    assert found.bounds == (Bound("rax", "rsi", 4, 0xFFFF),)
    # 1: mov cl, [rdi]; movzx eax, cl; cmp eax, esi; jb 1b; ret
    found = ended(("8a0f 0fb6c1 39f0 72f7 c3",), START)
    assert found.bounds == (Bound("rax", "rsi", 4),)
