from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.corruption import overrun
from oopsight.evidence.corruption.overrun import covered, overrun_of, run_around, run_within


@pytest.mark.parametrize(
    ("data", "border", "found"),
    [
        (b"\0" * 40 + b"a name that is too long" + b"\0" * 40, 50, (40, 63, "text")),
        (b"\x41" * 64, 32, (0, 64, "repeated byte")),
        (b"\xff" * 64, 32, (0, 64, "repeated byte")),
        # What the allocator writes, and memory that was never written, is no overrun.
        (b"\x6b" * 64, 32, None),
        (b"\0" * 64, 32, None),
        (b"\x5a" * 64, 32, None),
        # It must go over the border, and not just touch it.
        (b"text in the first one\0\0\0\0\0\0\0\0\0\0\0" + b"\0" * 32, 32, None),
        (b"\0" * 32 + b"text in the second one\0", 32, None),
        (b"\0" * 30 + b"short" + b"\0" * 30, 32, None),
        (b"", 0, None),
    ],
)
def test_runs(data: bytes, border: int, found: tuple[int, int, str] | None) -> None:
    assert run_around(data, border) == found


def test_a_text_that_runs_over_a_pointer_in_its_own_object() -> None:
    machine, one = Machine(), made.slab_object()
    at = int(one.address)
    machine.memory[at] = bytes(16) + b"departures to the north" + bytes(25)
    found = run_within(machine.session, one, at + 32, at)
    assert found is not None
    assert (found.within, found.kind, found.before) == (True, "text", one)
    assert (found.start, found.end) == (at + 16, at + 39)
    # Or the code begins to count where the text begins, and is wrong.
    assert run_within(machine.session, one, at + 32, at + 16) is None
    # Only its end may have been reached, and another field is none of it.
    assert run_within(machine.session, one, at + 40, at) is None
    # Text from the first byte on is of another object that was there, or is.
    machine.memory[at] = b"departures to the north and south" + bytes(31)
    assert run_within(machine.session, one, at + 24, at) is None


@pytest.mark.parametrize(
    ("text", "behind", "covers"),
    [
        (b"yellow-over-green", b"\0" * 16, True),
        (b"yellow-over-green-3", b"\0" * 16, True),
        (b"yellow-over-green", b"\0\0\1" + b"\0" * 13, False),
        (b"yellow-over", b"\0" * 24, False),
    ],
)
def test_the_zeros_that_end_a_text_go_on_over_a_pointer(
    text: bytes, behind: bytes, covers: bool
) -> None:
    data = text + behind
    run = (0, len(text), "text")
    assert covered(data, run, 24) is covers
    assert covered(data, run, 8)
    assert not covered(data, (0, len(text), "repeated byte"), 24)


def test_a_text_begins_in_the_first_of_the_objects_that_it_fills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = made.slab_object(size=64, stride=64)
    at = int(one.address)
    chain = {n: replace(one, address=Address(at - 64 * n)) for n in range(4)}
    near = {int(o.address): o for o in chain.values()}
    monkeypatch.setattr(overrun, "neighbour", lambda *a: near.get(a[2].address + 64 * a[3]))
    machine = Machine()
    text = b"the quick brown fox jumps over it " * 4
    # The third before is whole; it begins within the second.
    machine.memory[at - 192] = bytes(64) + bytes(8) + text[:124] + bytes(60)
    found = overrun_of(machine.session, None, one, at)
    assert found is not None
    assert (found.before, found.start) == (chain[2], at - 128 + 8)
