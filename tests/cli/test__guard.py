from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
from handmade_files import kdump

from oopsight.cli import _guard
from oopsight.errors import DamagedDumpError


def arguments(path: Path | None) -> argparse.Namespace:
    return argparse.Namespace() if path is None else argparse.Namespace(vmcore=str(path))


def test_only_a_dump_that_is_cut_off_is_guarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut, text = (tmp_path / name for name in ("whole", "cut", "text"))
    whole.write_bytes(kdump())
    cut.write_bytes(kdump()[:-1])
    text.write_text("no dump")
    needed = [_guard.is_needed(arguments(path)) for path in (whole, cut, text, None)]
    assert needed == [False, True, False, False]
    monkeypatch.setenv(_guard.GUARDED, "1")
    assert not _guard.is_needed(arguments(cut))


@pytest.mark.parametrize(("end", "code"), [("exit 5", 5), ("kill -TERM $$", 143)])
def test_the_exit_code_is_that_of_the_other_process(
    end: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", _script(tmp_path, end))
    assert _guard.run_apart(["analyze", "cut"], "cut") == code


def test_a_read_behind_the_end_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", _script(tmp_path, "kill -BUS $$"))
    with pytest.raises(DamagedDumpError, match="cut: it is cut off"):
        _guard.run_apart(["analyze", "cut"], "cut")


def _script(folder: Path, end: str) -> str:
    script = folder / "python"
    script.write_text(f'#!/bin/sh\n[ "${_guard.GUARDED}" = 1 ] || exit 99\n{end}\n')
    script.chmod(0o755)
    return str(script)
