"""What speaks for one wrong bit of a pointer."""

from __future__ import annotations

import pytest
from handmade_facts import data_flow, flow_step, modules, owner, slab_object, way
from handmade_session import Machine

from oopsight.evidence import Address, bit_flip
from oopsight.evidence.bit_flip import BitFlip, collect
from oopsight.evidence.pointers import Memory

ONE = slab_object()
AT = Address(int(ONE.address) + 8)
INSIDE = int(ONE.address) + 24


def test_a_pointer_that_would_lead_into_the_object_that_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bit_flip, "owner_of", lambda *_: owner(INSIDE, "slab", slab=ONE))
    monkeypatch.setattr(bit_flip, "neighbour", lambda *_: None)
    value = INSIDE ^ 1 << 38
    memory = Memory("struct inode", ONE.address, "i_mapping", AT, value.to_bytes(8, "little").hex())
    step = flow_step("loaded", "read", value, agrees=True, memory=memory)
    held = owner(int(AT), "slab", slab=ONE, offset=8)
    flow = data_flow(way(step, held_in=held), bad=owner(value, "unknown"))
    found = collect(Machine().session, flow, modules())
    assert isinstance(found, BitFlip)
    assert (found.bit, found.reason) == (38, "itself")
