"""The command line: what is a pipe, a redirection or a word, and what is not."""

from __future__ import annotations

import pytest

from oopsight.errors import UsageError
from oopsight.shell.line import parse_line, split_commands, words_of


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ("bt -a", ("bt", "-a"), {}),
        ("ps | grep ss | wc -l", ("ps",), {"pipe": "grep ss | wc -l"}),
        ("log > kernel.log", ("log",), {"output": "kernel.log", "append": False}),
        ("log >> 'a b'", ("log",), {"output": "a b", "append": True}),
        ("p task->comm", ("p", "task->comm"), {}),
        ("p (a > b)", ("p", "(a > b)"), {}),
        ("eval (1 | 2)", ("eval", "(1 | 2)"), {}),
        ('rd "x | y"', ("rd", "x | y"), {}),
        ("*task_struct.pid 1", ("*", "task_struct.pid", "1"), {}),
        ("! ls | wc", (), {"shell": "ls | wc"}),
        ("< commands", (), {"input": "commands"}),
        ("log | tail > out", ("log",), {"pipe": "tail > out"}),
    ],
)
def test_a_line_is_taken_apart(text: str, words: tuple[str, ...], rest: dict[str, object]) -> None:
    line = parse_line(text)
    assert line is not None
    assert line.words == words
    for name, value in rest.items():
        assert getattr(line, name) == value
    if not rest:
        assert line.pipe is line.output is line.shell is line.input is None


@pytest.mark.parametrize("text", ["", "   ", "# bt"])
def test_nothing_is_nothing(text: str) -> None:
    assert parse_line(text) is None


@pytest.mark.parametrize("text", ["bt >", "bt |", 'p "x', "ps > a b", "<"])
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_line(text)


def test_commands_are_separated_outside_quotes() -> None:
    assert split_commands("bt; p ';' ; ps '^a;b' ;;") == ["bt", "p ';'", "ps '^a;b'"]
    assert words_of("a  'b c'  d") == ["a", "'b c'", "d"]
