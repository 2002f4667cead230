"""Writes small BTF for tests, record by record, from Documentation/bpf/btf.rst."""

from __future__ import annotations

import struct

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT = range(1, 12)
FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(12, 20)
SIGNED, CHAR, BOOL = 1, 2, 4


class BtfMaker:
    """Numbers begin with ``first``; every method returns the number of the type it adds."""

    def __init__(self, first: int = 1, string_base: int = 0) -> None:
        self.types = b""
        self.strings = b"" if string_base else b"\0"
        self.string_base = string_base
        self.next = first

    def string(self, text: str) -> int:
        if not text:
            return 0
        known = self.strings.find(b"\0" + text.encode() + b"\0")
        if known >= 0:
            return self.string_base + known + 1
        at = self.string_base + len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(
        self, kind: int, name: str, third: int, extra: bytes = b"", vlen: int = 0, *, flag: int = 0
    ) -> int:
        info = flag << 31 | kind << 24 | vlen
        self.types += struct.pack("<III", self.string(name), info, third) + extra
        self.next += 1
        return self.next - 1

    def int(self, name: str, size: int, encoding: int = 0) -> int:
        return self.add(INT, name, size, struct.pack("<I", encoding << 24 | size * 8))

    def array(self, element: int, length: int, index: int) -> int:
        return self.add(ARRAY, "", 0, struct.pack("<III", element, index, length))

    def struct(
        self,
        name: str,
        size: int,
        *members: tuple[str, int, int],
        kind: int = STRUCT,
        flag: int = 0,
    ) -> int:
        """Members: name, type, offset in bits (with ``flag``: bit size << 24 | offset)."""
        rows = [struct.pack("<III", self.string(n), t, at) for n, t, at in members]
        return self.add(kind, name, size, b"".join(rows), len(members), flag=flag)

    def enum(self, name: str, size: int, *values: tuple[str, int], flag: int = 0) -> int:
        rows = [struct.pack("<II", self.string(n), v & 0xFFFFFFFF) for n, v in values]
        return self.add(ENUM, name, size, b"".join(rows), len(values), flag=flag)

    def enum64(self, name: str, *values: tuple[str, int], flag: int = 0) -> int:
        rows = [struct.pack("<IQ", self.string(n), v & (1 << 64) - 1) for n, v in values]
        return self.add(ENUM64, name, 8, b"".join(rows), len(values), flag=flag)

    def prototype(self, returned: int, *parameters: tuple[str, int]) -> int:
        rows = [struct.pack("<II", self.string(n), t) for n, t in parameters]
        return self.add(FUNC_PROTO, "", returned, b"".join(rows), len(parameters))

    def section(self, name: str, *variables: tuple[int, int, int]) -> int:
        """Variables: number, offset, size."""
        rows = [struct.pack("<III", *variable) for variable in variables]
        return self.add(DATASEC, name, 0, b"".join(rows), len(variables))

    def data(self) -> bytes:
        sizes = (0, len(self.types), len(self.types), len(self.strings))
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.types + self.strings
