"""What drgn reads from the DWARF is what the BTF said."""

from __future__ import annotations

from pathlib import Path

import drgn
import numpy as np
import pytest
from drgn import Program, TypeKind
from handmade_btf import (
    BOOL,
    CONST,
    FLOAT,
    FUNC,
    FWD,
    PTR,
    SIGNED,
    TYPE_TAG,
    TYPEDEF,
    UNION,
    VOLATILE,
    BtfMaker,
)

from oopsight.symbols.pack.btf import BadBtfError, parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, elf_image


def loaded(tmp_path: Path, writer: Writer) -> Program:
    path = tmp_path / "pack"
    parts = [Part(name, data) for name, data in writer.sections().items()]
    path.write_bytes(elf_image(parts, (0x1000, 0x100000), kind=ET_EXEC))
    prog = Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.extra_module("pack", create=True)
    module.try_file(path, force=True)
    assert module.debug_file_status == drgn.ModuleFileStatus.HAVE
    return prog


def program(tmp_path: Path, maker: BtfMaker) -> Program:
    return loaded(tmp_path, Writer(parse_btf(maker.data())))


def test_base_types(tmp_path: Path) -> None:
    maker = BtfMaker()
    maker.int("int", 4, SIGNED)
    maker.int("char", 1, SIGNED)
    maker.int("long unsigned int", 8)
    maker.int("_Bool", 1, BOOL)
    maker.add(FLOAT, "double", 8)
    prog = program(tmp_path, maker)
    assert prog.type("int").is_signed
    assert prog.type("char").size == 1
    assert prog.type("unsigned long").size == 8
    assert not prog.type("unsigned long").is_signed
    assert prog.type("_Bool").kind == TypeKind.BOOL
    assert prog.type("double").kind == TypeKind.FLOAT


def test_structs_with_bit_fields_and_members_without_a_name(tmp_path: Path) -> None:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    inner = maker.struct("", 4, ("a", number, 0), kind=UNION)
    maker.struct("plain", 12, ("x", number, 0), ("", inner, 32), ("z", number, 64))
    maker.struct("bits", 4, ("low", number, 3 << 24 | 0), ("high", number, 5 << 24 | 3), flag=1)
    maker.struct("after", 4, ("y", number, 0))
    maker.struct("empty", 0)
    prog = program(tmp_path, maker)
    plain = prog.type("struct plain")
    assert [(m.name, m.bit_offset) for m in plain.members] == [("x", 0), (None, 32), ("z", 64)]
    assert plain.member("a").bit_offset == 32
    bits = prog.type("struct bits")
    assert [(m.name, m.bit_offset, m.bit_field_size) for m in bits.members] == [
        ("low", 0, 3),
        ("high", 3, 5),
    ]
    assert prog.type("struct after").members[0].name == "y"
    assert not prog.type("struct empty").members


def test_references_arrays_and_tags(tmp_path: Path) -> None:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    tag = maker.add(TYPE_TAG, "user", number)
    constant = maker.add(CONST, "", tag)
    pointer = maker.add(PTR, "", constant)
    void_pointer = maker.add(PTR, "", 0)
    array = maker.array(pointer, 3, number)
    flexible = maker.array(number, 0, number)
    forward = maker.add(FWD, "later", 0)
    to_forward = maker.add(PTR, "", forward)
    volatile = maker.add(VOLATILE, "", 0)
    to_volatile = maker.add(PTR, "", volatile)
    alias = maker.add(TYPEDEF, "alias", array)
    kinds = (alias, void_pointer, to_forward, to_volatile, flexible)
    members = [(f"m{i}", number, i * 64) for i, number in enumerate(kinds)]
    maker.struct("all", 64, *members)
    prog = program(tmp_path, maker)
    assert [m.type.type_name() for m in prog.type("struct all").members] == [
        "alias",
        "void *",
        "struct later *",
        "volatile void *",
        "int []",
    ]
    assert prog.type("alias").type.type_name() == "const int *[3]"
    assert prog.type("alias").type.length == 3


@pytest.mark.parametrize("flag", [0, 1])
def test_enumerations(tmp_path: Path, flag: int) -> None:
    maker = BtfMaker()
    maker.int("int", 4, SIGNED)
    maker.int("unsigned int", 4)
    maker.enum("small", 4, ("ZERO", 0), ("BIG", 0x90000000), flag=0)
    maker.enum("negative", 4, ("MINUS", -3), ("ONE", 1), flag=1)
    wide = -(1 << 40) if flag else 1 << 63
    maker.enum64("wide", ("WIDE", wide), ("TWO", 2), flag=flag)
    maker.enum("", 4, ("ANONYMOUS", 7), flag=0)
    maker.enum("declared", 4)
    prog = program(tmp_path, maker)
    assert prog.constant("BIG").value_() == 0x90000000
    assert prog.constant("MINUS").value_() == -3
    assert prog.constant("WIDE").value_() == wide
    assert prog.constant("ANONYMOUS").value_() == 7
    assert prog.type("enum negative").type.type_name() == "int"
    assert [e.name for e in prog.type("enum wide").enumerators] == ["WIDE", "TWO"]


def test_enumerations_of_an_older_pahole_without_signs(tmp_path: Path) -> None:
    maker = BtfMaker()
    maker.enum("old", 4, ("MINUS", -3), ("ONE", 1))
    maker.enum("plain", 4, ("TWO", 2))
    prog = program(tmp_path, maker)
    assert prog.constant("MINUS").value_() == -3
    assert prog.constant("TWO").value_() == 2


def test_functions_and_their_prototypes(tmp_path: Path) -> None:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    pointer = maker.add(PTR, "", number)
    first = maker.prototype(number, ("count", number), ("where", pointer))
    second = maker.prototype(0, ("", number), ("", 0))
    maker.struct("ops", 16, ("call", maker.add(PTR, "", first), 0))
    maker.add(FUNC, "sum", first)
    maker.add(FUNC, "log", second)
    types = parse_btf(maker.data())
    writer = Writer(types)
    rows = types.rows(FUNC)
    writer.add_functions(rows, np.array([0x1100, 0x1200], np.uint64))
    prog = loaded(tmp_path, writer)
    found = prog.function("sum")
    assert found.address_ == 0x1100
    assert [(p.name, p.type.type_name()) for p in found.type_.parameters] == [
        ("count", "int"),
        ("where", "int *"),
    ]
    assert found.type_.type.type_name() == "int"
    assert prog.function("log").type_.is_variadic
    assert prog.function("log").type_.type.kind == TypeKind.VOID
    member = prog.type("struct ops").members[0].type
    assert [p.name for p in member.type.parameters] == [None, None]


def test_variables_of_types_that_btf_has_not(tmp_path: Path) -> None:
    maker = BtfMaker()
    number = maker.int("int", 4, SIGNED)
    types = parse_btf(maker.data())
    writer = Writer(types)
    place = writer.place(number)
    table = writer.array_of(writer.pointer_to(writer.qualified(CONST, place)), (2, 3))
    pair = writer.struct_of(16, [("a", place, 0), ("b", writer.pointer_to(0), 8)])
    names = [writer.string(name) for name in ("table", "pair")]
    writer.add_variables(names, [table, pair], np.array([0x1010, 0x1040], np.uint64))
    prog = loaded(tmp_path, writer)
    assert prog.variable("table").type_.type_name() == "const int *[2][3]"
    assert prog.variable("pair").address_ == 0x1040
    assert prog.variable("pair").type_.member("b").bit_offset == 64


def test_a_reference_to_nothing_is_refused() -> None:
    maker = BtfMaker()
    maker.add(PTR, "", 99)
    with pytest.raises(BadBtfError, match="does not exist"):
        Writer(parse_btf(maker.data()))
