"""What is written can be read, by this package's own reader and by drgn's."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from handmade_debuginfo import INIT, LINES, TEXT, UNIT, code_file, written

from oopsight.errors import SymbolError
from oopsight.symbols.pack.debuginfo.dies import Dwarf
from oopsight.symbols.pack.debuginfo.functions import read_unit
from oopsight.symbols.pack.debuginfo.line_rows import read_lines
from oopsight.symbols.pack.debuginfo.sections import open_debug_file


def test_functions_and_lines_come_back(tmp_path: Path) -> None:
    path = tmp_path / "code"
    path.write_bytes(code_file(written([(UNIT, LINES), (UNIT, LINES)])))
    file = open_debug_file(path)
    dwarf = Dwarf(file)
    units = [read_unit(dwarf, unit) for unit in dwarf.units()]
    assert len(units) == 2
    for unit in units:
        assert (unit.name, unit.ranges) == (UNIT.name, UNIT.ranges)
        assert unit.lines_at is not None
        lines = read_lines(dwarf, file.raw(".debug_line"), unit.lines_at, b"")
        found = [
            (address, lines.file(number), line)
            for sequence in lines.sequences
            for address, number, line in sequence.rows
        ]
        assert found == [
            (address, LINES.file(number), line)
            for sequence in LINES.sequences
            for address, number, line in sequence.rows
        ]
        assert [s.end for s in lines.sequences] == [s.end for s in LINES.sequences]
        assert b"never/named.h" not in lines.files
        enqueue, other = unit.functions
        assert (enqueue.name, enqueue.ranges) == (b"enqueue", UNIT.functions[0].ranges)
        inner = enqueue.inlined[0]
        assert (inner.name, lines.file(inner.file), inner.line) == (
            b"list_add_tail",
            b"kernel/queue.c",
            7000,
        )
        assert lines.file(inner.inlined[0].file) == b"include/linux/list.h"
        assert other.inlined == []


@pytest.mark.parametrize(
    ("pc", "expected"),
    [
        (
            TEXT + 0x25,
            [
                ("__list_add", "include/linux/list.h", 72, True),
                ("list_add_tail", "include/linux/list.h", 109, True),
                ("enqueue", "kernel/queue.c", 7000, False),
            ],
        ),
        (TEXT + 0x40, [("enqueue", "kernel/queue.c", 12, False)]),
        (INIT + 4, [("enqueue", "kernel/queue.c", 6991, False)]),
        (TEXT + 0x1200, [("other", "kernel/queue.c", 10, False)]),
    ],
)
def test_drgn_tells_frames_and_lines(
    tmp_path: Path, pc: int, expected: list[tuple[str, str, int, bool]]
) -> None:
    path = tmp_path / "code"
    path.write_bytes(code_file(written([(UNIT, LINES)])))
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.extra_module("code", create=True)
    module = module[0] if isinstance(module, tuple) else module
    module.address_ranges = [(TEXT, INIT + 0x1000)]
    module.try_file(path, force=True)
    frames = prog.stack_trace_from_pcs([pc])
    found = [(f.name, f.source().filename, f.source().line, f.is_inline) for f in frames]
    assert found == expected


def test_damage_is_told_and_ends(tmp_path: Path) -> None:
    whole = written([(UNIT, LINES)])
    path = tmp_path / "code"
    told = 0
    for section in (".debug_info", ".debug_abbrev", ".debug_line", ".debug_rnglists"):
        for at in range(len(whole[section])):
            damaged = bytearray(whole[section])
            damaged[at] ^= 0xFF
            path.write_bytes(code_file({**whole, section: bytes(damaged)}))
            try:
                file = open_debug_file(path)
                dwarf = Dwarf(file)
                for unit in dwarf.units():
                    found = read_unit(dwarf, unit)
                    read_lines(dwarf, file.raw(".debug_line"), found.lines_at or 0, b"")
            except (SymbolError, LookupError, ValueError, ArithmeticError):
                told += 1
    assert told > 100


def test_a_file_without_debug_information(tmp_path: Path) -> None:
    path = tmp_path / "code"
    path.write_bytes(code_file({}))
    with pytest.raises(SymbolError, match="holds no debug information"):
        Dwarf(open_debug_file(path))
