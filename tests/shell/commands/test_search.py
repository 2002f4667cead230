"""Values and strings in a block of memory."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.shell.arguments import Args
from oopsight.shell.commands.search import _Matcher

SHELL: Any = SimpleNamespace(address=lambda word: int(word, 16))
WORDS = (0, 0xFFFF888001234567, 5, 0xFFFF888001234000, 0xFFFF888001234567)
DATA = struct.pack(f"<{len(WORDS)}Q", *WORDS) + b"tail"


def _find(words: list[str], *given: tuple[str, str | None], size: int = 8) -> list[int]:
    return _Matcher(SHELL, Args(words, given=list(given)), size).find(DATA)


def test_a_value_is_found_wherever_it_is() -> None:
    assert _find(["ffff888001234567"]) == [8, 32]


def test_several_values_are_found_in_their_order_in_memory() -> None:
    assert _find(["5", "ffff888001234567"]) == [8, 16, 32]


def test_bits_of_the_mask_may_differ() -> None:
    assert _find(["ffff888001234567"], ("-m", "fff")) == [8, 24, 32]


def test_smaller_words_are_found_in_each_half() -> None:
    assert _find(["1234567"], size=4) == [8, 32]
    assert _find(["ffff"], size=2) == [14, 30, 38]


def test_nothing_is_found_where_nothing_is() -> None:
    assert _find(["77"]) == []


def test_strings_are_found_behind_the_last_word() -> None:
    assert _find(["tail"], ("-c", None)) == [40]


@pytest.mark.parametrize("length", [0, 3, 8])
def test_a_short_block_is_searched_as_far_as_it_goes(length: int) -> None:
    assert _Matcher(SHELL, Args(["0"]), 8).find(DATA[:length]) == ([0] if length == 8 else [])
