"""Whether objects are on a list still."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from oopsight.evidence.exhaustion import object_links
from oopsight.evidence.exhaustion.object_links import LINKED, UNLINKED, links

START, SIZE, COUNT = 0xFFFF888000010000, 64, 16
HEAD = 0xFFFFFFFFC0004000
POISON = 0xDEAD000000000122


class Memory:
    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    def read(self, address: int, size: int) -> bytes:
        words = (self.words.get(at, 0) for at in range(address, address + size, 8))
        return b"".join(word.to_bytes(8, "little") for word in words)

    def read_u64(self, address: int) -> int:
        if address not in self.words:
            raise drgn.FaultError("not here", address)
        return self.words[address]


@pytest.fixture(autouse=True)
def slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_links, "slabs", lambda *_: [(START, COUNT)])


def told(fill: Any) -> str | None:
    memory = Memory()
    for number in range(COUNT):
        fill(memory.words, START + number * SIZE, number)
    cache = SimpleNamespace(size=SimpleNamespace(value_=lambda: SIZE))
    return links(memory, cache)


def test_entries_of_a_list_point_back() -> None:
    def fill(words: dict[int, int], at: int, number: int) -> None:
        words[at + 16] = at + SIZE + 16 if number + 1 < COUNT else HEAD
        words[at + 24] = at - SIZE + 16 if number else HEAD
        words[HEAD], words[HEAD + 8] = START + 16, START + (COUNT - 1) * SIZE + 16

    assert told(fill) == LINKED


def test_entries_of_hash_chains_are_pointed_to_from_where_they_say() -> None:
    def fill(words: dict[int, int], at: int, number: int) -> None:
        words[at], words[at + 8] = 0, HEAD + 8 * number
        words[HEAD + 8 * number] = at

    assert told(fill) == LINKED


def test_what_list_del_leaves_tells_that_they_were_taken_off() -> None:
    assert told(lambda words, at, _: words.update({at + 8: POISON})) == UNLINKED


def test_other_pointers_and_empty_lists_tell_nothing() -> None:
    def fill(words: dict[int, int], at: int, _: int) -> None:
        words[at], words[at + 8] = at, at
        words[at + 16] = HEAD

    assert told(fill) is None


def test_of_a_few_that_are_left_those_that_are_free_tell_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    memory = Memory()
    for number in range(COUNT):
        # Freed after list_del(); the only one in use is on a list still.
        memory.words[START + number * SIZE + 8] = POISON
    memory.words[START + 8] = HEAD
    memory.words[START], memory.words[HEAD], memory.words[HEAD + 8] = HEAD, START, START
    cache = SimpleNamespace(size=SimpleNamespace(value_=lambda: SIZE))

    def info(_: Any, at: int) -> Any:
        return SimpleNamespace(allocated=at == START)

    monkeypatch.setattr(object_links, "slab_object_info", info)
    assert links(memory, cache, few=True) == LINKED
    assert links(memory, cache) == UNLINKED
    monkeypatch.setattr(object_links, "slab_object_info", lambda *_: None)
    assert links(memory, cache, few=True) is None
