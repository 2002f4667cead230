"""What a pack holds of modules comes back, and damage to it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from oopsight.errors import SymbolError
from oopsight.symbols.module_store import SECTION, ModuleStore, packed
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, elf_image

MODULES = [("vmsecmod", "ab" * 20, b"first" * 100), ("empty", "cd" * 20, b"")]


def store(path: Path, section: bytes) -> ModuleStore:
    path.write_bytes(elf_image([Part(SECTION, section)], None, kind=ET_EXEC))
    return ModuleStore(path)


def test_modules_by_build_id(tmp_path: Path) -> None:
    found = store(tmp_path / "pack", packed(MODULES))
    assert found.names() == ["empty", "vmsecmod"]
    for _, build_id, image in MODULES:
        assert found.image(build_id) == image
    assert found.image("ef" * 20) is None


def test_a_pack_without_modules(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(elf_image([], None, kind=ET_EXEC))
    assert ModuleStore(path).names() == []


def test_damage_is_one_error(tmp_path: Path) -> None:
    section = packed(MODULES)
    damaged = [
        section[:4],
        (1 << 60).to_bytes(8, "little") + section[8:],
        section.replace(b'"vmsecmod",0', b'"vmsecmod",9'),
        section.replace(b"{", b"[", 1),
        section[:-30],
        *((len(text).to_bytes(8, "little") + text) for text in (b"[1]", b'{"a":[1]}', b"[" * 9999)),
    ]
    for data in damaged:
        with pytest.raises(SymbolError):
            store(tmp_path / "pack", data).image("ab" * 20)
