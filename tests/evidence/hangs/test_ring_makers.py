"""Who can have closed a ring, and whether it is one."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, function

from oopsight.evidence.hangs.ring_makers import in_good_order, makers, movers, turn
from oopsight.kernel.loops import Link

CHAIN = Link("rbx", 0, 0)
FOUND, GIVEN, MADE = ("488b5a20",), ("4889fb",), ("call kmalloc_trace", "4889c3")
ADD = ("488b06 48897308 488903 48891e 48895808", "c3")
DELETE = "488b03 488b5308 488902 48895008"
BASE = 0xFFFF888000001000


def told(**code: tuple[str, ...]) -> tuple[str, ...]:
    functions = {name: function(*parts) for name, parts in code.items()}
    return makers(functions, CHAIN, NAMES.get)


def test_who_links_in_what_it_has_neither_made_nor_taken_out() -> None:
    assert told(add=(*MADE, *ADD), promote=(*FOUND, *ADD), move=(*FOUND, DELETE, *ADD)) == (
        "promote",
    )


def test_who_was_given_the_entry_comes_last() -> None:
    assert told(insert=(*GIVEN, *ADD), promote=(*FOUND, *ADD)) == ("promote", "insert")


def test_a_function_of_the_module_may_make_it_or_take_it_out() -> None:
    call_helper = ("call helper", "4889c3")
    assert told(helper=("call kmalloc_trace", "c3"), add=(*call_helper, *ADD)) == ()
    passes = (*FOUND, "4889df", "call helper", *ADD)
    assert told(helper=("488b17 488b4f08 488911 c3",), move=passes) == ()
    assert told(helper=("c3",), move=passes) == ("move",)


@pytest.mark.parametrize(
    ("links", "entries"),
    [
        ({0: 0x40, 0x40: 0x80, 0x80: 0x40}, 2),
        ({0: 0}, 1),
        ({0: 0x40, 0x40: None}, 0),  # it ends
        ({0: 0x40}, None),  # not in the dump
    ],
)
def test_a_chain_is_followed(links: dict[int, int | None], entries: int | None) -> None:
    memory = {BASE + at: 0 if to is None else BASE + to for at, to in links.items()}
    found = turn(memory.get, BASE, CHAIN)
    assert (found.entries if found is not None else None) == entries
    assert found is None or bool(found.closes) == bool(entries)


def test_the_object_of_another_beginning() -> None:
    memory = {BASE + 0x18: BASE + 0x50, BASE + 0x58: BASE + 0x10}
    found = turn(memory.get, BASE, Link("rbx", 0x10, 8))
    assert found is not None
    assert found.entries == 2


def moved(**code: tuple[str, ...]) -> tuple[str, ...]:
    functions = {name: function(*parts) for name, parts in code.items()}
    return movers(functions, CHAIN, NAMES.get)


def test_who_moves_an_entry_while_others_go_along_the_chain() -> None:
    move = (*FOUND, DELETE, *ADD)
    assert moved(move=move, add=(*MADE, *ADD), promote=(*FOUND, *ADD)) == ("move",)
    waits = (*FOUND, DELETE, "call synchronize_rcu", *ADD)
    assert moved(move=waits) == ()


def test_who_lets_an_entry_point_to_itself() -> None:
    itself = "48891b 48895b08 c3"
    assert moved(drop=(*FOUND, "4889df", "call __list_del_entry_valid", DELETE, itself)) == (
        "drop",
    )
    assert moved(make=(*FOUND, itself)) == ()


@pytest.mark.parametrize(
    ("links", "order"),
    [
        # The next and the one before.
        ({0: (0x40, 0x80), 0x40: (0x80, 0), 0x80: (0, 0x40)}, True),
        ({0: (0x40, 0x80), 0x40: (0x80, 0), 0x80: (0, 0)}, False),
        ({0: (0, 0)}, False),  # an entry that was set up again
        ({0: (0x40, 0x40), 0x40: (0x40, 0)}, False),  # goes round without the first
    ],
)
def test_a_ring_is_a_list_in_good_order(links: dict[int, tuple[int, int]], order: bool) -> None:
    memory = {BASE + at + 8 * n: BASE + to for at, two in links.items() for n, to in enumerate(two)}
    assert in_good_order(memory.get, BASE, CHAIN) is order
    assert not in_good_order(memory.get, BASE, Link("rbx", 0, 8))
