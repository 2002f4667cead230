"""A module's types stand on the kernel's, which they name and do not repeat."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from handmade_btf import PTR, SIGNED, TYPEDEF, BtfMaker

from oopsight.errors import SymbolError
from oopsight.symbols.pack.btf import Btf, parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, elf_image
from oopsight.symbols.pack.module_types import module_types


def kernel() -> tuple[BtfMaker, Btf]:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    maker.struct("list_head", 16, ("next", maker.next + 1, 0), ("prev", maker.next + 1, 64))
    maker.add(PTR, "", maker.next - 1)
    maker.add(TYPEDEF, "count_t", number)
    return maker, parse_btf(maker.data())


def module(base: BtfMaker) -> bytes:
    maker = BtfMaker(first=base.next, string_base=len(base.strings))
    numbers = maker.array(1, 3, 1)
    inner = maker.struct("", 8, ("a", 4, 0), ("b", 1, 32))
    widget = maker.struct(
        "widget", 48, ("list", 2, 0), ("next", 3, 128), ("", inner, 192), ("ids", numbers, 256)
    )
    maker.struct("holder", 8, ("widget", maker.next + 1, 0))
    maker.add(PTR, "", widget)
    return maker.data()


def load(prog: drgn.Program, name: str, image: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(image)
    module = prog.extra_module(name, create=True)
    module = module[0] if isinstance(module, tuple) else module
    module.try_file(path, force=True)


def test_types_of_both_are_whole(tmp_path: Path) -> None:
    maker, base = kernel()
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    parts = [Part(name, data) for name, data in Writer(base).sections().items()]
    load(prog, "kernel", elf_image(parts, (0x1000, 0x1000), kind=ET_EXEC), tmp_path)
    load(prog, "module", module_types(module(maker), base), tmp_path)
    widget = prog.type("struct widget")
    found = [(m.name, m.bit_offset // 8, m.type.type_name()) for m in widget.members]
    assert (widget.size, found[0], found[1], found[3]) == (
        48,
        ("list", 0, "struct list_head"),
        ("next", 16, "struct list_head *"),
        ("ids", 32, "int [3]"),
    )
    assert widget.member("list").type.member("prev").bit_offset == 64
    assert widget.member("a").type.type_name() == "count_t"
    assert prog.type("struct holder").member("widget").type.type.size == 48


def test_a_module_of_another_kernel_or_a_damaged_one_is_told() -> None:
    maker, base = kernel()
    data = module(maker)
    told = 0
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            module_types(bytes(damaged), base)
        except (SymbolError, ArithmeticError, LookupError, ValueError):
            told += 1
    assert told > 40
    for cut in range(0, len(data), 7):
        with pytest.raises(SymbolError):
            module_types(data[:cut], base)
