"""Files of kernel modules with given sections and symbols."""

from __future__ import annotations

import struct
from typing import NamedTuple

ALLOC, WRITE, EXEC = 2, 1, 4
OBJECT, FUNCTION = 1, 2


class Part(NamedTuple):
    """A section."""

    name: str
    flags: int
    size: int = 0
    align: int = 1
    data: bytes = b""


class Name(NamedTuple):
    """A symbol; one without a section is used and not defined."""

    name: str
    section: str
    value: int
    size: int
    kind: int


TEXT = Part(".text", ALLOC | EXEC, 0x30, 16)
LEAVE = Part(".exit.text", ALLOC | EXEC, 0x20)
START = Part(".init.text", ALLOC | EXEC, 0x40)
STRINGS = Part(".rodata", ALLOC, 0x18, 8)
DATA = Part(".data", ALLOC | WRITE, 0x50, 32)
BSS = Part(".bss", ALLOC | WRITE, 0x1400, 32)
PARTS = (TEXT, LEAVE, START, STRINGS, DATA, BSS)
NAMES = (
    Name("pool_tick", ".text", 0x10, 0x20, FUNCTION),
    Name("pool_exit", ".exit.text", 0, 0x20, FUNCTION),
    Name("cleanup_module", ".exit.text", 0, 0x20, FUNCTION),
    Name("pool_init", ".init.text", 0, 0x40, FUNCTION),
    Name("init_module", ".init.text", 0, 0x40, FUNCTION),
    Name("pool_name", ".rodata", 0x8, 0x10, OBJECT),
    Name("pool_work", ".data", 0x20, 0x30, OBJECT),
    Name("pool_table", ".bss", 0x1000, 0x400, OBJECT),
)


def modinfo(name: str = "pool", release: str = "6.1.0-9-amd64") -> Part:
    words = [f"name={name}", f"vermagic={release} SMP preempt mod_unload modversions "]
    return Part(".modinfo", ALLOC, data="".join(f"{word}\0" for word in words).encode())


def module(*parts: Part, names: tuple[Name, ...] = NAMES) -> bytes:
    """A relocatable file; sections without data take no room in it."""
    parts = parts or (*PARTS, modinfo())
    numbers = {part.name: number for number, part in enumerate(parts, 1)}
    strings = b"\0" + b"".join(name.name.encode() + b"\0" for name in names)
    table = bytes(24)
    for name in names:
        at = strings.index(b"\0" + name.name.encode() + b"\0") + 1
        table += struct.pack(
            "<IBBHQQ", at, 0x10 | name.kind, 0, numbers.get(name.section, 0), name.value, name.size
        )
    titles = b"\0" + b"".join(
        title.encode() + b"\0"
        for title in [*(part.name for part in parts), ".symtab", ".strtab", ".shstrtab"]
    )

    def title(text: str) -> int:
        return titles.index(b"\0" + text.encode() + b"\0") + 1

    body = b""
    rows = [bytes(64)]

    def add(
        name: str, kind: int, flags: int, data: bytes, size: int, link: int, align: int
    ) -> None:
        nonlocal body
        rows.append(
            struct.pack(
                "<IIQQQQIIQQ", title(name), kind, flags, 0, 64 + len(body), size, link, 0, align, 0
            )
        )
        body += data

    for part in parts:
        kind = 1 if part.data else 8
        add(part.name, kind, part.flags, part.data, len(part.data) or part.size, 0, part.align)
    add(".symtab", 2, 0, table, len(table), len(parts) + 2, 8)
    add(".strtab", 3, 0, strings, len(strings), 0, 1)
    add(".shstrtab", 3, 0, titles, len(titles), 0, 1)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH",
        1, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows), len(rows) - 1,
    )  # fmt: skip
    return ident + header + body + b"".join(rows)
