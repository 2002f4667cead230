from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from handmade_files import elf, kdump, note

from oopsight.dump import identify
from oopsight.dump.formats.kdump_flattened import Flattened
from oopsight.errors import DamagedDumpError, DumpError

PART = 5000
HEAD = (b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1)).ljust(4096, b"\0")


def flattened(data: bytes, *, end: bool = True) -> bytes:
    """The data in parts, the first written again at the end, as makedumpfile does."""
    parts = [(at, data[at : at + PART]) for at in range(0, len(data), PART)]
    parts = [(0, b"\xff" * PART), *parts[1:], parts[0]]
    body = b"".join(struct.pack(">qq", at, len(part)) + part for at, part in parts)
    return HEAD + body + (struct.pack(">qq", -1, -1) if end else b"")


@pytest.fixture
def core(tmp_path: Path) -> Path:
    return tmp_path / "vmcore"


def test_it_is_told_like_the_dump_within(core: Path) -> None:
    core.write_bytes(kdump())
    whole = identify(core)
    core.write_bytes(flattened(kdump()))
    info = identify(core)
    assert (info.format, info.size) == ("kdump-flattened", core.stat().st_size)
    assert (info.release, info.build_id) == (whole.release, whole.build_id)
    assert info.complete


@pytest.mark.parametrize("data", [flattened(kdump(), end=False), flattened(kdump())[:-900]])
def test_a_cut_one_says_so(core: Path, data: bytes) -> None:
    core.write_bytes(data)
    try:
        problems = identify(core).problems
    except DamagedDumpError as error:  # the first part was written last
        problems = (str(error),)
    assert len([p for p in problems if "cut off" in p or "damaged" in p]) == 1


def test_nothing_but_the_outer_header(core: Path) -> None:
    core.write_bytes(HEAD)
    with pytest.raises(DamagedDumpError, match="cut off"):
        identify(core)


def test_another_format_within_names_the_command_that_orders_it(core: Path) -> None:
    core.write_bytes(flattened(elf(note(b"CORE", 1, b""), b"memory" * 2000)))
    with pytest.raises(DumpError, match="makedumpfile -R"):
        identify(core)


def test_a_copy_is_the_dump_in_order() -> None:
    target = io.BytesIO()
    Flattened(io.BytesIO(flattened(kdump()))).copy_to(target)
    assert target.getvalue() == kdump()


def test_absurd_parts_end_the_reading() -> None:
    for offset, size in ((0, -5), (-7, 3), (0, 1 << 62)):
        view = Flattened(io.BytesIO(HEAD + struct.pack(">qq", offset, size) + b"x" * 100))
        assert view.end <= 100
        assert not view.complete
