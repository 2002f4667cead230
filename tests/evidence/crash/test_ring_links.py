"""By what objects lead to each other in a ring."""

from __future__ import annotations

import struct

import pytest

from oopsight.evidence.crash.ring_links import Ring, linked

FIRST = 0xFFFF888000001000
SIZE = 0x40


def rings(*objects: bytes) -> list[Ring]:
    """The objects one behind another, each leading to the next, as calls have saved them."""
    memory = b"".join(one.ljust(SIZE, b"\0") for one in objects)

    def read(address: int, _: int) -> bytes:
        return memory[address - FIRST :][:SIZE]

    inner_first = [FIRST + SIZE * number for number in reversed(range(len(objects)))]
    return list(linked(tuple(inner_first), read))


def test_one_of_an_array_of_pointers() -> None:
    # The second leads on by the second of its children.
    first = struct.pack("<QQQ", 1, FIRST + SIZE, 0)
    second = struct.pack("<QQQ", 1, 0, FIRST)
    found = [(one.field, one.size) for one in rings(first, second)]
    assert (8, 8) in found


def test_a_number_that_the_next_one_has_for_a_name() -> None:
    names = (7, 9, 12)
    objects = [struct.pack("<III", own, 1, names[(n + 1) % 3]) for n, own in enumerate(names)]
    (ring,) = rings(*objects)
    assert (ring.field, ring.size) == (8, 4)
    assert [one.bytes for one in ring.links] == ["07000000", "0c000000", "09000000"]


@pytest.mark.parametrize("stray", [0, 1])
def test_an_index_of_a_table(stray: int) -> None:
    # A parent's index, of 16 bits, in a table of three; with a stray one there is no ring.
    objects = [struct.pack("<IHH", 50, (n + 1 + stray * n) % 3, 5) for n in range(3)]
    assert [(one.field, one.size) for one in rings(*objects) if one.size == 2] == (
        [] if stray else [(4, 2)]
    )


def test_what_leads_nowhere() -> None:
    assert rings(b"\1", b"\1") == []
    assert rings() == []
