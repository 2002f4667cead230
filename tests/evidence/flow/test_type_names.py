"""Names of members and parameters, on types made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from oopsight.evidence.flow import type_names


@pytest.fixture(scope="module")
def prog() -> Any:
    import drgn

    return drgn.Program(drgn.Platform(drgn.Architecture.X86_64))


def members(prog: Any) -> dict[str, Any]:
    import drgn

    long = prog.int_type("long", 8, True)
    char = prog.int_type("char", 1, True)
    inner = prog.struct_type(
        "inner",
        16,
        (
            drgn.TypeMember(prog.pointer_type(char), "label", 0),
            drgn.TypeMember(long, "count", 64),
        ),
    )
    choice = prog.union_type(
        None, 8, (drgn.TypeMember(long, "number", 0), drgn.TypeMember(char, "letter", 0))
    )
    outer = prog.struct_type(
        "outer",
        64,
        (
            drgn.TypeMember(inner, "first", 0),
            drgn.TypeMember(prog.array_type(inner, 2), "rest", 128),
            drgn.TypeMember(choice, None, 384),
            drgn.TypeMember(prog.pointer_type(inner), "next", 448),
        ),
    )
    return {"inner": inner, "outer": outer, "long": long}


@pytest.mark.parametrize(
    ("offset", "name"),
    [
        (0, "first.label"),
        (8, "first.count"),
        (16, "rest[0].label"),
        (40, "rest[1].count"),
        (48, "number"),
        (56, "next"),
        (4, None),
        (64, None),
        (-8, None),
    ],
)
def test_the_member_at_an_offset(prog: Any, offset: int, name: str | None) -> None:
    found = type_names.member_at(members(prog)["outer"], offset)
    assert (found[0] if found else None) == name


def test_what_a_pointer_points_to(prog: Any) -> None:
    kinds = members(prog)
    typedef = prog.typedef_type("handle", prog.pointer_type(kinds["outer"]))
    found = type_names.pointee(typedef)
    assert found is not None
    assert type_names.short_name(found) == "struct outer"
    assert type_names.pointee(kinds["long"]) is None
    assert type_names.pointee(prog.pointer_type(kinds["long"])) is None
    assert type_names.pointee(None) is None


def test_what_is_not_known_is_none(prog: Any) -> None:
    assert type_names.parameter(prog, "f", 0, "rdi") is None
    assert type_names.parameter(prog, "f.isra.0", 0, "rdi") is None
    assert type_names.parameter(prog, "f", 0, "rbx") is None
    assert type_names.returned(prog, "f", 0) is None
    assert type_names.variable(prog, "v", 0) is None
    assert type_names.cache_type(prog, "kmalloc-64", 64) is None


def test_debug_information_that_drgn_does_not_know_is_none(prog: Any) -> None:
    import drgn

    class Broken:
        def function(self, name: str) -> Any:
            raise drgn.BadDataError(f"unknown DWARF type tag 0x3b in {name}")

    broken: Any = Broken()
    assert type_names.parameter(broken, "memset_erms", 0x1000, "rdi") is None
    assert type_names.returned(broken, "memset_erms", 0x1000) is None
