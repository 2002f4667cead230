"""KASAN's shadow and records, in a program of made-up memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import handmade_facts as made
import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.memory import kasan, slab_tracks
from oopsight.evidence.memory.slab_tracks import TrackFrame

OBJECT, BEHIND = BASE + 0x400, 64
SHADOW = ((OBJECT >> 3) + 0xDFFFFC0000000000) & ((1 << 64) - 1)
RECORDED, FREED, USABLE = 0xFA, 0xFB, 0x00
NO_RECORD = 0x7FFFFFFF


def frame(name: str, module: str | None = None) -> TrackFrame:
    return TrackFrame(Address(BASE), name, module, None if module else "plumbing")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Stack 5 allocated the object, and stack 6 freed it."""
    found = Kernel()
    found.struct("kasan_track", pid=found.word, stack=found.word)
    found.struct("kasan_alloc_meta", alloc_track=found.type("kasan_track"))
    found.struct("kasan_free_meta", link=found.word, free_track=found.type("kasan_track"))
    found.put(OBJECT + BEHIND, 71, 5)
    found.put(OBJECT, 0, 72, 6)
    stacks = {
        5: (frame("kasan_save_stack"), frame("__kasan_kmalloc"), frame("dock_open", "dock")),
        6: (frame("kasan_save_free_info"), frame("kfree"), frame("dock_drop", "dock")),
    }
    monkeypatch.setattr(slab_tracks, "depot_frames", lambda *a: stacks[a[2]])
    monkeypatch.setattr(slab_tracks, "handed_on", lambda *_: (False, None))
    return found


def cache(alloc: int = BEHIND, free: int = 0) -> Any:
    offsets = {"alloc_meta_offset": alloc, "free_meta_offset": free}
    info = SimpleNamespace(member_=lambda name: SimpleNamespace(value_=lambda: offsets[name]))
    return SimpleNamespace(kasan_info=info)


def shadow(kernel: Kernel, byte: int) -> None:
    page = SHADOW & ~0xFFF
    kernel.prog.add_memory_segment(page, 0x1000, lambda _, count, *__: bytes([byte]) * count, False)


def records(kernel: Kernel, of: Any) -> list[tuple[str, int | None, list[str]]]:
    session: Any = SimpleNamespace(prog=kernel.prog, read=kernel.prog.read)
    found = kasan.records(session, made.modules(), of, OBJECT)
    return [(one.what, one.pid, [call.function for call in one.calls]) for one in found]


def test_who_allocated_and_who_freed(kernel: Kernel) -> None:
    shadow(kernel, RECORDED)
    assert kasan.freed(kernel.prog, cache(), OBJECT) is True
    assert records(kernel, cache()) == [
        ("allocated", 71, ["dock_open"]),
        ("freed", 72, ["kfree", "dock_drop"]),
    ]


def test_what_is_in_use_or_keeps_no_record_was_freed_by_nobody(kernel: Kernel) -> None:
    shadow(kernel, USABLE)
    assert kasan.freed(kernel.prog, cache(), OBJECT) is False
    assert [one[0] for one in records(kernel, cache())] == ["allocated"]


@pytest.mark.parametrize(("byte", "free"), [(FREED, 0), (RECORDED, NO_RECORD)])
def test_a_free_object_without_a_record(kernel: Kernel, byte: int, free: int) -> None:
    shadow(kernel, byte)
    assert kasan.freed(kernel.prog, cache(), OBJECT) is True
    assert [one[0] for one in records(kernel, cache(free=free))] == ["allocated"]
    assert records(kernel, cache(alloc=0, free=free)) == []


def test_a_kernel_without_kasan(kernel: Kernel) -> None:
    assert kasan.freed(kernel.prog, SimpleNamespace(), OBJECT) is None
    # With it, but the shadow is not in the dump.
    assert kasan.freed(kernel.prog, cache(), OBJECT) is None
    assert records(kernel, cache()) == []
    with pytest.raises(drgn.FaultError):
        kernel.prog.read_u8(SHADOW)
