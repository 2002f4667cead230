"""Where a text lies that was met as a pointer."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.corruption import text_behind as collector
from oopsight.evidence.corruption.text_behind import text_behind

BASE = 0xFFFFFFFFC0300000
MODULES = made.modules(
    made.module("pump", BASE, BASE + 0x1000, "O"),
    made.module("virtio", BASE + 0x4000, BASE + 0x5000),
)
LINE, OTHER = 0xFFFF888000040000, 0xFFFF888000050000
TEXT = int.from_bytes(b"ed5 9748", "little")


@pytest.mark.parametrize(
    ("at", "found"), [(LINE + 96 + 8, True), (LINE + 96 + 4, False), (OTHER + 96, False)]
)
def test_a_word_behind_what_a_module_leads_to(
    monkeypatch: pytest.MonkeyPatch, at: int, found: bool
) -> None:
    held = {
        "pump": [(Address(BASE + 0x800), LINE.to_bytes(8, "little"))],
        "virtio": [(Address(BASE + 0x4800), OTHER.to_bytes(8, "little"))],
    }
    monkeypatch.setattr(collector, "contents", lambda _, module: held[module.name])
    machine = Machine()
    for begin in (LINE, OTHER):
        data = bytearray(0x1000)
        if begin <= at < begin + 0x1000:
            data[at - begin : at - begin + 8] = b"ed5 9748"
        machine.memory[begin] = bytes(data)
    assert text_behind(machine.session, MODULES, TEXT) == ([at] if found else [])
