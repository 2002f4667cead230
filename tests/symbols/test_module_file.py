from __future__ import annotations

from pathlib import Path

import pytest
from handmade_modules import PARTS, Part, modinfo, module

from oopsight.dump.elf import MalformedElfError
from oopsight.symbols.module_file import ModuleFile, ModuleSymbol, read


def written(folder: Path, data: bytes) -> ModuleFile:
    path = folder / "pool.ko"
    path.write_bytes(data)
    return read(path)


def test_sections_lie_in_parts_in_the_order_of_their_headers(tmp_path: Path) -> None:
    file = written(tmp_path, module())
    assert {(s.name, s.part, s.offset) for s in file.symbols} == {
        ("pool_tick", 0, 0x10),
        ("pool_exit", 0, 0x30),
        ("cleanup_module", 0, 0x30),
        ("pool_name", 1, 0x8),
        ("pool_work", 3, 0x20),
        ("pool_table", 3, 0x1060),
    }
    assert next(s.page_offset for s in file.symbols if s.name == "pool_table") == 0x60
    assert file.sizes == (0x50, 0x18, 0, 0x1460)


def test_the_exit_function_has_its_own_name(tmp_path: Path) -> None:
    file = written(tmp_path, module())
    assert file.exit == ModuleSymbol("pool_exit", 0x30, 0x20, function=True, part=0)
    assert file.init == "pool_init"
    assert (file.name, file.release) == ("pool", "6.1.0-9-amd64")


def test_a_file_of_debug_information_does_not_tell_its_name(tmp_path: Path) -> None:
    empty = Part(".modinfo", 2, 0x40)
    file = written(tmp_path, module(*PARTS, empty))
    assert (file.name, file.release) == (None, None)
    assert file.exit is not None


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedElfError):
        written(tmp_path, b"no module")
    data = module(*PARTS, modinfo())
    for size in range(16, len(data), 29):
        try:
            file = written(tmp_path, data[:size])
        except MalformedElfError:
            continue
        assert len(file.symbols) <= 8
