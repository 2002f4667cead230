"""An object whose beginning alone was written over."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import head_overrun as module
from oopsight.evidence.corruption.head_overrun import among_others, head_overrun

ONE = made.slab_object("allocated", size=64, stride=64)
LIKE = made.slab_object("allocated", size=64, stride=64, address=made.Address(ONE.address + 256))
BEFORE = made.slab_object("allocated", size=64, stride=64, address=made.Address(ONE.address - 64))
POINTER = (0xFFFF888003400000).to_bytes(8, "little")
REST = b"tenant-1" + bytes(16) + (7).to_bytes(8, "little") + bytes(16)
NOISE = bytes(range(0x81, 0x91))


def found(monkeypatch: pytest.MonkeyPatch, mine: bytes, *, before: Any = BEFORE) -> Any:
    machine = Machine()
    machine.memory[int(ONE.address) - 64] = NOISE * 4 + mine
    machine.memory[int(LIKE.address)] = POINTER * 2 + REST
    monkeypatch.setattr(module, "neighbour", lambda *_: before)
    return head_overrun(machine.session, None, ONE, LIKE)


def test_the_rest_is_as_of_others_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    overrun = found(monkeypatch, NOISE + REST.replace(b"-1", b"-2"))
    assert overrun is not None
    assert (overrun.before, overrun.end) == (BEFORE, ONE.address + 16)
    assert not overrun.sure


@pytest.mark.parametrize(
    "mine",
    [
        NOISE * 4,  # somebody else's, all through
        POINTER * 2 + REST,  # nothing is wrong with it
    ],
)
def test_anything_else_is_none(monkeypatch: pytest.MonkeyPatch, mine: bytes) -> None:
    assert found(monkeypatch, mine) is None


def test_nothing_alive_lies_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, NOISE + REST, before=None) is None
    free = made.slab_object("free", size=64, stride=64)
    assert found(monkeypatch, NOISE + REST, before=free) is None


@pytest.mark.parametrize(("field", "is_one"), [(0, True), (8, True), (16, False)])
def test_others_of_the_slab_have_a_pointer_there(
    monkeypatch: pytest.MonkeyPatch, field: int, is_one: bool
) -> None:
    machine = Machine()
    machine.memory[int(ONE.address) - 64] = NOISE * 5 + REST
    machine.memory[int(LIKE.address)] = POINTER * 2 + REST
    beside = {-1: BEFORE, 2: LIKE}
    monkeypatch.setattr(module, "neighbour", lambda _, __, ___, steps: beside.get(steps))
    overrun = among_others(machine.session, None, ONE, int(ONE.address) + field)
    assert (overrun is not None) is is_one


@pytest.mark.parametrize("held", [True, False])
def test_what_is_on_its_list_still_is_alive(monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    one = made.slab_object("allocated", size=32, stride=32)
    like = made.slab_object("allocated", size=32, stride=32, address=ONE.address + 256)
    head, first, second = int(ONE.address) + 0x400, int(one.address) + 16, int(like.address) + 16
    machine = Machine()
    # head -> first -> second, as of a hash chain
    machine.words(head, first)
    machine.words(int(one.address) - 32, 5, 6, 7, 8, 0xFFFEDF87, 3, second, head if held else 0)
    machine.words(int(like.address), int.from_bytes(POINTER, "little"), 7, 0, first)
    before = made.slab_object(
        "allocated", size=32, stride=32, address=made.Address(one.address - 32)
    )
    monkeypatch.setattr(module, "neighbour", lambda *a: before if a[3] < 0 else None)
    overrun = among_others(machine.session, None, one, int(one.address), like)
    assert (overrun is not None) is held
    if overrun is not None:
        assert (overrun.before, overrun.end) == (before, one.address + 16)
