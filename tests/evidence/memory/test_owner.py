from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_memory import char_array
from handmade_session import Machine

from oopsight.evidence.memory import owner
from oopsight.evidence.memory.owner import SlabObject, neighbour, owner_of, slab_object

MODULE = 0xFFFFFFFFC0400000
KERNEL = 0xFFFFFFFF81000000
OBJECT = 0xFFFF888000040000
MODULES = made.modules(made.module("cam", MODULE, MODULE + 0x1000, "O"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.symbols = {
        KERNEL: ("jiffies", 8),
        MODULE + 0x10: ("cam_table", 0x40),
        MODULE + 0x100: ("cam_poll", 0x80),
    }
    found.words(KERNEL, 1)
    found.words(MODULE, *range(64))
    monkeypatch.setattr(owner, "_slab", lambda *_: None)
    monkeypatch.setattr(owner, "_other", lambda _, __, where, **___: made.owner(where, "other"))
    monkeypatch.setattr(owner, "user_area", lambda *_: None)
    monkeypatch.setattr(owner, "tracks", lambda *_: ())
    return found


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (0, "null"),
        (0x38, "null"),
        (-14, "error-pointer"),
        (0x6B6B6B6B6B6B6B6B, "poison"),
        (0xDEAD000000000122, "poison"),
        (0x7F0000001000, "user"),
        (0x6C2F7261762F2066, "non-canonical"),
        (MODULE + 0x18, "module"),
        (MODULE + 0x2000, "module-area-gap"),
        (KERNEL + 4, "kernel"),
        (0xFFFF888000100000, "other"),
    ],
)
def test_kinds_of_addresses(machine: Machine, address: int, kind: str) -> None:
    assert owner_of(machine.session, MODULES, address).kind == kind


def test_what_a_module_has_there_is_named(machine: Machine) -> None:
    found = owner_of(machine.session, MODULES, MODULE + 0x18)
    assert (found.module, found.symbol, found.offset, found.mapped) == ("cam", "cam_table", 8, True)
    found = owner_of(machine.session, MODULES, MODULE + 0x900)
    assert (found.module, found.symbol, found.mapped) == ("cam", None, False)


def test_an_object_of_the_allocator_is_described(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made.slab_object("free")
    monkeypatch.setattr(owner, "_slab", lambda *_: one)
    found = owner_of(machine.session, MODULES, int(one.address) + 0x10)
    assert (found.kind, found.offset, found.slab) == ("slab", 0x10, one)
    assert "free object" in found.detail


def info(allocated: bool | None, size: int = 32, stride: int = 32, sharers: int = 1) -> Any:
    def value(number: int) -> Any:
        return SimpleNamespace(value_=lambda: number)

    cache = SimpleNamespace(
        object_size=value(size),
        size=value(stride),
        refcount=value(sharers),
        name=char_array(b"kmalloc-32"),
        value_=lambda: 0xFFFF888000001000,
    )
    return SimpleNamespace(slab_cache=cache, address=OBJECT, allocated=allocated)


def described(machine: Machine, *words: int, allocated: bool | None = True) -> SlabObject:
    machine.words(OBJECT, *words)
    found = slab_object(machine.session, MODULES, info(allocated))
    assert found is not None
    return found


def test_pointers_to_modules_tell_whose_object_it_is(machine: Machine) -> None:
    found = described(machine, 1, MODULE + 0x100, MODULE + 0x104, 0xFFFFFFFFC0900000)
    assert [(r.offset, r.symbol, r.module) for r in found.refers] == [
        (8, "cam_poll", "cam"),
        (16, "cam_poll+0x4", "cam"),
    ]
    assert (found.state, found.freed, found.end) == ("allocated", False, OBJECT + 32)


def test_the_pattern_of_freed_objects_is_known(machine: Machine) -> None:
    poison = 0x6B6B6B6B6B6B6B6B
    found = described(machine, poison, poison, poison, 0xA56B6B6B6B6B6B6B, allocated=None)
    assert (found.state, found.poisoned, found.freed) == ("unknown", True, True)
    # The free list's link lies over a part of it.
    found = described(machine, poison, 1, poison, 0xA56B6B6B6B6B6B6B, allocated=False)
    assert (found.state, found.poisoned, found.freed) == ("free", False, True)
    assert not described(machine, poison, poison, poison, poison).poisoned


def test_the_name_of_a_cache_that_others_share_tells_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.words(OBJECT, 0, 0, 0, 0)
    for sharers, merged in ((1, False), (2, True)):
        found = slab_object(machine.session, MODULES, info(True, sharers=sharers))
        assert found is not None
        assert found.merged == merged
    shared = made.slab_object(cache="seq_file", merged=True)
    monkeypatch.setattr(owner, "_slab", lambda *_: shared)
    assert "others share" in owner_of(machine.session, MODULES, int(shared.address)).detail


def test_a_cache_that_makes_no_sense_has_no_objects(machine: Machine) -> None:
    assert slab_object(machine.session, MODULES, info(True, size=64, stride=32)) is None
    assert slab_object(machine.session, MODULES, info(True, size=0)) is None


def test_an_object_that_is_not_in_the_dump_has_no_content(machine: Machine) -> None:
    found = slab_object(machine.session, MODULES, info(False))
    assert found is not None
    assert (found.head, found.refers, found.poisoned) == (None, (), False)


def test_a_neighbour_is_of_the_same_cache_and_in_its_place(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made.slab_object()
    other = made.slab_object(address=type(one.address)(one.address - one.stride))
    for found, expected in (
        (other, other),
        (None, None),
        (made.slab_object(address=type(one.address)(one.address - 8)), None),
        (made.slab_object(address=other.address, cache_address=other.address), None),
    ):
        monkeypatch.setattr(owner, "_slab", lambda *_, found=found: found)
        assert neighbour(machine.session, MODULES, one, -1) is expected
