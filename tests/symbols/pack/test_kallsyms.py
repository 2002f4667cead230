"""kallsyms from hand-made tables, in the layouts that kernels have had."""

from __future__ import annotations

import struct

import pytest

from oopsight.errors import SymbolError
from oopsight.symbols.pack.kallsyms import Kallsyms, named_places, read_kallsyms

START = 0xFFFFFFFF82000000
# Each byte stands for itself but these two.
TOKENS = {0x80: b"sched", 0x81: b"ule"}
SYMBOLS = [(0, "Afixed"), (0x1000, "Atask"), (0x10, "Tschedule"), (0x20, "tinner"), (0x20, "Tx")]
BASE = 0xFFFFFFFF81000000


def compressed(name: str) -> bytes:
    raw = name.encode()
    for code, token in TOKENS.items():
        raw = raw.replace(token, bytes([code]))
    return bytes([len(raw)]) + raw


class Image:
    """Memory with the tables, and their addresses."""

    def __init__(self, names: bytes, offsets: list[int], *, base: bool = True) -> None:
        table, index = b"", []
        for code in range(256):
            index.append(len(table))
            table += TOKENS.get(code, bytes([code or 1])) + b"\0"
        parts = {
            "num_syms": struct.pack("<I", len(offsets)),
            "names": names,
            "token_table": table,
            "token_index": struct.pack("<256H", *index),
            "offsets": struct.pack(f"<{len(offsets)}i", *offsets),
        }
        if base:
            parts["relative_base"] = struct.pack("<Q", BASE)
        self.memory = b""
        self.where = {}
        for name, data in parts.items():
            self.memory += bytes(-len(self.memory) % 8)
            self.where[f"kallsyms_{name}"] = START + len(self.memory)
            self.memory += data
        self.memory += bytes(-len(self.memory) % 4096)

    def read(self, address: int, size: int) -> bytes:
        at = address - START
        if at < 0 or at + size > len(self.memory):
            raise SymbolError(f"{address:#x} is not in the dump")
        return self.memory[at : at + size]


def kallsyms(image: Image) -> Kallsyms:
    places = named_places(image.where.get)
    assert places is not None
    return read_kallsyms(image.read, places)


def names() -> bytes:
    return b"".join(compressed(name) for _, name in SYMBOLS)


def test_names_types_and_absolute_per_cpu_addresses() -> None:
    # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: not negative is absolute, else relative_base - 1 - offset.
    offsets = [0, 0x1000, -1 - 0x10, -1 - 0x20, -1 - 0x20]
    image = Image(names(), offsets)
    found = kallsyms(image)
    assert [found.name(i) for i in range(5)] == ["fixed", "task", "schedule", "inner", "x"]
    assert bytes(found.types) == b"AATtT"
    assert found.addresses.tolist() == [0, 0x1000, BASE + 0x10, BASE + 0x20, BASE + 0x20]


def test_addresses_all_relative_to_the_base() -> None:
    image = Image(names(), [0, 1, 2, 3, 0x3FFFFFFF])
    assert kallsyms(image).addresses.tolist() == [
        BASE + offset for offset in (0, 1, 2, 3, 0x3FFFFFFF)
    ]


def test_addresses_relative_to_their_own_place_since_the_base_is_gone() -> None:
    image = Image(names(), [-0x100, -0x80, 0, 4, 8], base=False)
    place = image.where["kallsyms_offsets"]
    assert kallsyms(image).addresses.tolist() == [
        place - 0x100,
        place + 4 - 0x80,
        place + 8,
        place + 16,
        place + 24,
    ]


def test_a_long_name_has_two_bytes_of_length() -> None:
    long = "T" + "n" * 299
    image = Image(bytes([0x80 | 300 & 0x7F, 300 >> 7]) + long.encode(), [0])
    assert kallsyms(image).name(0) == "n" * 299


def test_a_kernel_that_does_not_tell_where_they_are() -> None:
    image = Image(names(), [0] * 5)
    del image.where["kallsyms_names"]
    assert named_places(image.where.get) is None


@pytest.mark.parametrize("count", [0, 1 << 30, 4000])
def test_a_damaged_count_is_refused(count: int) -> None:
    image = Image(names(), [0] * 5)
    image.memory = struct.pack("<I", count) + image.memory[4:]
    with pytest.raises(SymbolError):
        kallsyms(image)
