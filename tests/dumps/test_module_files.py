"""Source lines within a module, where its file is at hand and of the same build."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_dumps import Maker, opened

import oopslab
from oopsight.dump.elf import ElfFile
from oopsight.evidence import Evidence
from oopsight.evidence.backtrace import Backtrace


@pytest.fixture
def dump(maker: Maker) -> oopslab.LabDump:
    return maker.get(("null-deref", "6.1", "qmp"))


def source_of(dump: oopslab.LabDump, *directories: Path) -> str | None:
    backtrace = Evidence(opened(dump, None, *directories)).get(Backtrace)
    assert isinstance(backtrace, Backtrace)
    (frame,) = [f for f in backtrace.frames if f.function == "telem_set_rate"]
    assert frame.module == "telemdrv"
    return frame.source


def test_the_modules_file_gives_its_lines(dump: oopslab.LabDump) -> None:
    assert source_of(dump) is None
    name, _, line = (source_of(dump, dump.modules_dir) or "").rpartition(":")
    assert name.endswith("telemdrv.c")
    assert int(line) > 0


def test_a_file_of_another_build_gives_none(dump: oopslab.LabDump, tmp_path: Path) -> None:
    file = dump.modules_dir / "telemdrv.ko"
    with file.open("rb") as opened_file:
        build_id = ElfFile(opened_file).build_id()
    assert build_id is not None
    data = file.read_bytes().replace(bytes.fromhex(build_id), bytes(len(build_id) // 2))
    (tmp_path / "telemdrv.ko").write_bytes(data)
    assert source_of(dump, tmp_path) is None


def test_a_file_that_is_none_is_no_obstacle(dump: oopslab.LabDump, tmp_path: Path) -> None:
    (tmp_path / "telemdrv.ko").write_text("no module")
    assert source_of(dump, tmp_path) is None
