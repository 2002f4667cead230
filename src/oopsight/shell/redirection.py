"""Where a command's output goes: through a shell command of the user's, into a file, or on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.errors import OutputError

if TYPE_CHECKING:
    from oopsight.shell.line import Line


def run_shell(text: str, write: Callable[[str], object]) -> None:
    """Run a shell command that the user typed; its output goes where a command's goes."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    command = [shell, "-c", text] if text else [shell]
    if text and not sys.stdout.isatty():
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
        write(done.stdout.decode("utf-8", "replace"))
        return
    sys.stdout.flush()
    subprocess.run(command, check=False)


@contextlib.contextmanager
def redirected(
    line: Line, dump: Path, write: Callable[[str], object]
) -> Iterator[Callable[[str], object]]:
    """Where a command's text goes: a pipe, a file, or on.

    :param dump: never written to
    :raises OutputError: if that is what the user named
    """
    if line.output is not None:
        path = Path(line.output).expanduser()
        if path.exists() and path.samefile(dump):
            raise OutputError(f"{path} is the dump itself; name another file")
        with path.open("a" if line.append else "w", encoding="utf-8") as file:
            if line.pipe is None:
                yield file.write
                return
            with _piped(line.pipe, file.write) as target:
                yield target
        return
    if line.pipe is not None:
        with _piped(line.pipe, write) as target:
            yield target
        return
    yield write


@contextlib.contextmanager
def _piped(command: str, write: Callable[[str], object]) -> Iterator[Callable[[str], object]]:
    """A shell command that the user typed, fed with the output; what it says is passed on."""
    process = subprocess.Popen(  # noqa: S602  # the user's own words, as in any shell
        command,
        shell=True,  # the user's own words, as in any shell
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise OutputError(f"{command}: cannot be started")

    def pass_on() -> None:
        with contextlib.suppress(BrokenPipeError):
            for text in stdout:
                write(text)

    reader = threading.Thread(target=pass_on)
    reader.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            yield stdin.write
    finally:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        reader.join()
        stdout.close()
        process.wait()
