"""What may stand at the cursor: commands, options, symbols, types, members, pids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit.completion import Completer
from prompt_toolkit.completion import Completion as Item

from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import comm_of, pid_of
from oopsight.shell.types import find_struct, unaliased

if TYPE_CHECKING:
    from prompt_toolkit.document import Document

    from oopsight.shell import Shell

MOST = 500
_TASKED = ("bt", "ps", "files", "set", "sig", "task", "vm", "net", "foreach", "vtop")


class Completion(Completer):
    """Completes for one session; symbols and types are listed once."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self._symbols: list[str] | None = None

    def get_completions(self, document: Document, complete_event: Any) -> Iterable[Item]:  # noqa: ARG002  # the shape is prompt_toolkit's
        """Give what fits the word before the cursor."""
        for number, (text, start, meta) in enumerate(self.suggest(document.text_before_cursor)):
            if number >= MOST:
                return
            yield Item(text, start_position=-start, display_meta=meta)

    def suggest(self, line: str) -> Iterator[tuple[str, int, str]]:
        """Completions: text, how many characters before the cursor it replaces, remark."""
        words = line.split()
        word = "" if not line or line[-1].isspace() else words[-1]
        before = words if not word else words[:-1]
        if not before or before in (["help"], ["foreach"]):
            yield from self._commands(word)
            if not before:
                return
        if before[0] == "help":
            return
        command = self.shell.command(self.shell.aliases.get(before[0], before[0]).split()[0])
        if word.startswith("-") and command is not None:
            for flag, option in command.options.items():
                if flag.startswith(word):
                    yield flag, len(word), option.text
            return
        if "." in word or before[0].startswith("*"):
            yield from self._members(word)
            return
        if before[0] in _TASKED and (not word or word.isdecimal()):
            yield from self._pids(word)
        elif word:
            yield from self._names(word)

    def _commands(self, word: str) -> Iterator[tuple[str, int, str]]:
        for name in [*self.shell.command_names(), *self.shell.aliases]:
            if name.startswith(word):
                command = self.shell.command(name)
                meta = command.summary if command else self.shell.aliases[name]
                yield name, len(word), meta

    def _members(self, word: str) -> Iterator[tuple[str, int, str]]:
        name, _, path = word.lstrip("*").partition(".")
        path = path.rpartition(",")[2]
        *inner, last = path.split(".")
        try:
            type_ = unaliased(find_struct(self.shell.prog, name))
            for part in inner:
                type_ = unaliased(type_.member(part).type)
                if hasattr(type_, "type") and str(type_.kind).endswith("POINTER"):
                    type_ = unaliased(type_.type)
            members = [m for m in _named_members(type_) if m.name.startswith(last)]
        except readable_errors():
            return
        for member in members:
            yield member.name, len(last), member.type.type_name()

    def _pids(self, word: str) -> Iterator[tuple[str, int, str]]:
        for task in self.shell.tasks():
            try:
                pid = str(pid_of(task))
                if pid.startswith(word):
                    yield pid, len(word), comm_of(task)
            except readable_errors():
                continue

    def _names(self, word: str) -> Iterator[tuple[str, int, str]]:
        import bisect

        if self._symbols is None:
            self._symbols = sorted({row[2] for row in self.shell.names.all()})
        at = bisect.bisect_left(self._symbols, word)
        for name in self._symbols[at : at + MOST]:
            if not name.startswith(word):
                break
            yield name, len(word), ""
        yield from self._types(word)

    def _types(self, word: str) -> Iterator[tuple[str, int, str]]:
        from oopsight.shell.types import type_names

        for name in type_names(self.shell):
            if name.startswith(word):
                yield name, len(word), "type"


def _named_members(type_: Any, depth: int = 0) -> Iterator[Any]:
    for member in type_.members or ():
        if member.name:
            yield member
        elif depth < 8:
            yield from _named_members(unaliased(member.type), depth + 1)
