from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_session import Machine

from oopsight.kernel import slab_objects
from oopsight.kernel.slab_objects import slab_object_info

SLAB, OBJECT, STRIDE, LINK, SECRET = 0xFFFFEA0000040000, 0xFFFF888003400100, 64, 32, 0x1234567
OTHER = OBJECT + 2 * STRIDE


class Value:
    """As drgn's objects are read."""

    def __init__(self, value: int) -> None:
        self._value = value
        self.type_ = SimpleNamespace(type=SimpleNamespace(has_member=lambda _: True))

    def value_(self) -> int:
        return self._value

    def __int__(self) -> int:
        return self._value


class OfCpu(Value):
    """struct kmem_cache_cpu."""

    def __init__(self, slab: int, first: int) -> None:
        super().__init__(0)
        self.slab, self.freelist = Value(slab), Value(first)

    def member_(self, name: str) -> Value:
        found: Value = getattr(self, name)
        return found


class Memory(Machine):
    def read_u64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")


def stored(link: int, one: int) -> int:
    place = one + LINK
    return link ^ SECRET ^ int.from_bytes(place.to_bytes(8, "little"), "big")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A slab that stopped CPU 1 hands out of; its list is OTHER, OBJECT."""
    prog = Memory()
    prog.words(OTHER + LINK, stored(OBJECT, OTHER))
    prog.words(OBJECT + LINK, stored(0, OBJECT))
    own = {0: OfCpu(0, 0), 1: OfCpu(SLAB, OTHER)}
    monkeypatch.setattr("drgn.helpers.linux.percpu.per_cpu_ptr", lambda _, cpu: own[cpu])
    monkeypatch.setattr("drgn.helpers.linux.cpumask.for_each_present_cpu", lambda _: [0, 1])
    monkeypatch.setattr("drgn.helpers.linux.cpumask.for_each_online_cpu", lambda _: [0])
    return prog


def info(prog: Any, monkeypatch: pytest.MonkeyPatch, address: int, *, slab: int = SLAB) -> Any:
    cache = SimpleNamespace(prog_=prog, offset=Value(LINK), random=Value(SECRET), cpu_slab=Value(1))
    found = SimpleNamespace(slab_cache=cache, slab=Value(slab), address=address, allocated=True)
    monkeypatch.setattr("drgn.helpers.linux.slab.slab_object_info", lambda *_: found)
    return slab_object_info(prog, address)


def test_what_a_stopped_cpu_had_freed_is_free(
    machine: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert info(machine, monkeypatch, OBJECT).allocated is False
    assert info(machine, monkeypatch, OBJECT + STRIDE).allocated is True


def test_a_stopped_cpu_that_hands_out_of_another_slab_tells_nothing(
    machine: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert info(machine, monkeypatch, OBJECT, slab=SLAB + 64).allocated is True


def test_a_list_that_leads_nowhere_is_not_followed(
    machine: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.words(OTHER + LINK, stored(OBJECT ^ 1 << 46, OTHER))
    assert info(machine, monkeypatch, OBJECT).allocated is True


def test_the_first_of_a_list_whose_link_is_gone_is_free(
    machine: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells which objects behind it are."""

    def state(address: int) -> Any:
        cache = SimpleNamespace(prog_=machine)
        found = SimpleNamespace(slab_cache=cache, slab=Value(0), address=address, allocated=None)
        monkeypatch.setattr("drgn.helpers.linux.slab.slab_object_info", lambda *_: found)
        return slab_object_info(machine, address).allocated

    monkeypatch.setattr(slab_objects, "_free_lists", lambda _: iter([OTHER]))
    assert state(OTHER) is False
    assert state(OBJECT) is None
