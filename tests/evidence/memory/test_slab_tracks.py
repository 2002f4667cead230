"""Whom the first function of a record called, from the bytes before its return address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.memory.slab_tracks import handed_on as whom_it_called

MODULE = 0xFFFFFFFFC0400000
BACK = MODULE + 0x10  # where the function that is recorded goes on, handmade_facts.track
SYMBOLS = {
    MODULE + 0x100: "sink_event",
    0xFFFFFFFF81200000: "kfree",
    0xFFFFFFFF81300000: "__x86_indirect_thunk_rax",
}


def call(target: int) -> bytes:
    return b"\xe8" + (target - BACK).to_bytes(4, "little", signed=True)


@pytest.mark.parametrize(
    ("code", "handed_on", "by"),
    [
        (call(0xFFFFFFFF81200000), False, None),
        (call(0xFFFFFFFF81300000), True, None),
        (call(MODULE + 0x100), True, "sink_event"),
        (bytes.fromhex("909090ffd0"), True, None),  # call rax
    ],
)
def test_whom_the_recorded_function_called(code: bytes, handed_on: bool, by: str | None) -> None:
    def symbol(address: int) -> Any:
        return SimpleNamespace(name=SYMBOLS[address])

    prog: Any = SimpleNamespace(read=lambda _address, _size: code, symbol=symbol)
    modules = made.modules(made.module("sink", MODULE, MODULE + 0x1000))
    record = made.track("freed", "bus_run", "bus")
    found, function = whom_it_called(prog, modules, record.blamable[0])
    assert found is handed_on
    assert (function.function if function else None) == by
