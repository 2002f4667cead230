"""Which part of a computed value is followed, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import BAD, OBJECT, STACK, Machine, trace, ways

from oopsight.evidence.flow.moves import How, Move


def told(moves: list[Move]) -> list[tuple[str, int | None]]:
    return [(move.how.value, move.value) for move in moves if move.how is not How.COPIED]


def test_a_number_of_elements_is_followed_to_where_it_was_read() -> None:
    # mov rax,[rdi]; shl rax,5; mov rcx,[rsi+rax]
    machine = Machine("488b07 48c1e005 488b0c06")
    machine.words[OBJECT] = 0x7FFFFF10
    moves = trace(machine, "rax", 7, rax=0x7FFFFF10 << 5, rdi=OBJECT, rsi=OBJECT)
    assert told(moves) == [("index", 0x7FFFFF10 << 5), ("loaded", 0x7FFFFF10)]


def test_flags_in_a_pointer_are_no_number() -> None:
    # mov rax,[rdi]; and rax,-4; mov rcx,[rax]
    machine = Machine("488b07 4883e0fc 488b08")
    machine.words[OBJECT] = BAD | 3
    moves = trace(machine, "rax", 7, rax=BAD & -4, rdi=OBJECT)
    assert told(moves) == [("computed", BAD & -4), ("loaded", BAD | 3)]


@pytest.mark.parametrize("good", ["rsi", "rdi"])
def test_of_a_sum_the_part_that_is_no_address_is_followed(good: str) -> None:
    # mov rsi,[rbx]; mov rdi,[rbx+8]; lea rax,[rsi+rdi]; mov rcx,[rax]
    machine = Machine("488b33 488b7b08 488d043e 488b08")
    numbers = {"rsi": 0x6B6B6B6B, "rdi": 0x6B6B6B6B, good: OBJECT + 0x100}
    machine.words |= {
        OBJECT: numbers["rsi"],
        OBJECT + 8: numbers["rdi"],
        OBJECT + 0x100: 0,
    }
    total = OBJECT + 0x100 + 0x6B6B6B6B
    moves = trace(machine, "rax", 11, rax=total, rbx=OBJECT, **numbers)
    assert told(moves) == [("index", total), ("loaded", 0x6B6B6B6B)]
    assert moves[-1].address == (OBJECT if good == "rdi" else OBJECT + 8)
    assert not moves[0].certain


def test_of_a_bad_table_and_a_number_the_table_is_followed() -> None:
    # mov rsi,[rbx]; lea rax,[rsi+rdi*8]; mov rcx,[rax]
    machine = Machine("488b33 488d04fe 488b08")
    machine.words[OBJECT] = 0
    moves = trace(machine, "rax", 7, rax=0x18, rbx=OBJECT, rsi=0, rdi=3)
    assert told(moves) == [("computed", 0x18), ("loaded", 0)]


@pytest.mark.parametrize("gone", [0xFFFFC90000455000, 0x69ACA2D45CBB9000])
def test_of_an_address_that_leads_nowhere_and_a_distance_the_address_is_followed(gone: int) -> None:
    # add rsi,[rbx]; mov rcx,[rsi]
    machine = Machine("480333 488b0e")
    machine.words[OBJECT] = gone
    moves = trace(machine, "rsi", 3, rsi=gone + 0x14000, rbx=OBJECT)
    assert told(moves) == [("computed", gone + 0x14000), ("loaded", gone)]


def test_two_numbers_are_not_guessed_between() -> None:
    # mov rsi,[rbx]; mov rdi,[rbx+8]; add rsi,rdi; mov rcx,[rsi]
    machine = Machine("488b33 488b7b08 4801fe 488b0e")
    machine.words |= {OBJECT: 0x10, OBJECT + 8: 8}
    moves = trace(machine, "rsi", 10, rsi=0x18, rbx=OBJECT, rdi=8)
    assert ways(moves) == ["lost"]
    assert "computed by add rsi, rdi" in moves[0].why


def test_a_zero_that_arithmetic_made_came_from_nowhere() -> None:
    # mov rax,[rdi]; and rax,-4; mov rcx,[rax]
    machine = Machine("488b07 4883e0fc 488b08")
    machine.words[OBJECT] = 3
    assert ways(trace(machine, "rax", 7, rax=0, rdi=OBJECT)) == ["lost"]


def test_of_a_page_the_address_in_it_is_followed() -> None:
    # mov rax,[rbx]; shr rax,12; shl rax,6; add rax,rsi; mov rcx,[rax]: virt_to_page()
    machine = Machine("488b03 48c1e80c 48c1e006 4801f0 488b08")
    table, given = OBJECT + 0x10000, 0x123456789000
    machine.words |= {OBJECT: given, table: 0}
    page = table + (given >> 12 << 6)
    moves = trace(machine, "rax", 14, rax=page, rbx=OBJECT, rsi=table)
    assert [how for how, _ in told(moves)] == ["index", "index", "page", "loaded"]
    assert told(moves)[-1][1] == given


@pytest.mark.parametrize("index", [0, 3])
def test_of_a_null_table_and_a_product_the_table_is_followed(index: int) -> None:
    # imul rdx,rax; add rdx,[rbx]; mov rcx,[rdx]
    machine = Machine("480fafd0 480313 488b0a")
    machine.words[OBJECT] = 0
    total = index * 0x40
    moves = trace(machine, "rdx", 7, rdx=total, rax=0x40, rbx=OBJECT)
    assert told(moves) == [("computed", total), ("loaded", 0)]


def test_a_copy_from_the_end_began_at_its_argument() -> None:
    # f0: add rdi,rdx; mov [rdi-8],rax   f1: mov rdi,[rip]; call f0
    machine = Machine("4801d7 488947f8", "488b3df91f0000 e8f4efffff")
    machine.names[0] = "memcpy_orig"
    machine.words[machine.start(3)] = 0
    moves = trace(machine, "rdi", 3, (1, 12, STACK + 8), rdi=0x62)
    assert [one for one in ways(moves) if one != "copied"] == ["computed", "passed", "loaded"]
    assert moves[-1].address == machine.start(3)


def test_a_number_of_elements_may_have_been_scaled_before_it_was_added_to() -> None:
    # shl rbx,4; add rbx,[rdi]; mov rcx,[rbx]
    machine = Machine("48c1e304 48031f 488b0b")
    machine.words[OBJECT] = 0x1000
    moves = trace(machine, "rbx", 7, rbx=0x1030, rdi=OBJECT)
    assert told(moves) == [("computed", 0x1030), ("loaded", 0x1000)]
