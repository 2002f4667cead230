"""Device dumps at the prompt."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.errors import OutputError, UsageError
from oopsight.shell.arguments import Args
from oopsight.shell.commands import dev
from oopsight.shell.output import Out

CONTENT = bytes(range(20))


@pytest.fixture
def shell(tmp_path: Path) -> Any:
    """A shell on a dump with one device dump in its notes."""
    head, sub = bytearray(4096), bytearray(4096)
    head[:8] = b"KDUMP   "
    struct.pack_into("<i", head, 8, 6)
    struct.pack_into("<i", head, 428, 4096)
    note = struct.pack("<III", 8, 64, 0x700) + b"LINUX\0\0\0" + b"nic0".ljust(44, b"\0") + CONTENT
    struct.pack_into("<qQ", sub, 48, 8192, len(note))
    path = tmp_path / "vmcore"
    path.write_bytes(head + sub + note)
    return SimpleNamespace(session=SimpleNamespace(info=SimpleNamespace(path=path)))


def _run(shell: Any, *given: tuple[str, str | None], rest: tuple[str, ...] = ()) -> Out:
    text: list[str] = []
    out = Out(text.append)
    dev.run(shell, Args(list(rest), given=list(given)), out)
    return out


def test_the_list_has_name_place_and_size(shell: Any) -> None:
    (row,) = _run(shell, ("-V", None)).rows
    assert row == {"index": 0, "offset": 8192 + 12 + 8 + 44, "size": 20, "name": "nic0"}


def test_one_is_shown_as_bytes(shell: Any) -> None:
    rows = _run(shell, ("-v", "0")).rows
    assert [value for row in rows for value in row["values"]] == list(CONTENT)


def test_one_is_written_to_a_file_that_is_not_there_yet(shell: Any, tmp_path: Path) -> None:
    target = tmp_path / "nic0.bin"
    _run(shell, ("-v", "0"), rest=(str(target),))
    assert target.read_bytes() == CONTENT
    with pytest.raises(OutputError, match="exists"):
        _run(shell, ("-v", "0"), rest=(str(target),))


@pytest.mark.parametrize("word", ["1", "-1", "x"])
def test_an_index_that_is_not_there_is_refused(shell: Any, word: str) -> None:
    with pytest.raises(UsageError, match="dev -V"):
        _run(shell, ("-v", word))
