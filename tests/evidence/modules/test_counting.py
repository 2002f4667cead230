"""What instructions count, and copy as a whole."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.counting import copied_within, counted, taken_over

POINTER, OTHER = Value("argument", 1), Value("argument", 2)


@pytest.mark.parametrize(
    ("instruction", "found"),
    [
        (("add", "eax", "1"), ("eax", True)),
        (("add", "eax", "-1"), ("eax", False)),
        (("sub", "eax", "edx"), ("eax", False)),
        (("dec", "ecx", ""), ("ecx", False)),
        (("lea", "edx", "[rax - 1]"), ("rax", False)),
        (("lea", "edx", "[rip + 1]"), None),
        (("xor", "eax", "eax"), None),
        (("add", "rax", "8"), None),
    ],
)
def test_counts(instruction: tuple[str, str, str], found: tuple[str, bool] | None) -> None:
    assert counted(*instruction) == found


def test_copies() -> None:
    word = Value("loaded", 0x20, POINTER)
    assert list(copied_within([(8, word, POINTER)], [])) == [(8, 0x20, 8, False)]
    # From another object; and what stays where it is.
    assert list(copied_within([(8, word, OTHER), (0x20, word, POINTER)], [])) == []
    # Several words from another object are a structure, one is a pointer.
    words = [(key, Value("loaded", key + 0x10, OTHER), POINTER) for key in (8, 16, 24)]
    assert list(copied_within(words, [])) == [(8, 0x18, 24, True)]
    assert list(copied_within(words[:1], [])) == []
    to, taken = Value("inner", 0x40, POINTER), Value("inner", 0x80, POINTER)
    assert list(copied_within([], [(to, taken, 24), (to, OTHER, 24)])) == [
        (0x40, 0x80, 24, False),
        (0x40, 0, 24, True),
    ]
    stack = Value("stack", 9)
    assert list(copied_within([], [(to, stack, 24)])) == []
    variables = Value("number", 0x1000), Value("number", 0x2000)
    assert list(copied_within([], [(*variables, 16)])) == [(0x1000, 0x2000, 16, False)]


def test_what_is_taken_over() -> None:
    word = Value("loaded", 0x20, OTHER)
    ((to, taken, size),) = taken_over(8, word, POINTER, "dword ptr [rdi + 8]")
    assert list(copied_within([], [(to, taken, size)])) == [(8, 0x20, 4, True)]
    # The same field; what was not loaded; a variable.
    assert taken_over(0x20, Value("loaded", 0x20, POINTER), POINTER, "dword ptr [rdi]") == []
    assert taken_over(8, Value("computed", 3), POINTER, "dword ptr [rdi]") == []
    assert taken_over(8, word, None, "dword ptr [rip]") == []
