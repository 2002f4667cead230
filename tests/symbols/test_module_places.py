from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
import zstandard

from oopsight.errors import SymbolError
from oopsight.symbols.module_places import Place, find, module_places, opened

RELEASE = "6.1.0-9-amd64"


def touched(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_the_dumps_own_folder_is_searched_but_not_what_is_below(tmp_path: Path) -> None:
    near, below = tmp_path / "my_drv.ko", tmp_path / "modules/extra/my-drv.ko.xz"
    touched(near, below, tmp_path / "others/my_drv.ko", tmp_path / "my_drv2.ko")
    found = list(find("my_drv", module_places(tmp_path / "vmcore", None, ())))
    assert [(f.path, f.compressed) for f in found] == [(near, False), (below, True)]
    assert [f.name for f in found] == [
        "my_drv.ko beside the dump",
        "my-drv.ko.xz in the folder modules beside the dump",
    ]


def test_of_an_unpacked_package_only_the_releases_tree_is_searched(tmp_path: Path) -> None:
    given = tmp_path / "given"
    tree = given / "lib/modules"
    touched(given / "drv.ko", tree / RELEASE / "kernel/drv.ko", tree / "5.10.0/drv.ko")
    places = module_places(tmp_path / "dump/vmcore", RELEASE, (given,))
    found = list(find("drv", places[:2]))
    assert [f.path for f in found] == [tree / RELEASE / "kernel/drv.ko", given / "drv.ko"]
    assert [f.place.of_release for f in found] == [True, False]


def test_a_release_that_leads_elsewhere_is_none(tmp_path: Path) -> None:
    for release in ("../../etc", "a/b", "..", None, ""):
        places = module_places(tmp_path / "vmcore", release, ())
        assert [place.path for place in places] == [tmp_path, tmp_path / "modules"]


def test_the_hosts_own_trees_come_last(tmp_path: Path) -> None:
    places = module_places(tmp_path / "vmcore", RELEASE, ())
    assert places[-1] == Place(
        Path("/lib/modules", RELEASE), f"under /lib/modules/{RELEASE}", of_release=True
    )


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".xz", lzma.compress),
        (".gz", gzip.compress),
        (".zst", lambda data: zstandard.ZstdCompressor().compress(data)),
        ("", lambda data: data),
    ],
)
def test_modules_are_read_however_they_are_compressed(
    tmp_path: Path, suffix: str, compress: object
) -> None:
    path = tmp_path / f"drv.ko{suffix}"
    assert callable(compress)
    path.write_bytes(compress(b"\x7fELF and the rest" * 100))
    with opened(path) as file:
        assert file.read() == b"\x7fELF and the rest" * 100


@pytest.mark.parametrize("suffix", [".xz", ".zst", ".gz"])
def test_a_damaged_one_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"drv.ko{suffix}"
    path.write_bytes(b"damaged")
    with pytest.raises((SymbolError, OSError)):
        opened(path)
