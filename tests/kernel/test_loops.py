"""Which loops code is in, and whether they go from object to object."""

from __future__ import annotations

from handmade_code import START, function

from oopsight.kernel.loops import Link, follows_pointers, link_of, loop_at, outer_link

# while (helper(lock)) with the return from helper() at 0xb
CALLS = ("4989fc", "4c89e7", "call helper", "85c0 75f4 c3")
IN_CALL = START + 0xB
# for (one = *head; one != head; one = one->next) with the next pointer at offset 16
CHAIN = ("488b1f", "4839fb 7409 488b5310 4889d3 ebf2 c3")
# for (; rbx != rdi; rbx += 8) rax = *(long *)(*rbx)
TABLE = ("4839fb 740c 488b03 488b00 4883c308 ebef c3",)


def test_loops_are_told_from_straight_code() -> None:
    code = function(*CALLS)
    assert loop_at(code, IN_CALL)
    assert not loop_at(code, START)
    assert not loop_at(code, START + 0x5000)


def test_a_walk_of_a_list_goes_by_its_entries() -> None:
    loop = loop_at(function(*CHAIN), START + 0x8)
    assert [one.mnemonic for one in loop] == ["mov", "mov", "jmp", "cmp", "je"]
    assert follows_pointers(loop)


def test_a_walk_of_a_table_does_not() -> None:
    loop = loop_at(function(*TABLE), START)
    assert len(loop) == 6
    assert not follows_pointers(loop)


def test_a_loop_around_a_call_does_not() -> None:
    assert not follows_pointers(loop_at(function(*CALLS), IN_CALL))


def test_the_link_that_a_loop_follows() -> None:
    assert link_of(loop_at(function(*CHAIN), START + 0x8)) == Link("rbx", 0, 0x10)
    assert link_of(loop_at(function(*TABLE), START)) is None
    # 1: mov rax, [rbx + 0x18]; lea rbx, [rax - 0x10]; cmp rbx, rdi; jne 1b; ret
    entries = function("488b4318 488d58f0 4839fb 75f3 c3")
    assert link_of(loop_at(entries, START)) == Link("rbx", 0x10, 8)


def test_the_link_of_a_loop_around_a_smaller_one() -> None:
    # 1: mov ecx, 9; 2: sub ecx, 1; jne 2b; mov rbx, [rbx]; cmp rbx, rdi; jne 1b; ret
    nested = function("b909000000 83e901 75fb 488b1b 4839fb 75ee c3")
    assert link_of(loop_at(nested, START + 5)) is None
    assert outer_link(nested, START + 5) == Link("rbx", 0, 0)
    assert outer_link(function(*TABLE), START) is None
