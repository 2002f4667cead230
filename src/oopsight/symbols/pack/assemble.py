"""What packs have in common, whatever they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oopsight.errors import SymbolError
from oopsight.symbols.pack import btf as b
from oopsight.symbols.pack.btf import Btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import (
    ET_EXEC,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHT_NOTE,
    Part,
    build_id_part,
    elf_image,
)
from oopsight.symbols.pack.symbols import Table
from oopsight.symbols.seal import PACK_NOTE, sealed


def per_cpu_variables(writer: Writer, types: Btf, table: Table) -> set[int]:
    """Write the variables that BTF lists, which are the per-CPU ones; return where they lie."""
    start = table.find("__per_cpu_start")
    listed: set[int] = set()
    if start is None:
        return listed
    for row in types.rows(b.DATASEC).tolist():
        if types.name(int(types.name_at[row])) != ".data..percpu":
            continue
        first = int(types.at[row]) + 3
        entries = types.words[first : first + 3 * int(types.vlen[row])].reshape(-1, 3)
        numbers = entries[:, 0].astype(np.int64) - types.first
        numbers = numbers[(numbers >= 0) & (numbers < len(types.kind))]
        if (types.kind[numbers] != b.VAR).any():
            raise SymbolError("BTF: a section lists what is no variable")
        places = [writer.place(int(number)) for number in types.ref[numbers].tolist()]
        at = entries[:, 1].astype(np.uint64) + np.uint64(start[0])
        writer.add_variables(types.name_at[numbers].tolist(), places, at)
        listed.update(at.tolist())
    return listed


def functions(writer: Writer, types: Btf, table: Table) -> None:
    """The functions that BTF lists and kallsyms has under one address."""
    rows, at = [], []
    names = types.name_at
    for row in types.rows(b.FUNC).tolist():
        found = table.find(types.name(int(names[row])))
        if found is not None:
            rows.append(row)
            at.append(found[0])
    writer.add_functions(np.array(rows, np.int64), np.array(at, np.uint64))


def landmarks(table: Table, build_id: str) -> list[Part]:
    """What drgn recognises the kernel's image by."""
    parts = [
        build_id_part(build_id),
        Part(".note.oopsight", PACK_NOTE, SHT_NOTE, align=4),
    ]
    start = table.find("_sinittext")
    if start is not None:
        # With contents (not SHT_NOBITS), or drgn takes it for a stripped file's and moves the
        # per-CPU variables.
        flags = SHF_ALLOC | SHF_EXECINSTR
        parts.append(Part(".init.text", bytes(16), flags=flags, address=start[0]))
    return parts


def image(table: Table, parts: Sequence[Part]) -> bytes:
    """The pack's file, sealed.

    :raises SymbolError: if the symbols do not tell where the kernel lies
    """
    text, end = table.find("_text"), table.find("_end")
    if text is None or end is None:
        raise SymbolError("the symbol table has no _text or _end")
    return sealed(elf_image(parts, (text[0], end[0] - text[0]), kind=ET_EXEC))
