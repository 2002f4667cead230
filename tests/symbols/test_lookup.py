"""Bisection in a pack's symbols against a search through all of them."""

from __future__ import annotations

import random
from pathlib import Path

import drgn
import numpy as np
import pytest

from oopsight.errors import SymbolError
from oopsight.symbols.lookup import (
    SymbolTable,
    UntypedVariableError,
    install,
    install_modules,
    name_hash,
    symbols_between,
    symbols_matching,
)
from oopsight.symbols.pack.build import Table, symbol_parts
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, elf_image
from oopsight.symbols.pack.kallsyms import Kallsyms

BASE = 0xFFFFFFFF81000000
MOVED = 0x12000000
ROWS = [
    (0, "A", "per_cpu"),
    (BASE, "T", "_text"),  # a label too
    (BASE, "T", "startup"),
    (BASE + 0x10, "t", "inner"),
    (BASE + 0x10, "T", "outer"),
    (BASE + 0x30, "t", "again"),
    (BASE + 0x38, "T", "entry_SYSCALL_64_after_hwframe"),  # a label: holds nothing
    (BASE + 0x40, "W", "weak"),
    (BASE + 0x80, "t", "again"),
    (BASE + 0x100, "D", "_end"),
]


def kallsyms() -> Kallsyms:
    strings = b"".join(f"{kind}{name}\0".encode() for _, kind, name in ROWS)
    ends = np.cumsum([len(name) + 2 for _, _, name in ROWS])
    starts = np.concatenate(([0], ends[:-1]))
    addresses = [a + MOVED if a >= BASE else a for a, _, _ in ROWS]
    types = np.frombuffer("".join(kind for _, kind, _ in ROWS).encode(), np.uint8)
    return Kallsyms(np.array(addresses, np.uint64), types, strings, starts + 1)


@pytest.fixture
def table(tmp_path: Path) -> SymbolTable:
    parts = [*symbol_parts(Table(kallsyms(), MOVED)), Part(".oopsight.untyped", b"one\ntwo")]
    path = tmp_path / "pack"
    path.write_bytes(elf_image(parts, (BASE, 0x1000), kind=ET_EXEC))
    return SymbolTable(path, MOVED)


def found(table: SymbolTable, name: str | None, address: int | None, *, one: bool) -> list[str]:
    return [s.name for s in table(drgn.Program(), name, address, one)]


@pytest.mark.parametrize(
    ("offset", "names"),
    [
        (0x0, ["startup"]),
        (0xF, ["startup"]),
        (0x10, ["outer", "inner"]),
        (0x2F, ["outer", "inner"]),
        (0x39, ["again"]),
        (0x50, ["weak"]),
        (0x81, ["again"]),
        (0x100, []),
        (0x2000, []),
    ],
)
def test_by_address(table: SymbolTable, offset: int, names: list[str]) -> None:
    assert found(table, None, BASE + MOVED + offset, one=False) == names
    assert found(table, None, BASE + MOVED + offset, one=True) == names[:1]


def test_an_offset_of_a_per_cpu_variable_is_no_address(table: SymbolTable) -> None:
    assert found(table, None, 0, one=False) == []
    assert table(drgn.Program(), "per_cpu", None, True)[0].address == 0


def test_by_name(table: SymbolTable) -> None:
    symbols = table(drgn.Program(), "again", None, False)
    assert sorted(s.address for s in symbols) == [BASE + MOVED + 0x30, BASE + MOVED + 0x80]
    assert found(table, "absent", None, one=False) == []
    assert found(table, "outer", BASE + MOVED + 0x11, one=False) == ["outer"]
    assert found(table, "outer", BASE + MOVED + 0x31, one=False) == []
    assert sorted(found(table, None, None, one=False)) == sorted(name for _, _, name in ROWS)


def test_between_two_addresses(table: SymbolTable) -> None:
    assert table.between(0, 0x1000) == [(0, "per_cpu")]
    start = BASE + MOVED
    names = [(start + 0x30, "again"), (start + 0x38, "entry_SYSCALL_64_after_hwframe")]
    assert table.between(start + 0x30, start + 0x40) == names


def test_names_that_match(table: SymbolTable) -> None:
    assert table.matching(r"\w*ner") == ["inner"]
    assert sorted(table.matching("_?again|_end")) == ["_end", "again", "again"]


@pytest.mark.parametrize("from_pack", [True, False])
def test_of_a_program(table: SymbolTable, *, from_pack: bool) -> None:
    prog = drgn.Program()
    if from_pack:
        install(prog, table)
    else:
        prog.register_symbol_finder("other", table, enable_index=0)
    assert symbols_between(prog, 0, 0x1000) == [(0, "per_cpu")]
    kinds = (drgn.SymbolBinding.LOCAL, drgn.SymbolKind.OBJECT)
    head = drgn.Symbol("spinner", 0xFFFFFFFFC0000000, 8, *kinds)
    install_modules(prog, lambda *_: [head])
    assert sorted(symbols_matching(prog, r"\w+nner")) == ["inner", "spinner"]


def test_binding_and_kind(table: SymbolTable) -> None:
    symbol = table(drgn.Program(), "weak", None, True)[0]
    assert (symbol.binding, symbol.kind) == (drgn.SymbolBinding.WEAK, drgn.SymbolKind.FUNC)
    assert table(drgn.Program(), "inner", None, True)[0].binding == drgn.SymbolBinding.LOCAL


def test_the_hash_is_the_writers() -> None:
    chance = random.Random(2)  # noqa: S311
    for _ in range(100):
        name = bytes(
            chance.choices(b"abcdefghijklmnopqrstuvwxyz_.0123456789", k=chance.randrange(1, 60))
        )
        total = sum(byte * 31 ** (i + 1) for i, byte in enumerate(name))
        assert name_hash(name) == total % 2**32


def test_an_untyped_variable_is_no_absent_one(table: SymbolTable) -> None:
    flags = drgn.FindObjectFlags.VARIABLE
    assert table.refuse_untyped(drgn.Program(), "other", flags, None) is None
    with pytest.raises(UntypedVariableError, match="the type of two"):
        table.refuse_untyped(drgn.Program(), "two", flags, None)


def test_a_pack_without_its_index(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(elf_image([Part(".symtab", b"")], None, kind=ET_EXEC))
    with pytest.raises(SymbolError, match="index"):
        SymbolTable(path, 0)
