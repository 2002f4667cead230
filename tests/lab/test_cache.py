from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from oopslab.cache import locked, new_directory, root


def test_the_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOPSIGHT_LAB_CACHE", "/somewhere/lab")
    assert root() == Path("/somewhere/lab")
    monkeypatch.delenv("OOPSIGHT_LAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert root() == Path("/somewhere/oopsight-lab")


def test_an_entry_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "entry"
    with pytest.raises(FileNotFoundError), new_directory(target) as work:
        (work / "absent").rename(work / "half")
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []
    with new_directory(target) as work:
        (work / "file").write_text("old")
        assert not target.exists()
    with new_directory(target) as work:
        (work / "file").write_text("new")
    assert (target / "file").read_text() == "new"


def _hold(target: Path, seconds: float) -> None:
    with locked(target):
        (target.parent / "held").touch()
        time.sleep(seconds)
        (target.parent / "released").touch()


def test_processes_wait_for_each_other(tmp_path: Path) -> None:
    target = tmp_path / "entry"
    other = multiprocessing.get_context("spawn").Process(target=_hold, args=(target, 0.2))
    other.start()
    try:
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
            assert other.is_alive()
        with locked(target):
            assert (tmp_path / "released").exists()
    finally:
        other.join(10)
