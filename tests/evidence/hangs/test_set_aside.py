"""Lists beside a count."""

from __future__ import annotations

from handmade_session import Machine

from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.set_aside import full_heads

COUNTER, FAILED = 0xFFFF888000001128, 0xFFFF888000001110
ENTRY = 0xFFFF888000002000


def heads(count: int, back: int = FAILED) -> list[int]:
    machine = Machine()
    page = bytearray(0x1000)
    for at, word in {FAILED: ENTRY, FAILED + 8: ENTRY + 0x40}.items():
        page[at & 0xFFF : (at & 0xFFF) + 8] = word.to_bytes(8, "little")
    machine.memory[COUNTER & ~0xFFF] = bytes(page)
    entries = bytearray(0x1000)
    links = {0: ENTRY + 0x40, 8: back, 0x40: FAILED, 0x48: ENTRY}
    for offset, word in links.items():
        entries[offset : offset + 8] = word.to_bytes(8, "little")
    machine.memory[ENTRY] = bytes(entries)
    return full_heads(SessionReader(machine.session).read, COUNTER, count)


def test_a_list_with_as_many_entries_as_are_counted() -> None:
    assert heads(2) == [FAILED]
    assert heads(1) == []
    assert heads(0) == []
    assert heads(2, back=ENTRY) == []  # it is no list
