"""The cache of packs when several use it at once, and when there is no room for one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_dumps import Maker

from oopsight.session import open_session
from oopsight.symbols import cache
from oopsight.symbols.seal import check_seal


@pytest.fixture(scope="module")
def vmcore(maker: Maker) -> Path:
    return maker.get(("null-deref", "6.1", "qmp")).vmcore


def make(vmcore: Path, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oopsight", "symbols", "make", str(vmcore)],
        env={**os.environ, "XDG_CACHE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_that_make_the_same_pack_at_once_make_one(
    vmcore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [make(vmcore, tmp_path), make(vmcore, tmp_path)]
    for process in both:
        _, trouble = process.communicate(timeout=120)
        assert (process.returncode, trouble) == (0, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (pack,) = cache.packs()
    check_seal(pack.path)
    assert sorted(path.name for path in cache.directory().iterdir()) == [pack.path.name]
    assert open_session(vmcore, own_symbols=True).symbols.source == "packs"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_costs_time_and_leaves_nothing_behind(
    vmcore: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    session = open_session(vmcore, own_symbols=True)
    last = session.symbols.attempts[-1]
    assert (last.source, last.outcome) == ("dump", "used")
    assert "could not be kept" in last.detail
    assert "No space left" in last.detail
    assert session.prog.type("struct task_struct").size > 1000
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    process = make(vmcore, small_disk)
    _, trouble = process.communicate(timeout=120)
    assert process.returncode != 0
    assert trouble.count("\n") == 1
    assert "No space left" in trouble
    assert "nothing was written" in trouble


def test_every_flipped_bit_that_matters_is_seen(
    vmcore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = open_session(vmcore, own_symbols=True).symbols.path
    assert path is not None
    whole = path.read_bytes()
    for at in range(100, len(whole), len(whole) // 12):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert open_session(vmcore, own_symbols=True).symbols.source == "dump"
        assert path.read_bytes() == whole
