"""``oopsight symbols``: the cache seen from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_debuginfo import LINES, UNIT, code_file, written
from handmade_files import kdump, vmlinux

from oopsight.cli import main
from oopsight.symbols import cache, compressed, seal
from oopsight.symbols.pack.elf_image import ET_EXEC, SHT_NOTE, Part, elf_image, note

ID = "ab" * 20


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


def pack() -> bytes:
    parts = [
        Part(".note.oopsight", seal.PACK_NOTE, SHT_NOTE, align=4),
        Part(".note.gnu.build-id", note(b"GNU", 3, bytes.fromhex(ID)), SHT_NOTE, align=4),
        Part(".symtab", bytes(24 * 3)),
        Part(".oopsight.untyped", b"one\ntwo"),
    ]
    return seal.sealed(elf_image(parts, None, kind=ET_EXEC))


def test_list_show_check_prune(capsys: pytest.CaptureFixture[str]) -> None:
    cache.store(ID, pack())
    for arguments, expected in (
        (["list"], ID),
        (["show", ID], "one, two"),
        (["check"], "whole"),
        (["check", ID], "whole"),
        (["prune", "--keep", "1"], "0 removed"),
        (["prune"], "1 removed"),
        (["list"], "0 in"),
    ):
        assert main(["symbols", *arguments]) == 0
        assert expected in capsys.readouterr().out


def test_a_damaged_pack_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    path = cache.store(ID, pack()[:-1])
    assert main(["symbols", "check"]) == 4
    assert f"{path}: cut off" in capsys.readouterr().out
    assert main(["symbols", "show", str(path)]) == 4
    assert f"{path}: cut off" in capsys.readouterr().err


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text"
    text.write_text("text")
    for arguments in (["show", str(text)], ["show", str(tmp_path / "absent")], ["check", ID]):
        assert main(["symbols", *arguments]) == 4
        assert "Traceback" not in capsys.readouterr().err
    assert main(["symbols", "prune", "--keep", "-1"]) == 2
    assert main(["symbols", "make", str(text)]) == 3


def test_a_dump_that_cannot_be_opened_makes_no_pack(tmp_path: Path) -> None:
    path = tmp_path / "vmcore"
    path.write_bytes(kdump(vmcoreinfo=b"OSRELEASE=6.1\nBUILD-ID=00aabb\n"))
    assert main(["symbols", "make", str(path)]) == 3
    assert cache.packs() == []


def test_a_compressed_pack_is_shown_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{ID}.pack.zst"
    path.write_bytes(compressed.compressed(pack()))
    assert main(["symbols", "check", str(path)]) == 0
    assert "whole" in capsys.readouterr().out
    assert main(["symbols", "show", str(path)]) == 0
    assert ID in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["symbols", "check", str(path)]) == 4
    assert "cannot be decompressed" in capsys.readouterr().err


def test_a_pack_is_made_of_one_vmlinux_with_debug_information(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "vmlinux"
    bare.write_bytes(vmlinux(bytes.fromhex(ID)))
    lines = tmp_path / "lines"
    lines.write_bytes(code_file(written([(UNIT, LINES)])))
    text = tmp_path / "text"
    text.write_text("text")
    for arguments, status, expected in (
        ([bare], 4, "holds no BTF"),
        ([lines], 4, "holds no BTF"),
        ([bare, lines], 4, "a pack is made of one vmlinux"),
        ([text, "--debug-dir", tmp_path], 3, "text"),
        ([lines, text, "-o", tmp_path / "x.pack"], 2, "one file for several packs"),
    ):
        assert main(["symbols", "make", *map(str, arguments)]) == status
        assert expected in capsys.readouterr().err
    assert cache.packs() == []
