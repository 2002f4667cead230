"""Colour in the line that is typed: commands, options, numbers, what follows a pipe."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.lexers import Lexer

if TYPE_CHECKING:
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from oopsight.shell import Shell

_TOKEN = re.compile(r"(\s+)|([|><!].*)|(-\S+)|((?:0x)?[0-9a-f]{4,}\b|\b\d+\b)|(\S+)")
_STYLES = ("", "ansiyellow", "ansicyan", "ansimagenta", "")


def lexer(shell: Shell) -> Lexer:
    """The lexer of one session, which knows its commands."""

    class _Line(Lexer):
        def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
            def line(number: int) -> StyleAndTextTuples:
                found: StyleAndTextTuples = []
                first = True
                for match in _TOKEN.finditer(document.lines[number]):
                    index = next(i for i, g in enumerate(match.groups()) if g is not None)
                    style = _STYLES[index]
                    if first and index >= 2:
                        word = match.group()
                        known = word in shell.aliases or shell.command(word.lstrip("*") or "*")
                        style = "ansigreen bold" if known or word.startswith("*") else "ansired"
                        first = False
                    found.append((style, match.group()))
                return found

            return line

    return _Line()
