"""The cache of packs: whole files or none, bounded, and never in the way."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from oopsight.symbols import cache

ID = "ab" * 20


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "oopsight/packs"


def test_a_pack_is_found_by_its_build_id(home: Path) -> None:
    path = cache.store(ID, b"pack")
    assert path == cache.path_of(ID) == home / f"{ID}.pack"
    assert path.read_bytes() == b"pack"
    assert [pack.build_id for pack in cache.packs()] == [ID]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 20, "zz" * 20, "ab", "a" * 300])
def test_what_is_no_build_id_names_no_file(name: str) -> None:
    assert cache.path_of(name) is None
    with pytest.raises(OSError, match="no build ID"):
        cache.store(name, b"pack")


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache/oopsight/packs"


def test_what_was_used_longest_ago_goes() -> None:
    for number, letter in enumerate("abcd"):
        path = cache.store(letter * 40, bytes(100))
        os.utime(path, (1000 + number, 1000 + number))
    used = cache.path_of("a" * 40)
    assert used is not None
    cache.touch(used)
    cache.store("e" * 40, bytes(100), most=300)
    assert {pack.build_id[0] for pack in cache.packs()} == {"a", "d", "e"}


def test_a_pack_larger_than_the_bound_stays_for_its_own_run() -> None:
    path = cache.store(ID, bytes(100), most=10)
    assert path.exists()


def test_a_full_disk_leaves_nothing_behind(home: Path) -> None:
    cache.store("cd" * 20, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError):
            cache.store(ID, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in home.iterdir()] == [f"{'cd' * 20}.pack"]


def test_two_processes_leave_one_whole_pack(home: Path) -> None:
    code = (
        "import os; from oopsight.symbols import cache\n"
        f"for _ in range(20): cache.store({ID!r}, bytes([os.getpid() % 256]) * 200000)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    seen = set()
    while any(process.poll() is None for process in running):
        path = cache.path_of(ID)
        assert path is not None
        if path.exists():
            data = path.read_bytes()
            seen.add(len(data))
            assert len(set(data)) == 1
    assert [process.returncode for process in running] == [0, 0]
    assert seen <= {200000}
    assert [path.name for path in home.iterdir()] == [f"{ID}.pack"]
