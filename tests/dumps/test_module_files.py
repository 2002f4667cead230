"""Source lines within a module, where its file is at hand and of the same build."""

from __future__ import annotations

from pathlib import Path

import pytest
from drgn.helpers.linux.kallsyms import module_kallsyms
from drgn.helpers.linux.module import find_module
from lab_dumps import Maker, Subject, opened

import oopslab
from oopsight.dump.elf import ElfFile
from oopsight.evidence import Evidence
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.symbols.module_file import PAGE, read


@pytest.fixture
def dump(maker: Maker) -> oopslab.LabDump:
    return maker.get(("null-deref", "6.1", "qmp"))


@pytest.fixture
def alone(dump: oopslab.LabDump, tmp_path: Path) -> Path:
    """The dump in a folder where nothing else is."""
    path = tmp_path / "alone" / "vmcore"
    path.parent.mkdir()
    path.symlink_to(dump.vmcore)
    return path


def source_of(dump: oopslab.LabDump, vmcore: Path, *directories: Path) -> str | None:
    backtrace = Evidence(opened(dump, vmcore, *directories)).get(Backtrace)
    assert isinstance(backtrace, Backtrace)
    (frame,) = [f for f in backtrace.frames if f.function == "telem_set_rate"]
    assert frame.module == "telemdrv"
    return frame.source


def test_the_modules_file_gives_its_lines(dump: oopslab.LabDump, alone: Path) -> None:
    assert source_of(dump, alone) is None
    for found in (source_of(dump, alone, dump.modules_dir), source_of(dump, dump.vmcore)):
        name, _, line = (found or "").rpartition(":")
        assert name.endswith("telemdrv.c")
        assert int(line) > 0


def test_a_file_of_another_build_gives_none(dump: oopslab.LabDump, alone: Path) -> None:
    file = dump.modules_dir / "telemdrv.ko"
    with file.open("rb") as opened_file:
        build_id = ElfFile(opened_file).build_id()
    assert build_id is not None
    data = file.read_bytes().replace(bytes.fromhex(build_id), bytes(len(build_id) // 2))
    (alone.parent / "telemdrv.ko").write_bytes(data)
    assert source_of(dump, alone) is None


def test_a_file_that_is_none_is_no_obstacle(dump: oopslab.LabDump, alone: Path) -> None:
    (alone.parent / "telemdrv.ko").write_text("no module")
    assert source_of(dump, alone) is None


def test_the_layout_of_a_file_is_that_of_memory(subject: Subject) -> None:
    """Of each module that is loaded and whose file is beside the dump."""
    for file in sorted(subject.dump.modules_dir.glob("*.ko")):
        module = find_module(subject.session.prog, file.stem)
        if not module:
            continue
        actual = {symbol.name: symbol.address % PAGE for symbol in module_kallsyms(module)}
        told = {symbol.name: symbol.page_offset for symbol in read(file).symbols}
        assert set(told) & set(actual)
        assert {n: at for n, at in told.items() if n in actual} == {
            n: actual[n] for n in told if n in actual
        }
