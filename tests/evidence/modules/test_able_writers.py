"""Whether a function can have stored a number, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import Machine as Code

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.modules import able_writers
from oopsight.evidence.modules.able_writers import Ability, AbleWriters
from oopsight.evidence.modules.number_sources import Number

BELOW_ZERO = 0xFFFFFFFE
NO_ENTRY = BELOW_ZERO
"""``-ENOENT``."""
CALL_OF_FIRST = "e8f6efffff"
"""By a second function whose call is its second instruction, behind one of five bytes."""


def ability(value: int, *functions: str, size: int = 4) -> Ability:
    """Of the first function, for the field eight bytes behind its pointer."""
    machine = Code(*functions)
    starts = [machine.start(number) for number in range(len(functions))]
    asked = AbleWriters(Calls(machine, (), {}), starts)
    return asked.ability(starts[0], Number(8, value, size))


# Stores what it was told: mov [rdi+8],esi
STORE = "897708 c3"


@pytest.mark.parametrize(
    ("code", "able", "unable"),
    [
        # cmp esi,7; ja: unsigned; jg: signed, so that numbers below zero pass
        (f"83fe07 7703 {STORE}", 7, BELOW_ZERO),
        (f"83fe07 7f03 {STORE}", BELOW_ZERO, 8),
        # test esi,esi; je
        (f"85f6 7403 {STORE}", 1, 0),
        # lea eax,[rsi-20]; cmp eax,0x100; ja
        (f"8d46ec 3d00010000 7703 {STORE}", 20, 0),
        # mov eax,5; cmp esi,eax; cmovb esi,eax: no less than 5
        (f"b805000000 39c6 0f42f0 {STORE}", 5, 0),
        # and esi,6
        (f"83e606 {STORE}", 4, 9),
        # sub rsp,16; mov [rsp+4],0; lea rsi,[rsp+4]; call; mov eax,[rsp+4]; cmp eax,7; jg
        (
            "4883ec10 c744240400000000 488d742404 e8fb0f0000 8b442404 83f807 7f03 894308"
            " 4883c410 c3",
            BELOW_ZERO,
            8,
        ),
    ],
)
def test_what_a_function_lets_pass(code: str, able: int, unable: int) -> None:
    assert ability(able, code) is Ability.UNCHECKED
    assert ability(unable, code) is Ability.UNABLE


def test_numbers_of_the_code() -> None:
    # mov dword ptr [rdi+8],3; the same of eight bytes
    for code in ("c7470803000000 c3", "48c7470803000000 c3"):
        assert ability(3, code) is Ability.SETS
        assert ability(1, code) is Ability.UNABLE
    # The upper half of a pointer that is set to NULL.
    assert ability(0, "48c7470400000000 c3") is Ability.SETS


def test_who_hands_the_number_over() -> None:
    # mov esi,4; call; ret
    four = f"be04000000 {CALL_OF_FIRST} c3"
    assert ability(4, STORE, four) is Ability.UNCHECKED
    assert ability(5, STORE, four) is Ability.UNABLE
    assert ability(5, STORE) is Ability.UNCHECKED


def test_the_code_of_an_error_that_a_call_returned() -> None:
    # call; mov [rbx+8],eax; and with test eax,eax; js between
    assert ability(NO_ENTRY, "e8fb0f0000 894308 c3", "c3") is Ability.ERROR
    assert ability(NO_ENTRY, "e8fb0f0000 85c0 7803 894308 c3", "c3") is Ability.UNABLE


def test_counts() -> None:
    # Without a look at it: add dword ptr [rdi+8],1
    assert ability(9, "83470801 c3") is Ability.COUNTS
    # cmp dword ptr [rdi+8],0; jle; sub dword ptr [rdi+8],1
    guarded = "837f0800 7e04 836f0801 c3"
    assert ability(3, guarded) is Ability.COUNTS
    assert ability(0xFFFFFFFF, guarded) is Ability.UNABLE


def test_who_takes_more_than_there_is() -> None:
    # It does not look: sub [rdi+8],esi
    assert ability(BELOW_ZERO, "297708 c3") is Ability.COUNTS
    # mov eax,[rdi+8]; cmp eax,esi; jb; sub eax,esi; mov [rdi+8],eax
    guarded = "8b4708 39f0 7205 29f0 894708 c3"
    assert ability(BELOW_ZERO, guarded) is Ability.UNABLE
    assert ability(5, guarded) is Ability.UNCHECKED
    # The same in memory: cmp [rdi+8],esi; jb; sub [rdi+8],esi
    assert ability(BELOW_ZERO, "397708 7203 297708 c3") is Ability.UNABLE


def test_the_same_field_of_another_object() -> None:
    # From the second argument's: mov eax,[rdx+8]; mov [rdi+8],eax
    assert ability(9, "8b4208 894708 c3") is Ability.MOVES


def test_who_stores_there_in_a_way_that_is_not_seen() -> None:
    assert ability(9, "c3") is Ability.UNCHECKED


@pytest.mark.parametrize(
    "code",
    [
        # Looked at in memory: cmp [rdi+12],esi; jb
        f"39770c 7203 {STORE}",
        # Read before: mov eax,[rdi+12]; cmp esi,eax; ja
        f"8b470c 39c6 7703 {STORE}",
    ],
)
def test_a_number_that_has_to_agree_with_another(code: str) -> None:
    machine = Code(code)
    asked = AbleWriters(Calls(machine, (), {}), [machine.start(0)])
    for limit, found in ((100, Ability.UNABLE), (200, Ability.UNCHECKED)):
        number = Number(8, 150, 4, ((12, limit, 4),))
        assert asked.ability(machine.start(0), number) is found
    assert asked.ability(machine.start(0), Number(8, 150, 4)) is Ability.UNCHECKED


def asked(code: str) -> tuple[AbleWriters, int]:
    machine = Code(code)
    return AbleWriters(Calls(machine, (), {}), [machine.start(0)]), machine.start(0)


def test_who_sets_it_on_the_way_and_leaves_it_so_at_times() -> None:
    # mov dword ptr [rdi+8],1; test esi,esi; jne 1f; mov dword ptr [rdi+8],2; 1: ret
    writers, start = asked("c7470801000000 85f6 7507 c7470802000000 c3")
    assert writers.leaves(start, Number(8, 1, 4))
    assert not writers.leaves(start, Number(8, 2, 4))
    # On all ways; and never.
    for code in ("c7470801000000 c7470802000000 c3", "c7470801000000 c3"):
        writers, start = asked(code)
        assert not writers.leaves(start, Number(8, 1, 4))


def test_who_looks_at_what_has_to_agree() -> None:
    # cmp [rdi+12],esi; je; add dword ptr [rdi+8],1; and without the first two
    for code, found in (("39770c 7404 83470801 c3", True), ("83470801 c3", False)):
        writers, start = asked(code)
        assert writers.looks(start, Number(8, 5, 4, ((12, 3, 4),))) is found


def test_what_has_to_agree_is_taken_over() -> None:
    # mov eax,[rdi+12]; mov [rdi+8],eax: it cannot differ then
    writers, start = asked("8b470c 894708 c3")
    assert writers.ability(start, Number(8, 5, 4, ((12, 3, 4),))) is Ability.UNABLE
    assert writers.ability(start, Number(8, 3, 4, ((12, 3, 4),))) is Ability.UNCHECKED


def test_a_pointer_of_another_object_at_that_distance() -> None:
    # Of eight bytes: mov [rdi+8],rsi
    assert ability(5, "48897708 c3") is Ability.MOVES


def test_bits() -> None:
    # or dword ptr [rdi+8],8; and dword ptr [rdi+8],~8
    assert ability(0x28, "834f0808 c3") is Ability.SETS
    assert ability(0x20, "834f0808 c3") is Ability.UNABLE
    assert ability(0x20, "836708f7 c3") is Ability.UNABLE
    assert ability(0, "836708f7 c3") is Ability.SETS
    # The same in a register: mov eax,[rdi+8]; or eax,8, and eax,~8; mov [rdi+8],eax
    assert ability(0x28, "8b4708 83c808 894708 c3") is Ability.SETS
    assert ability(0x20, "8b4708 83c808 894708 c3") is Ability.UNABLE
    assert ability(0x20, "8b4708 83e0f7 894708 c3") is Ability.MOVES
    assert ability(8, "8b4708 83e0f7 894708 c3") is Ability.UNABLE


def test_a_count_that_has_not_run_over() -> None:
    # add dword ptr [rdi+8],1; sub dword ptr [rdi+8],1
    assert ability(0, "83470801 c3") is Ability.UNABLE
    assert ability(0, "836f0801 c3") is Ability.COUNTS
    assert ability(0xFFFFFFFF, "836f0801 c3") is Ability.COUNTS


def test_who_asks_whether_it_is_zero() -> None:
    for code, found in (
        ("837f0800 7401 90 c3", True),  # cmp dword ptr [rdi+8],0
        ("8b4708 85c0 7401 90 c3", True),  # mov eax,[rdi+8]; test eax,eax
        ("837f0801 7401 90 c3", False),
        ("8b470c 85c0 7401 90 c3", False),
    ):
        writers, start = asked(code)
        assert writers.asks(start, Number(8, 0, 4)) is found


def test_a_function_too_long_to_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(able_writers, "_MOST_CODE", 1)
    assert ability(1, "c7470803000000 c3") is Ability.UNCHECKED


@pytest.mark.parametrize(
    ("code", "found"),
    [
        # mov ebp,[rdi+8]; lea eax,[rbp+1]; mov [rdi+8],eax; cmp esi,30; ja 1f;
        # mov [rdi+rbp*8+0x10],rdx; 1: ret
        ("8b6f08 8d4501 894708 83fe1e 7705 488954ef10 c3", True),
        # add dword ptr [rdi+8],1; cmp esi,30; ja 1f; mov [rdi+0x10],rdx; 1: ret
        ("83470801 83fe1e 7704 48895710 c3", True),
        # It takes that back: 1: sub dword ptr [rdi+8],1; ret
        ("83470801 83fe1e 7705 48895710 c3 836f0801 c3", False),
        # It always puts something there.
        ("83470801 48895710 c3", False),
    ],
)
def test_who_raises_a_number_in_vain(code: str, found: bool) -> None:
    writers, start = asked(code)
    assert writers.raises_in_vain(start, Number(8, 4, 4)) is found
