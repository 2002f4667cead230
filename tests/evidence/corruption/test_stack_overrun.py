from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption.stack_overrun import StackOverrun, collect
from oopsight.evidence.pointers import BytesPointer

SLOT = 0xFFFFC90000043CD0
TEXT = b"manufacturer-specific-extension"
VALUE = int.from_bytes(TEXT[16:24], "little")


def flow(**changes: Any) -> Any:
    kept = made.flow_step(
        "reloaded",
        "tlv_parse",
        VALUE,
        "tlv",
        agrees=True,
        memory=BytesPointer(Address(SLOT), TEXT[16:24].hex()),
    )
    lost = made.flow_step("lost", "tlv_parse", VALUE, "tlv")
    bad = made.owner(VALUE, "non-canonical")
    return made.data_flow(made.way(kept, lost), **{"bad": bad, **changes})


@pytest.mark.parametrize(
    ("before", "after", "over"),
    [(TEXT[:16], TEXT[16:], True), (bytes(16), TEXT[16:], False), (TEXT[:16], bytes(32), False)],
)
def test_a_text_that_runs_over_a_pointer_on_the_stack(
    before: bytes, after: bytes, over: bool
) -> None:
    machine = Machine()
    machine.memory[SLOT - 512] = bytes(496) + before + after + bytes(64)
    found = collect(machine.session, flow())
    assert isinstance(found, StackOverrun) is over
    if isinstance(found, StackOverrun):
        assert (found.start, found.function, found.module) == (SLOT - 16, "tlv_parse", "tlv")
        assert found.text == TEXT.decode()


def test_memory_elsewhere_is_no_stack() -> None:
    machine = Machine()
    machine.memory[SLOT - 512] = bytes(496) + TEXT + bytes(64)
    read = made.flow_step("loaded", "tlv_store", VALUE, "tlv")
    held = made.owner(SLOT, "stack")
    away = made.owner(SLOT, "slab")
    bad = made.owner(VALUE, "non-canonical")
    found = collect(machine.session, made.data_flow(made.way(read, held_in=held), bad=bad))
    assert isinstance(found, StackOverrun)
    assert found.function is None
    found = collect(machine.session, made.data_flow(made.way(read, held_in=away), bad=bad))
    assert isinstance(found, Missing)
