"""The page allocator's records of one page, and of who has most pages."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_exhaustion import use
from handmade_memory import BASE, Kernel

from oopsight.evidence import Address, Missing
from oopsight.evidence.exhaustion import page_takers
from oopsight.evidence.exhaustion.page_takers import PageTakers
from oopsight.evidence.memory import page_owner, slab_tracks
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.kernel import page_owner as layout
from oopsight.kernel.page_owner import Shape, Table

RECORDED, ALLOCATED = 1, 2
SHAPE = Shape(pages=16, stride=48, owner=8, recorded=RECORDED, allocated=ALLOCATED)
TABLE = Table(first_page=32, start=BASE + 0x800)
PAGE = 35
STACKS = {0: (), 7: ("get_page_from_freelist", "dock_fill"), 8: ("free_unref_page", "dock_empty")}


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    found.struct("page_ext", flags=found.word)
    found.struct(
        "page_owner",
        **dict.fromkeys(("handle", "free_handle", "pid", "free_pid"), found.word),
    )

    def frames(_: Any, __: Any, handle: int) -> tuple[TrackFrame, ...]:
        return tuple(
            TrackFrame(Address(BASE), name, "dock" if "dock" in name else None, None)
            for name in STACKS[handle]
        )

    for module in (slab_tracks, page_takers):
        monkeypatch.setattr(module, "depot_frames", frames)
    monkeypatch.setattr(slab_tracks, "handed_on", lambda *_: (False, None))
    monkeypatch.setattr(layout, "shape_of", lambda _: SHAPE)
    monkeypatch.setattr(layout, "table_of", lambda *_: TABLE)
    monkeypatch.setattr(layout, "tables", lambda *_: [TABLE])
    number = SimpleNamespace(value_=lambda: PAGE)
    monkeypatch.setattr("drgn.helpers.linux.mm.virt_to_pfn", lambda *_: number)
    return found


def record(kernel: Kernel, page: int, flags: int, *owner: int) -> None:
    """Flags, and of ``page_owner`` both handles and both processes."""
    kernel.put(TABLE.start + (page - TABLE.first_page) * SHAPE.stride, flags, *owner)


def session(kernel: Kernel) -> Any:
    return SimpleNamespace(prog=kernel.prog, read=kernel.prog.read)


def found(kernel: Kernel) -> list[tuple[str, int | None, str]]:
    tracks = page_owner.records(session(kernel), made.modules(), PAGE << 12)
    return [(one.what, one.pid, one.calls[-1].function) for one in tracks]


def test_who_has_a_page_and_who_gave_it_back(kernel: Kernel) -> None:
    record(kernel, PAGE, RECORDED | ALLOCATED, 7, 8, 71, 72)
    assert found(kernel) == [("allocated", 71, "dock_fill")]
    record(kernel, PAGE, RECORDED, 7, 8, 71, 72)
    assert found(kernel) == [("allocated", 71, "dock_fill"), ("freed", 72, "dock_empty")]
    record(kernel, PAGE, 0, 7, 8, 71, 72)
    assert found(kernel) == []


def test_who_frees_is_not_always_recorded(kernel: Kernel) -> None:
    record(kernel, PAGE, RECORDED, 7, 0, 71, 0)
    assert found(kernel) == [("allocated", 71, "dock_fill")]
    kernel.struct("page_owner", **dict.fromkeys(("handle", "free_handle", "pid"), kernel.word))
    record(kernel, PAGE, RECORDED, 7, 8, 71)
    assert found(kernel)[1] == ("freed", None, "dock_empty")


def test_a_kernel_without_records(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "shape_of", lambda _: None)
    assert found(kernel) == []
    assert isinstance(page_takers.collect(session(kernel), use(), made.ABSENT), Missing)


def test_who_has_most_pages(kernel: Kernel) -> None:
    for page in range(32, 40):
        record(kernel, page, RECORDED | ALLOCATED, 7, 0, 71)
    record(kernel, 40, RECORDED | ALLOCATED, 8, 0, 71)
    for page in range(41, 48):
        record(kernel, page, RECORDED, 8, 0, 71)  # free
    takers = page_takers.collect(session(kernel), use(), made.ABSENT)
    assert isinstance(takers, PageTakers)
    assert [(one.pages, one.calls[-1].function) for one in takers.takers] == [
        (8, "dock_fill"),
        (1, "dock_empty"),
    ]
    assert takers.takers[0].record.address == TABLE.start + SHAPE.owner


def test_stacks_of_the_same_functions_count_as_one(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STACKS, 9, STACKS[7])
    record(kernel, 32, RECORDED | ALLOCATED, 7, 0, 71)
    record(kernel, 33, RECORDED | ALLOCATED, 9, 0, 71)
    takers = page_takers.collect(session(kernel), use(), made.ABSENT)
    assert isinstance(takers, PageTakers)
    assert [one.pages for one in takers.takers] == [2]
