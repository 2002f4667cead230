"""Numbers and copies that run over a pointer, on bytes and memory made by hand."""

from __future__ import annotations

import struct
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.corruption import written_over as tested
from oopsight.evidence.corruption.written_over import Series, series, written_over

POINTER = 0xFFFFFFFFC0401000


@pytest.mark.parametrize(
    ("code", "before", "field", "found"),
    [
        # u16 in steps of 17, two of them in the lower half of the pointer.
        ("H", range(300, 300 + 17 * 14, 17), (538, 555, 0xFFFF, 0xFFFF), Series(0, 32, 2, 17)),
        # The same u32 again and again.
        ("I", [0xC0] * 8, (0xC0, 0xFFFFFFFF), Series(0, 36, 4, 0)),
        # Whole words.
        ("Q", [5, 6, 7, 8], (9,), Series(0, 40, 8, 1)),
        # Samples that are near each other: the pointer's upper half is left.
        ("I", [900, 907, 899, 910, 903, 905], (911, 0xFFFFFFFF), Series(0, 28, 4, None)),
        # A good pointer, whatever lies before it.
        ("I", [0xC0] * 8, (0xC0401000, 0xFFFFFFFF), None),
        # Memory that was never written, and what the allocator writes.
        ("I", [0] * 8, (0, 0), None),
        ("I", [0x6B6B6B6B] * 8, (0x6B6B6B6B, 0x6B6B6B6B), None),
        # Too few before.
        ("I", [1, 2, 3], (4, 0xFFFFFFFF), None),
        # The pointer is another number altogether.
        ("I", [900, 907, 899, 910, 903, 905], (911, 0x1234), None),
    ],
)
def test_series(code: str, before: Any, field: tuple[int, ...], found: Series | None) -> None:
    head = struct.pack(f"<{len(before)}{code}", *before)
    data = head + struct.pack(f"<{len(field)}{code}", *field)
    assert series(data, len(head), len(head)) == found


ONE = made.slab_object()
BEFORE = made.slab_object(address=ONE.address - ONE.stride)
MODULE = 0xFFFFFFFFC0400000
MODULES = made.modules(made.module("route", MODULE, MODULE + 0x200, "O"))
RAN = bytes(range(0x80, 0xA8))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    size = ONE.stride
    found.memory[int(BEFORE.address)] = bytes(size - 16) + RAN[:32] + bytes(size)
    found.memory[MODULE] = bytes(0x200)
    monkeypatch.setattr(tested, "neighbour", lambda *_: BEFORE)
    return found


def test_bytes_that_a_module_has_in_one_piece_were_copied(machine: Machine) -> None:
    def found() -> Any:
        return written_over(machine.session, MODULES, ONE, int(ONE.address) + 8, None)

    assert found() is None
    machine.memory[MODULE] = bytes(0x40) + RAN + bytes(0x200 - 0x40 - len(RAN))
    machine.symbols = {MODULE + 0x40: ("route_defaults", 0x80)}
    copied = found()
    assert copied.source.address == MODULE + 0x40
    assert "route_defaults" in copied.kind
    assert (copied.sure, copied.within, copied.before) == (True, False, BEFORE)


def test_an_object_unlike_its_kind_behind_a_full_one_is_only_possibly_run_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = MODULE + 0x1000
    machine.words(kept - 32, *(0xFFFF888000100000 + 0x100 * n for n in range(9)))

    def owner_of(_session: Any, _modules: Any, address: int) -> Any:
        slab = made.slab_object(address=address) if address < POINTER else None
        return made.owner(address, "slab" if slab else "module", slab=slab)

    for n in range(9):
        machine.words(0xFFFF888000100000 + 0x100 * n, 1, POINTER)
    monkeypatch.setattr(tested, "owner_of", owner_of)
    found = written_over(machine.session, MODULES, ONE, int(ONE.address) + 8, kept)
    assert found is not None
    assert not found.sure
    assert written_over(machine.session, MODULES, ONE, int(ONE.address) + 8, None) is None
