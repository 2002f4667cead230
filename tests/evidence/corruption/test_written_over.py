"""Numbers and copies that run over a pointer, on bytes and memory made by hand."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.corruption import overrun
from oopsight.evidence.corruption import written_over as tested
from oopsight.evidence.corruption.written_over import Records, Series, records, series, written_over

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


def tiles(count: int, pattern: int = 0x3C7E7E3C) -> bytes:
    """Entries of 16 bytes: a number that goes on, and the same pattern in each."""
    return b"".join(struct.pack("<4I", n << 16 | n, 9, pattern, pattern) for n in range(count))


def test_entries_that_are_alike_in_the_pointer_go_on_in_another_number() -> None:
    data = tiles(6)
    assert records(data, 80, 88) == Records(8, 96, 16, (0, 0))
    # A wide number that goes on round its end.
    data = b"".join(
        struct.pack("<2IQ", 3 << n, 7, (n * 0xC0FFEE00D15EA5E5) % 2**64) for n in range(6)
    )
    found = records(data, 80, 88)
    assert found is not None
    assert (found.begin, found.stride) == (8, 16)
    # The same bytes again and again are no entries that go on.
    assert records(struct.pack("<4I", 7, 9, 5, 5) * 6, 80, 88) is None


def test_entries_begin_in_the_first_of_the_objects_that_they_fill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 64
    chain = {
        number: replace(ONE, address=Address(ONE.address - number * size), size=size, stride=size)
        for number in range(5)
    }
    objects = {int(one.address): one for one in chain.values()}
    for module in (tested, overrun):
        monkeypatch.setattr(
            module, "neighbour", lambda _, __, one, by: objects.get(one.address + by * size)
        )
    machine = Machine()
    begin = int(chain[4].address)
    # The fourth before is whole, the third is where the entries begin.
    machine.memory[begin] = bytes(size) + tiles(14) + bytes(2 * size)
    found = written_over(machine.session, MODULES, chain[0], int(ONE.address) + 8, None)
    assert found is not None
    assert (found.before.address, found.stride, found.within) == (chain[3].address, 16, False)
    assert found.end == ONE.address + 16


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
    for module in (tested, overrun):
        monkeypatch.setattr(module, "neighbour", lambda *a: BEFORE if a[2] is ONE else None)
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


def test_numbers_that_follow_each_other_in_equal_steps_are_no_entries(machine: Machine) -> None:
    samples = struct.pack("<72H", *range(0x4100, 0x4100 + 7 * 72, 7))
    begin, border = int(BEFORE.address), int(ONE.address) - int(BEFORE.address)
    behind = 16
    ran = samples[len(samples) - min(border, 128) - behind :]
    machine.memory[begin] = (bytes(border + behind - len(ran)) + ran).ljust(border + 128, b"\0")
    # Each third of the 32-bit halves goes on in equal steps as well.
    assert records(machine.memory[begin][: border + behind], border, border + 8) is not None
    found = written_over(machine.session, MODULES, ONE, int(ONE.address) + 8, None)
    assert found is not None
    assert (found.width, found.stride, found.end) == (2, 0, ONE.address + behind)


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
