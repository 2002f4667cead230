"""The prompt: every command of the crash utility on a damaged dump too, and commands that explain.

In Python::

    shell = Shell(open_session("vmcore"))
    result = shell.run("ps -m")
    result.rows, result.text

A command never ends because of one bad page: what could not be read is marked in its place, and
counted in the last line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oopsight.errors import OopsightError, UsageError
from oopsight.evidence import Evidence, Missing
from oopsight.session import NOT_KEPT, Session
from oopsight.shell import registry
from oopsight.shell.arguments import DRGN, EVERYWHERE, JSON, WHY
from oopsight.shell.line import Line, parse_line
from oopsight.shell.names import Names
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Out, Result, gap_from, left_out, readable_errors
from oopsight.shell.redirection import redirected, run_shell
from oopsight.text import printable

BUILT_IN_ALIASES = {
    "?": "help",
    "man": "help",
    "quit": "exit",
    "sf": "set scroll off",
    "sn": "set scroll on",
    "hex": "set radix 16",
    "dec": "set radix 10",
    "g": "gdb",
    "px": "p -x",
    "pd": "p -d",
    "for": "foreach",
    "size": "*",
    "dmesg": "log",
    "last": "ps -l",
}
MOST_ALIAS_STEPS = 16
MOST_INPUT_DEPTH = 8


class Exit(Exception):  # noqa: N818  # a wish, not an error
    """The session shall end."""


class CommandError(OopsightError):
    """A command cannot be carried out as typed."""


@dataclasses.dataclass
class Settings:
    """What ``set`` changes."""

    scroll: bool = True
    radix: int = 10
    silent: bool = False
    echo: bool = False
    pager: str = "less"
    colour: bool = True
    edit: str = "vi"
    hash: bool = True
    refresh: bool = True
    namelist: str = ""
    dumpfile: str = ""
    gdb: bool = False
    offline: bool = True


class Shell:
    """A session at the prompt: the dump, the current task, settings and aliases."""

    def __init__(self, session: Session) -> None:
        self._use(session)
        self.settings = Settings(
            namelist=str(session.symbols.path or ""), dumpfile=str(session.info.path)
        )
        self.aliases = dict(BUILT_IN_ALIASES)
        self.user_aliases: set[str] = set()
        self.extensions: dict[str, Path] = {}
        self.added: dict[str, registry.Command] = {}
        """Commands of extensions."""
        self._depth = 0

    def _use(self, session: Session) -> None:
        """Take a session, of which nothing is known yet."""
        self.session = session
        self.prog = session.prog
        self.evidence = Evidence(session)
        self.cache: dict[Any, Any] = {}
        """What commands keep for each other, by a key of their own."""
        self._task: Any = None
        self._names: Names | None = None

    def reopen(self) -> None:
        """Open the dump again; the current task and all settings stay."""
        from drgn import Object

        task = None if self._task is None else self._task.value_()
        self._use(self.session.again())
        if task is not None:
            self._task = Object(self.prog, "struct task_struct *", task)

    def forget_names(self) -> None:
        """Look names up anew, after symbols were added."""
        self._names = None

    @property
    def names(self) -> Names:
        """Symbols and source lines."""
        if self._names is None:
            from oopsight.evidence.modules.modules import Modules

            modules = self.evidence.get(Modules)
            self._names = Names(self.prog, None if isinstance(modules, Missing) else modules)
        return self._names

    @property
    def task(self) -> Any:
        """The current task, ``struct task_struct *``: the crashed one unless ``set`` otherwise.

        :raises CommandError: where no task can be found at all
        """
        if self._task is None:
            self._task = self.panic_task()
        return self._task

    @task.setter
    def task(self, task: Any) -> None:
        self._task = task

    def panic_task(self) -> Any:
        """The task that crashed, ``struct task_struct *``; another running one where none is known.

        :raises CommandError: where no task can be found at all
        """
        from oopsight.shell.tasks import current_tasks

        if "panic-task" not in self.cache:
            from drgn.helpers.linux.panic import panic_task

            found = None
            with contextlib.suppress(*readable_errors()):
                found = panic_task(self.prog)
            if not found:
                found = next(iter(current_tasks(self.prog).values()), None)
            if not found:
                # Nothing tells what ran: at least there is a task to begin with.
                with contextlib.suppress(*readable_errors()):
                    found = self.prog["init_task"].address_of_()
            if not found:
                raise CommandError("the dump shows no running task; set TASK chooses one")
            self.cache["panic-task"] = found
        return self.cache["panic-task"]

    def command(self, name: str) -> registry.Command | None:
        """The command of a name, an extension's too."""
        return self.added.get(name) or registry.command(name)

    def command_names(self) -> list[str]:
        """All commands, sorted."""
        return sorted({*registry.names(), *self.added})

    # -- addresses ---------------------------------------------------------------------------

    def address(self, word: str) -> int:
        """The address that a word means: hexadecimal, a symbol, or an expression.

        :raises CommandError: if it means none
        """
        if not (word.startswith("(") or any(char in word for char in "+*&[-.>")):
            found = self.names.address_of(word) if not word[:1].isdigit() else None
            if found is None:
                found = hexadecimal(word)
            if found is not None:
                return found & ((1 << 64) - 1)
        from oopsight.shell.expression import address_of

        try:
            return address_of(self.prog, word.lstrip("\\"))
        except readable_errors() as error:
            gap = gap_from(error, word)
            raise CommandError(f"{word}: {gap.why}") from None

    def find_task(self, word: str) -> Any:
        """The task of a pid (decimal) or a ``task_struct`` address (hexadecimal).

        :return: ``struct task_struct *``
        :raises CommandError: if there is none
        """
        from drgn import Object
        from drgn.helpers.linux.pid import find_task

        if word.isdecimal():
            found = None
            with contextlib.suppress(*readable_errors()):
                found = find_task(self.prog, int(word))
            if not found:
                found = next((t for t in self.tasks() if _pid(t) == int(word)), None)
            if found:
                return found
        address = hexadecimal(word)
        if address is not None:
            if any(task.value_() == address for task in self.tasks()):
                return Object(self.prog, "struct task_struct *", address)
            raise CommandError(f"{word}: no task has this pid or address")
        raise CommandError(f"{word}: neither a pid nor the address of a task")

    def tasks(self) -> list[Any]:
        """All tasks, found once: idle tasks by CPU, then by pid."""
        if "tasks" not in self.cache:
            from oopsight.shell.tasks import all_tasks

            problems: list[Exception] = []
            self.cache["tasks"] = all_tasks(self.prog, problems)
            self.cache["task-problems"] = problems
        found: list[Any] = self.cache["tasks"]
        return found

    def task_problems(self, out: Out) -> None:
        """Say what of the task lists could not be read."""
        self.tasks()
        for error in self.cache["task-problems"]:
            out.line(out.count(gap_from(error, "list of tasks")).line)

    # -- running -----------------------------------------------------------------------------

    def run(self, text: str) -> Result:
        """Run one command line and give what it says as data and text."""
        pieces: list[str] = []
        out, error = self._run_text(text, pieces.append, keep_rows=True)
        rows = tuple(out.rows) if out else ()
        gaps = tuple(out.gaps) if out else ()
        return Result(text, rows, "".join(pieces), gaps, error)

    def execute(self, text: str, write: Callable[[str], object]) -> str | None:
        """Run one command line as the prompt does.

        :return: why it failed, in one line; ``None`` where it did not
        """
        return self._run_text(text, write, keep_rows=False)[1]

    def _run_text(
        self, text: str, write: Callable[[str], object], *, keep_rows: bool
    ) -> tuple[Out | None, str | None]:
        name = text.strip().partition(" ")[0]
        token = left_out.set(NOT_KEPT if self.session.info.minicore else left_out.get())
        try:
            line = self._parse(text)
            if line is None:
                return None, None
            name = line.words[0] if line.words else name
            return self._run_line(line, write, keep_rows=keep_rows), None
        except OopsightError as error:
            return None, f"{printable(name)}: {printable(' '.join(str(error).split()))}"
        except BrokenPipeError:
            return None, None
        except OSError as error:
            return None, f"{printable(name)}: {error.filename or ''}: {error.strerror or error}"
        finally:
            left_out.reset(token)

    def _parse(self, text: str) -> Line | None:
        """Parse a line, aliases replaced."""
        line = parse_line(text)
        seen: set[str] = set()
        for _ in range(MOST_ALIAS_STEPS):
            if line is None or not line.words:
                return line
            name = line.words[0]
            if name not in self.aliases or name in seen:
                return line
            seen.add(name)
            rest = text.strip()[len(name) :]
            text = f"{self.aliases[name]}{rest}"
            line = parse_line(text)
        raise CommandError("the alias leads in a circle")

    def _run_line(
        self, line: Line, write: Callable[[str], object], *, keep_rows: bool
    ) -> Out | None:
        if line.shell is not None:
            run_shell(line.shell, write)
            return None
        if line.input is not None:
            with redirected(line, self.session.info.path, write) as target:
                self.run_file(Path(line.input), target)
            return None
        found, words = self.resolve(list(line.words))
        with redirected(line, self.session.info.path, write) as target:
            return self._run_command(found, words, line.raw, target, keep_rows=keep_rows)

    def resolve(self, words: list[str]) -> tuple[registry.Command, list[str]]:
        """The command that words mean, and its arguments; a type's name alone means ``*``.

        :raises UsageError: if there is none
        """
        name = words[0]
        command = self.command(name)
        if command is not None:
            return command, words[1:]
        star = self.command("*")
        if star is not None and self.is_type(name.partition(".")[0]):
            return star, words
        raise UsageError("no such command; help lists all")

    def is_type(self, name: str) -> bool:
        """Whether a struct, union or typedef of this name is known."""
        from oopsight.shell.types import find_struct

        try:
            find_struct(self.prog, name)
        except (LookupError, CommandError, SyntaxError, ValueError):
            return False
        return True

    def _run_command(
        self,
        command: registry.Command,
        words: list[str],
        raw: str,
        write: Callable[[str], object],
        *,
        keep_rows: bool,
    ) -> Out:
        asked = {word for word in words if word in EVERYWHERE}
        if asked:
            words = [word for word in words if word not in asked]
            raw = " ".join(part for part in raw.split() if part not in asked)
        if asked & {DRGN, WHY}:
            return self._show_code(command, words, raw, write, run=WHY in asked)
        as_json = JSON in asked
        target = (lambda _: None) if as_json else write
        out = Out(target, keep_rows=keep_rows or as_json, columns=self.columns())
        try:
            self.call(command, words, raw, out)
        finally:
            if as_json:
                write(out.to_json() + "\n")
            else:
                out.close()
        return out

    def _show_code(
        self,
        command: registry.Command,
        words: list[str],
        raw: str,
        write: Callable[[str], object],
        *,
        run: bool,
    ) -> Out:
        """The drgn code that gives the same, behind the command's own answer where it is to run."""
        from oopsight.shell.code import code_of

        out = Out(write, keep_rows=False, columns=self.columns())
        code = code_of(self, command, command.parse(words, raw))
        if run:
            self.call(command, words, raw, out)
            out.close()
            out.line("\nThe same in drgn:\n")
        out.lines(code)
        return out

    def call(self, command: registry.Command, words: list[str], raw: str, out: Out) -> None:
        """Carry out a command; what nobody foresaw ends it with one line.

        :raises UsageError: where it is typed wrongly
        """
        try:
            try:
                args = command.parse(words, raw)
            except UsageError as error:
                raise UsageError(f"{error}; usage: {command.synopsis.splitlines()[0]}") from None
            command.run(self, args, out)
        except (OopsightError, Exit, KeyboardInterrupt, BrokenPipeError):
            raise
        except readable_errors() as error:
            gap = out.count(gap_from(error, command.name))
            out.line(gap.line)
        except Exception as error:
            if os.environ.get("OOPSIGHT_DEBUG"):
                raise
            kind = type(error).__name__
            raise CommandError(
                f"defect of Oopsight, {kind}: {error}; OOPSIGHT_DEBUG=1 shows the traceback"
            ) from error

    def run_file(self, path: Path, write: Callable[[str], object]) -> None:
        """Run the commands of a file that the user named, a line each.

        :raises CommandError: if it cannot be read
        """
        if self._depth >= MOST_INPUT_DEPTH:
            raise CommandError(f"{path}: input files are nested too deeply")
        try:
            lines = path.expanduser().read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}") from None
        self._depth += 1
        try:
            for text in lines:
                if self.settings.echo and text.strip():
                    write(f"crash> {text}\n")
                problem = self.execute(text, write)
                if problem:
                    write(f"{problem}\n")
        finally:
            self._depth -= 1

    def columns(self) -> int:
        """Width of the terminal."""
        import shutil

        return shutil.get_terminal_size((80, 24)).columns


def _pid(task: Any) -> int | None:
    try:
        return int(task.pid.value_())
    except readable_errors():
        return None
