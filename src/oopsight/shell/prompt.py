"""The prompt itself: where lines come from, and where their output goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oopsight.shell import CommandError, Exit, Shell
from oopsight.shell.line import split_commands

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

PROMPT = "crash> "


class Prompt:
    """Reads lines and runs them until the session ends."""

    def __init__(self, shell: Shell, *, silent: bool = False) -> None:
        self.shell = shell
        self.silent = silent
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self.failed = False
        self.ended = False

    # -- sources of lines --------------------------------------------------------------------

    def run_crashrc(self, *, here: bool) -> None:
        """Run ``~/.crashrc``, and the current folder's where that was asked for."""
        files = [Path.home() / ".crashrc"]
        if here:
            files.append(Path.cwd() / ".crashrc")
        for path in files:
            if path.is_file():
                self.run_file(path)

    def run_file(self, path: Path) -> None:
        """Run the commands of a file."""
        with self._session():
            try:
                self.shell.run_file(path, self._write)
            except CommandError as error:
                self._complain(str(error))

    def run_commands(self, text: str) -> None:
        """Run commands separated by ``;``."""
        for command in split_commands(text):
            if self.ended:
                return
            self.run_line(command)

    def loop(self) -> None:
        """Run lines until the end of the input, or ``exit``."""
        if self.interactive:
            if not self.silent:
                self.run_line("sys")
            self._interact()
            return
        for line in sys.stdin:
            if self.ended:
                return
            self.run_line(line)

    def _interact(self) -> None:
        session = self._prompt_session()
        while not self.ended:
            try:
                # A Ctrl-C while the line is being handed over is the line's: with a handler of
                # its own, prompt_toolkit would lose it.
                line = session.prompt(PROMPT, handle_sigint=False)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not _interrupted(session):
                self.run_line(line)

    def _prompt_session(self) -> PromptSession[str]:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.auto_suggest import AutoSuggestFromHistory

        from oopsight.shell.completion import Completion
        from oopsight.shell.highlight import lexer

        return PromptSession(
            history=_history(),
            auto_suggest=AutoSuggestFromHistory(),
            completer=Completion(self.shell),
            complete_while_typing=False,
            lexer=lexer(self.shell) if self.shell.settings.colour else None,
            enable_history_search=True,
        )

    # -- running -----------------------------------------------------------------------------

    def run_line(self, line: str) -> None:
        """Run one line; Ctrl-C ends it and not the session."""
        with self._session():
            if self.interactive and self.shell.settings.scroll:
                with _paged(self.shell.settings.pager) as write:
                    problem = self.shell.execute(line, write)
            else:
                problem = self.shell.execute(line, self._write)
            if problem:
                self._complain(problem)

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        try:
            yield
        except Exit:
            self.ended = True
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            sys.stdout.write("^C\n")
        finally:
            sys.stdout.flush()

    def _write(self, text: str) -> None:
        sys.stdout.write(text)

    def _complain(self, problem: str) -> None:
        self.failed = True
        sys.stdout.flush()
        sys.stderr.write(f"{problem}\n")
        sys.stderr.flush()


def _interrupted(session: PromptSession[str]) -> bool:
    """Whether Ctrl-C was typed behind the line before its command began; other keys are kept."""
    from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
    from prompt_toolkit.keys import Keys

    typed = get_typeahead(session.input)
    if any(press.key == Keys.ControlC for press in typed):
        return True
    store_typeahead(session.input, typed)
    return False


def _history() -> Any:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    path = base / "oopsight" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


@contextlib.contextmanager
def _paged(pager: str) -> Iterator[Callable[[str], object]]:
    """Output on a terminal: as it is while it fits on the screen, through a pager beyond."""
    paging = _Paging(pager)
    try:
        yield paging.write
    except BrokenPipeError:
        pass
    except KeyboardInterrupt:
        paging.close(wait=False)
        raise
    finally:
        paging.close()


class _Paging:
    def __init__(self, pager: str) -> None:
        program = shutil.which(pager) or shutil.which("less") or shutil.which("more")
        # -F: what fits is not held; -R: colour; -X: the text stays on the screen.
        flags = ["-FRX"] if program and Path(program).name == "less" else []
        self.command = [program, *flags] if program else []
        self.held: list[str] = []
        self.lines = 0
        self.process: subprocess.Popen[str] | None = None

    def write(self, text: str) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.write(text)
            self.process.stdin.flush()  # a slow command's rows are seen as they come
            return
        self.held.append(text)
        self.lines += text.count("\n")
        if self.command and self.lines >= shutil.get_terminal_size().lines - 1:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, text=True, errors="replace"
            )
            held, self.held = "".join(self.held), []
            self.write(held)
        elif not self.command or sum(map(len, self.held)) > 1 << 16:
            self.flush()

    def flush(self) -> None:
        sys.stdout.write("".join(self.held))
        sys.stdout.flush()
        self.held = []

    def close(self, *, wait: bool = True) -> None:
        if self.process is None:
            self.flush()
            return
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if not wait:
            self.process.terminate()
        while True:
            try:
                self.process.wait()
            except KeyboardInterrupt:
                continue  # the pager deals with it
            break
