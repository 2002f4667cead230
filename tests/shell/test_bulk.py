"""Members of a struct taken apart from its bytes."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from drgn import Architecture, Object, Platform, PlatformFlags, Program, TypeMember

from oopsight.shell.bulk import Fields

FLAGS = PlatformFlags.IS_64_BIT | PlatformFlags.IS_LITTLE_ENDIAN
PROG = Program(Platform(Architecture.X86_64, FLAGS))
INT = PROG.int_type("int", 4, is_signed=True)
CHAR = PROG.int_type("char", 1, is_signed=True)
INNER = PROG.struct_type("inner", 8, (TypeMember(PROG.typedef_type("pid_t", INT), "pid", 32),))
OUTER = PROG.struct_type(
    "outer",
    16384,
    (
        TypeMember(PROG.pointer_type(INT), "up", 0),
        TypeMember(INNER, "inner", 64),
        TypeMember(PROG.array_type(CHAR, 4), "comm", 128),
        TypeMember(Object(PROG, INT, bit_field_size=3), "bits", 160),
        TypeMember(PROG.int_type("unsigned int", 4, is_signed=False), "far", 16000 * 8),
    ),
)
IMAGE = bytearray(16384)
struct.pack_into("<Qii4s", IMAGE, 0, 0xFFFF888000000000, 0, -7, b"ss\0\0")
struct.pack_into("<I", IMAGE, 16000, 0xFFFFFFFF)
BASE = 0x1000


def _prog(reads: list[tuple[int, int]]) -> Any:
    def read(address: int, size: int) -> bytes:
        reads.append((address - BASE, size))
        return bytes(IMAGE[address - BASE : address - BASE + size])

    return SimpleNamespace(type=lambda _: OUTER, read=read)


def test_values_come_in_the_order_asked_for() -> None:
    reads: list[tuple[int, int]] = []
    members = {"far": ("far",), "comm": ("comm",), "pid": ("gone.pid", "inner.pid"), "up": ("up",)}
    found = Fields(_prog(reads), "struct outer", members).read(BASE)
    assert found == (0xFFFFFFFF, b"ss\0\0", -7, 0xFFFF888000000000)
    assert reads == [(0, 20), (16000, 4)]


@pytest.mark.parametrize("path", ["gone", "inner", "bits"])
def test_what_is_no_number_is_refused(path: str) -> None:
    with pytest.raises(LookupError, match=path):
        Fields(_prog([]), "struct outer", {"a": (path,), "b": ("up",)})
