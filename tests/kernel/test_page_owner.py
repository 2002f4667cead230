"""Where the page allocator's records lie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.kernel.page_owner import Shape, Table, shape_of, table_of, tables

START = 0xFFFF888003000000
SHAPE = Shape(pages=1 << 15, stride=72, owner=8, recorded=1, allocated=2)


def number(value: int) -> Any:
    return SimpleNamespace(value_=lambda: value)


class Kernel:
    """A kernel booted with page_owner=on."""

    def __init__(self, *, on: int = 1, stride: int = 72) -> None:
        counter = SimpleNamespace(counter=number(on))
        self._known: dict[str, Any] = {
            "page_owner_inited": SimpleNamespace(key=SimpleNamespace(enabled=counter)),
            "page_ext_size": number(stride),
            "page_owner_ops": SimpleNamespace(offset=number(8)),
            "SECTION_SIZE_BITS": Bits(27),
            "PAGE_SHIFT": Bits(12),
        }

    def __getitem__(self, name: str) -> Any:
        return self._known[name]

    def constant(self, name: str) -> Any:
        return number({"PAGE_EXT_OWNER": 0, "PAGE_EXT_OWNER_ALLOCATED": 1}[name])


class Bits(int):
    """A number that drgn reads."""

    def __sub__(self, other: int) -> Any:
        return number(int(self) - int(other))


def section(base: int) -> Any:
    return SimpleNamespace(page_ext=number(base))


def test_the_layout_is_the_kernels_own() -> None:
    assert shape_of(Kernel()) == SHAPE


@pytest.mark.parametrize("kernel", [Kernel(on=0), Kernel(stride=8), Kernel(stride=1 << 20), {}])
def test_no_records(kernel: Any) -> None:
    assert shape_of(kernel) is None


def test_tables_are_found_by_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = START - 2 * SHAPE.pages * SHAPE.stride  # where page 0's record would be
    kernel: Any = Kernel()
    monkeypatch.setattr("drgn.helpers.linux.mmzone.pfn_to_section", lambda *_: section(begin))
    expected = Table(first_page=2 * SHAPE.pages, start=START)
    assert table_of(kernel, SHAPE, 2 * SHAPE.pages + 5) == expected
    every = [(1, section(0)), (2, section(begin)), (3, section(begin | 1))]
    monkeypatch.setattr("drgn.helpers.linux.mmzone.for_each_present_section", lambda _: every)
    assert list(tables(kernel, SHAPE)) == [expected]
