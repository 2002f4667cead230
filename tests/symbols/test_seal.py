"""A pack that is not whole is no pack."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from oopsight.symbols import seal
from oopsight.symbols.pack.elf_image import ET_EXEC, SHT_NOTE, Part, elf_image
from oopsight.symbols.seal import BrokenPackError, SealCheck, check_seal, is_pack, sealed


def pack(build_id: bytes = b"") -> bytes:
    note = Part(".note.oopsight", seal.PACK_NOTE, SHT_NOTE, align=4)
    parts = [note, Part(".debug_info", build_id + bytes(range(256)) * 20)]
    return sealed(elf_image(parts, (0x1000, 0x1000), kind=ET_EXEC))


def test_a_whole_pack(tmp_path: Path) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(pack())
    check_seal(path)
    assert is_pack(path)


def test_any_bit_that_flipped_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.pack"
    whole = pack()
    chance = random.Random(1)  # noqa: S311  # the same bits in each run
    for bit in chance.sample(range(len(whole) * 8), 300):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(BrokenPackError):
            check_seal(path)


@pytest.mark.parametrize("size", [0, 100, 3000, -1])
def test_a_pack_that_was_cut_off(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(pack()[:size])
    with pytest.raises(BrokenPackError):
        check_seal(path)


def test_a_pack_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(pack())
    monkeypatch.setattr(seal, "VERSION", seal.VERSION + 1)
    with pytest.raises(BrokenPackError, match="another version"):
        check_seal(path)


def test_what_is_no_pack(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF" + bytes(5000))
    assert not is_pack(path)
    assert not is_pack(tmp_path / "absent")


def test_a_check_beside_comes_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.pack"
    path.write_bytes(pack())
    SealCheck(path).finish()
    path.write_bytes(pack()[:-1])
    with pytest.raises(BrokenPackError, match="cut off"):
        SealCheck(path).finish()
    with pytest.raises(OSError, match="absent"):
        SealCheck(tmp_path / "absent").finish()
