"""BTF as arrays: every record found, nothing believed that does not add up."""

from __future__ import annotations

import struct

import pytest
from handmade_btf import FUNC, PTR, BtfMaker

from oopsight.symbols.pack.btf import BadBtfError, parse_btf


def small() -> BtfMaker:
    maker = BtfMaker()
    number = maker.int("int", 4, 1)
    maker.struct("point", 8, ("x", number, 0), ("y", number, 32))
    maker.add(PTR, "", 2)
    return maker


def test_records_of_different_lengths_are_found() -> None:
    types = parse_btf(small().data())
    assert types.kind.tolist() == [1, 4, 2]
    assert [types.name(int(at)) for at in types.name_at] == ["int", "point", ""]
    assert types.vlen.tolist() == [0, 2, 0]


def test_a_modules_btf_goes_on_where_the_kernels_ends() -> None:
    base = parse_btf(small().data())
    maker = BtfMaker(first=4, string_base=len(base.strings))
    maker.struct("own", 8, ("p", 3, 0))
    split = parse_btf(maker.data(), base)
    assert (split.first, split.string_base) == (4, len(base.strings))
    assert split.name(int(split.name_at[0]) - split.string_base) == "own"


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:10],
        lambda d: b"\0\0" + d[2:],
        lambda d: d[:2] + b"\x02" + d[3:],
        lambda d: d[:-5],
        lambda d: d[:12] + struct.pack("<I", len(d) * 2) + d[16:],
        lambda d: d[:24] + struct.pack("<I", 0xFFFFFF) + d[28:],
        lambda d: d[:28] + struct.pack("<I", 31 << 24) + d[32:],
        lambda d: d[:28] + struct.pack("<I", 4 << 24 | 0xFFFF) + d[32:],
    ],
)
def test_damage_is_refused(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(BadBtfError):
        parse_btf(damage(small().data()))


def test_a_kind_of_a_newer_kernel_is_said() -> None:
    maker = BtfMaker()
    maker.add(FUNC + 10, "new", 0)
    with pytest.raises(BadBtfError, match="newer"):
        parse_btf(maker.data())
