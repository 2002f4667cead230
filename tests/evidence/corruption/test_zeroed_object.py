from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption.zeroed_object import ZeroedObject, collect

ONE = made.slab_object("allocated")


@pytest.mark.parametrize(
    ("content", "value", "zeroed"), [(0, 0, True), (7, 0, False), (0, 0x1234, False)]
)
def test_an_object_of_nothing_but_zeros(content: int, value: int, zeroed: bool) -> None:
    machine = Machine()
    machine.memory[int(ONE.address)] = bytes(ONE.size - 1) + bytes([content])
    held = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    flow = made.data_flow(made.way(made.flow_step("loaded", "poll", value), held_in=held))
    assert isinstance(collect(machine.session, flow), ZeroedObject) is zeroed
