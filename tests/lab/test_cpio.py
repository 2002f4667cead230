from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from oopslab.cpio import Archive


def archive() -> Archive:
    made = Archive()
    made.file("etc/motd", "hello\n")
    made.file("bin/tool", b"\x7fELF odd length", 0o755)
    made.symlink("bin/other", "tool")
    made.directory("var/log")
    return made


def test_members_are_aligned_and_end_with_the_trailer() -> None:
    data = archive().to_bytes()
    assert len(data) % 4 == 0
    assert data.startswith(b"070701")
    assert data.rstrip(b"\0").endswith(b"TRAILER!!!")
    assert data.count(b"070701") == 1 + len(
        ["etc", "etc/motd", "bin", "tool", "other", "var", "log"]
    )


def test_a_file_that_is_added_again_is_replaced() -> None:
    made = archive()
    made.file("etc/motd", "bye\n")
    data = made.to_bytes()
    assert b"hello" not in data
    assert data.count(b"etc/motd\0") == 1


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_it(tmp_path: Path) -> None:
    subprocess.run(
        ["cpio", "--extract", "--quiet", "--no-preserve-owner"],
        input=archive().to_bytes(),
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "etc/motd").read_text() == "hello\n"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin/other").readlink() == Path("tool")
    assert (tmp_path / "var/log").is_dir()
