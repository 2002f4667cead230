"""What speaks for one wrong bit of a pointer."""

from __future__ import annotations

import pytest
from handmade_facts import data_flow, flow_step, modules, owner, slab_object, way
from handmade_session import Machine

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.corruption import bit_flip
from oopsight.evidence.corruption.bit_flip import BitFlip, collect
from oopsight.evidence.pointers import Memory

ONE = slab_object()
AT = Address(int(ONE.address) + 8)
INSIDE = int(ONE.address) + 24


def test_a_pointer_that_would_lead_into_the_object_that_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bit_flip, "owner_of", lambda *_: owner(INSIDE, "slab", slab=ONE))
    monkeypatch.setattr(bit_flip, "neighbour", lambda *_: None)
    monkeypatch.setattr(bit_flip, "_same_kind", lambda *_: [])
    value = INSIDE ^ 1 << 38
    memory = Memory("struct inode", ONE.address, "i_mapping", AT, value.to_bytes(8, "little").hex())
    step = flow_step("loaded", "read", value, agrees=True, memory=memory)
    held = owner(int(AT), "slab", slab=ONE, offset=8)
    flow = data_flow(way(step, held_in=held), bad=owner(value, "unknown"))
    found = collect(Machine().session, flow, modules())
    assert isinstance(found, BitFlip)
    assert (found.bit, found.reason) == (38, "itself")


def test_an_object_of_the_kind_that_others_point_to(monkeypatch: pytest.MonkeyPatch) -> None:
    right = slab_object(
        address=Address(0xFFFF888005600840), cache_address=Address(0xFFFF888001111100)
    )
    tasks = [slab_object(address=Address(int(ONE.address) + n * 64)) for n in (1, 2, 3)]
    machine = Machine()
    pointed = {int(right.address) + n * right.stride: right for n in range(4)}
    for task, to in zip(tasks, list(pointed)[1:], strict=True):
        machine.words(int(task.address) + 8, to)

    def owner_of(_: object, __: object, address: int) -> object:
        if address in pointed:
            slab = replace(right, address=Address(address))
            return owner(address, "slab", slab=slab, offset=0)
        # Another bit leads to memory, but to another kind.
        return (
            owner(address, "slab", slab=ONE, offset=0)
            if address >> 32 == 0xFFFF8880
            else owner(address, "unknown")
        )

    monkeypatch.setattr(bit_flip, "owner_of", owner_of)
    monkeypatch.setattr(bit_flip, "neighbour", lambda *_: None)
    monkeypatch.setattr(bit_flip, "_same_kind", lambda *_: [int(task.address) for task in tasks])
    value = int(right.address) ^ 1 << 41
    held = owner(int(AT), "slab", slab=ONE, offset=8)
    step = flow_step("loaded", "read", value, agrees=True)
    flow = data_flow(way(step, held_in=held), bad=owner(value, "unknown"))
    found = collect(machine.session, flow, modules())
    assert isinstance(found, BitFlip)
    assert (found.bit, found.reason) == (41, "kind")
    # Where they point to objects of several kinds, any would do.
    machine.words(int(tasks[0].address) + 8, int(ONE.address))
    assert not isinstance(collect(machine.session, flow, modules()), BitFlip)
