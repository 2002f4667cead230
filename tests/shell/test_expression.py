"""C expressions, with C's precedence and nothing that changes the dump."""

from __future__ import annotations

import drgn
import pytest

from oopsight.shell.expression import address_of, evaluate


@pytest.fixture
def prog() -> drgn.Program:
    program = drgn.Program(drgn.host_platform)
    memory = (7).to_bytes(4, "little") + (9).to_bytes(4, "little")
    program.add_memory_segment(
        0xFFFF000, 8, lambda _, count, offset, __: memory[offset : offset + count]
    )
    integer = program.int_type("int", 4, True)
    pair = program.struct_type(
        "pair",
        8,
        (drgn.TypeMember(integer, "a", 0), drgn.TypeMember(integer, "b", 32)),
    )

    def types(_prog: drgn.Program, kinds: object, name: str, __: object) -> drgn.Type | None:
        return pair if name == "pair" else None

    def objects(prog: drgn.Program, name: str, *_: object) -> drgn.Object | None:
        return drgn.Object(prog, pair, address=0xFFFF000) if name == "two" else None

    program.register_type_finder("t", types, enable_index=0)
    program.register_object_finder("o", objects, enable_index=0)
    return program


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-7 / 2", -3),
        ("1 << 4 | 1", 17),
        ("0x10 + 010", 24),
        ("~0 & 0xff", 255),
        ("5 > 3 && 2 == 2", 1),
        ("1 ? 5 : 6", 5),
        ("two.a", 7),
        ("two.b - two.a", 2),
        ("(&two)->b", 9),
        ("((struct pair *)0xffff000)->a", 7),
        ("*(int *)&two", 7),
        ("sizeof(struct pair)", 8),
        ("sizeof(two)", 8),
        ("(char)0x141", 0x41),
        ("'A'", 65),
        ("!two.a", 0),
    ],
)
def test_values(prog: drgn.Program, text: str, value: int) -> None:
    assert evaluate(prog, text).value_() == value


def test_arrays(prog: drgn.Program) -> None:
    assert [int(v) for v in evaluate(prog, "two.a@2")] == [7, 9]
    assert address_of(prog, "&two.b") == 0xFFFF004
    assert address_of(prog, "two") == 0xFFFF000


@pytest.mark.parametrize(
    "text", ["two.a = 1", "f(1)", "1 +", "(1", "two.", "$x", "a b", "@", "1 2"]
)
def test_what_has_no_value_says_so(prog: drgn.Program, text: str) -> None:
    with pytest.raises((ValueError, LookupError)):
        evaluate(prog, text)


@pytest.mark.parametrize("text", ["1/0", "1%0", "(" * 500 + "1" + ")" * 500, "two.zzz", "1 << -1"])
def test_hostile_expressions_end(prog: drgn.Program, text: str) -> None:
    with pytest.raises((ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)):
        evaluate(prog, text)
