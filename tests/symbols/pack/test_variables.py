"""A type of the table is believed only as far as it was checked and as it fits."""

from __future__ import annotations

import zlib
from importlib import resources

import pytest
from handmade_btf import FUNC_PROTO, PTR, SIGNED, TYPEDEF, BtfMaker

from oopsight.symbols import seal
from oopsight.symbols.pack import variables
from oopsight.symbols.pack.btf import parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.variables import Resolver, add_variables, fits, parse_table

AT = 0xFFFFFFFF82000000
TABLE = """# comment
checked 5.10 6.1 6.12
labels inner
@ 5.10 6.1 6.12
struct list_head: modules caches
@ 5.10 6.1
int: shrunk
@ 6.12
long: shrunk
*const struct list_head: new
"""


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ((6, 1), {"modules", "caches", "shrunk"}),
        ((6, 12), {"modules", "caches", "shrunk", "new"}),
        ((6, 6), {"modules", "caches", "new"}),  # shrunk is one or the other
        ((5, 15), {"modules", "caches", "shrunk"}),
        ((7, 5), {"modules", "caches"}),  # newer than all: only what never changed
        ((4, 18), {"modules", "caches"}),
    ],
)
def test_series_between_those_that_were_checked(
    series: tuple[int, int], expected: set[str]
) -> None:
    assert set(parse_table(TABLE).of(series)) == expected


def test_the_type_is_the_one_of_the_series() -> None:
    table = parse_table(TABLE)
    assert table.of((6, 1))["shrunk"] == "int"
    assert table.of((6, 12))["shrunk"] == "long"
    assert table.labels == {"inner"}


def test_room_is_the_size_and_the_padding_that_alignment_explains() -> None:
    assert fits(8, 0x1000, 8)
    assert fits(4, 0x1000, 8)
    assert not fits(4, 0x1000, 12)  # 8 bytes left over before an address that 4 divides
    assert not fits(16, 0x1000, 8)
    assert not fits(0, 0x1000, 8)
    assert fits(20, 0x1000, 64)
    assert fits(8, 0x1000, 100, open_ended=True)


@pytest.fixture
def resolver() -> Resolver:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    maker.int("long unsigned int", 8)
    head = maker.struct("list_head", 16, ("next", maker.add(PTR, "", 0), 0))
    maker.struct("twice", 4, ("a", number, 0))
    maker.struct("twice", 8, ("b", number, 0))
    maker.add(TYPEDEF, "callback", maker.prototype(0))
    maker.add(TYPEDEF, "heads", maker.array(head, 3, number))
    maker.struct("tail", 8, ("n", number, 0), ("rest", maker.array(number, 0, number), 32))
    types = parse_btf(maker.data())
    assert FUNC_PROTO in types.kind
    return Resolver(types, Writer(types))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("struct list_head", 16),
        ("unsigned long", 8),
        ("heads", 48),
        ("*struct list_head", 8),
        ("*void", 8),
        ("*callback", 8),
        ("const [4][2]struct list_head", 128),
        ("{24;0 head struct list_head;16 count int}", 24),
    ],
)
def test_sizes(resolver: Resolver, text: str, size: int) -> None:
    found = resolver.resolve(text)
    assert found is not None
    assert found[1] == size


@pytest.mark.parametrize(
    "text",
    [
        "struct absent",
        "struct twice",  # two of them
        "union list_head",
        "[4]struct absent",
        "{16;0 a struct list_head;8 b int}",  # the first member has grown into the second
        "{16;0 a struct absent}",
    ],
)
def test_types_that_are_not_there(resolver: Resolver, text: str) -> None:
    assert resolver.resolve(text) is None


def test_an_array_of_unknown_length_fills_the_room(resolver: Resolver) -> None:
    def found(text: str, room: int, *, checked: bool = False) -> bool:
        return resolver.of_variable(text, 0x1000, room, checked=checked) is not None

    assert found("[0]struct list_head", 64)
    assert not found("[0]struct list_head", 8)
    assert found("struct tail", 4000)
    assert not found("struct list_head", 4000)
    assert found("struct list_head", 4000, checked=True)
    assert not found("struct list_head", 8, checked=True)


class Symbols:
    def __init__(self, **symbols: tuple[int, int]) -> None:
        self.symbols = symbols

    def find(self, name: str) -> tuple[int, int] | None:
        return self.symbols.get(name)


def test_what_the_kernel_has_but_cannot_be_believed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maker = BtfMaker()
    maker.struct("list_head", 16, ("n", maker.int("int", 4), 0))
    types = parse_btf(maker.data())
    monkeypatch.setattr(variables, "variable_types", lambda: parse_table(TABLE))
    symbols = Symbols(modules=(AT, 16), caches=(AT + 64, 8), new=(AT + 128, 8))
    assert add_variables(Writer(types), types, symbols, "6.1.0", set()) == ["caches", "new"]
    symbols = Symbols(modules=(AT, 68))
    assert add_variables(Writer(types), types, symbols, "6.1.0", set()) == []
    assert add_variables(Writer(types), types, symbols, "6.6.0", set()) == ["modules"]
    assert add_variables(Writer(types), types, symbols, "6.6.0", {AT}) == []


def test_the_seal_knows_the_table() -> None:
    """Where this fails, the table was made anew: set ``seal.TABLE`` to its checksum."""
    table = resources.files("oopsight.symbols.pack").joinpath("variables.txt").read_bytes()
    assert zlib.crc32(table) == seal.TABLE
