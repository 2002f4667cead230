"""Who takes what the memory is full of, where nothing tells whose it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from handmade_code import function
from handmade_exhaustion import CACHE, use
from handmade_facts import ABSENT, module, modules

from oopsight.cheap import replace
from oopsight.evidence import Missing
from oopsight.evidence.exhaustion import takers
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.memory_use import MemoryUse
from oopsight.evidence.exhaustion.takers import Takers, collect

START, HOOK, COPY, PAGES = (0xFFFFFFFFC0000000 + at for at in (0, 0x100, 0x8000, 0x9000))
DRIVER = module("drv", START, START + 0x1000, "O")
OTHER = module("kernelpart", START + 0x2000, START + 0x3000)


class Kernel:
    """A driver's hook, which calls ``skb_copy``."""

    def __init__(self) -> None:
        code = bytearray(0x1000)
        code[0x110:0x115] = b"\xe8" + (COPY - (HOOK + 0x15)).to_bytes(4, "little", signed=True)
        self.code = bytes(code)

    def read(self, address: int, size: int) -> bytes:
        if START <= address < START + 0x1000:
            return self.code[address - START : address - START + size]
        raise drgn.FaultError("not here", address)

    def symbol(self, place: int | str) -> Any:
        for address, name in ((HOOK, "drv_hook"), (COPY, "skb_copy"),
                              (PAGES, "alloc_pages_noprof")):  # fmt: skip
            if place == name or (isinstance(place, int) and address <= place < address + 0x80):
                return SimpleNamespace(name=name, address=address, size=0x80)
        raise LookupError(place)


@pytest.fixture(autouse=True)
def _no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takers, "packet_handlers", lambda *_: ())


def found(memory: MemoryUse, deleted: DeletedFiles | None = None) -> Takers | Missing:
    session: Any = SimpleNamespace(prog=Kernel())
    return collect(session, memory, deleted or ABSENT, modules(DRIVER, OTHER))


def full_of(*names: str) -> MemoryUse:
    caches = tuple(replace(CACHE, name=name, pages=2000) for name in names)
    return replace(use(), caches=caches)


@pytest.mark.parametrize("names", [("skbuff_head_cache",), ("kmalloc-2k", "skbuff_head_cache")])
def test_packets(names: tuple[str, ...]) -> None:
    answer = found(full_of(*names))
    assert isinstance(answer, Takers)
    assert [(one.function, one.calls) for one in answer.functions] == [("drv_hook", "skb_copy")]
    assert answer.modules == {"drv"}


def test_packets_are_told_by_their_number_where_their_data_take_the_room() -> None:
    data = replace(CACHE, name="kmalloc-4k", pages=4000, object_size=4096)
    heads = replace(CACHE, name="skbuff_head_cache", pages=240, object_size=232)
    answer = found(replace(use(), caches=(data, heads)))
    assert isinstance(answer, Takers)
    assert answer.what == "packets"
    few = replace(heads, pages=40)
    assert isinstance(found(replace(use(), caches=(data, few))), Missing)


def test_of_pages_others_are_meant() -> None:
    answer = found(use(unaccounted=6000))
    assert isinstance(answer, Takers)
    assert (answer.what, answer.functions) == ("pages", ())


def test_what_tells_its_owner_is_not_looked_for() -> None:
    assert isinstance(found(full_of("kmalloc-512")), Missing)


def test_deleted_files_are_held_by_whoever_takes_paths() -> None:
    answer = found(use(), DeletedFiles(40, 3000, ()))
    assert isinstance(answer, Takers)
    assert (answer.what, answer.functions) == ("directory entries and inodes", ())


@pytest.mark.parametrize(
    ("code", "called", "large"),
    [
        ("be00400000", "devm_kmalloc", True),  # mov esi, 0x4000
        ("bef0000000", "devm_kmalloc", False),
        ("bee01f0000", "devm_kmalloc", True),  # with what the kernel adds to it
        ("bf00200000", "__kmalloc", False),
        ("89f7", "__kmalloc", True),  # mov edi, esi: it may be
    ],
)
def test_what_comes_from_no_cache_as_it_is_too_large(
    code: str, called: str, *, large: bool
) -> None:
    made = function(code, "call helper", "c3")
    (site,) = [at for at, row in made.code.items() if row.mnemonic == "call"]
    reader: Any = SimpleNamespace(function=lambda _: made)
    assert takers._may_be_large(drgn.Program(), reader, site, made.start, called) is large
