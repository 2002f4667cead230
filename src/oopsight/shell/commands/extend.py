"""Add commands from a Python file that you name, or list those that were added.

The file holds a docstring with ``Examples``, ``SYNOPSIS``, ``OPTIONS`` and ``run(shell, args,
out)``, as the files of the commands themselves; its name becomes the command's. It is run, so that
it must be trusted.

Examples
    crash> extend ~/mycommand.py
    crash> extend
    crash> extend -u mycommand
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "extend [file.py ...] | -u [command ...] | -s"
OPTIONS = {"-u": "remove commands, all where none is named", "-s": "list what is added"}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Add, remove or list."""
    if args.has("-u"):
        for name in args.rest or list(shell.added):
            shell.added.pop(name, None)
            shell.extensions.pop(name, None)
        return
    for word in args.rest:
        _add(shell, Path(word).expanduser(), out)
    if not args.rest:
        for name, path in shell.extensions.items():
            out.row(f"{name:<15} {path}", command=name, file=str(path))


def _add(shell: Shell, path: Path, out: Out) -> None:
    from oopsight.shell import CommandError
    from oopsight.shell.registry import Command

    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"oopsight_extension_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path}: no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001  # whatever the file raises is said
        raise CommandError(f"{path}: {type(error).__name__}: {error}") from None
    missing = _missing(module)
    if missing:
        raise CommandError(
            f"{path}: it lacks {', '.join(missing)}; help extend says what is needed"
        )
    name = str(getattr(module, "NAME", path.stem))
    shell.added[name] = Command(name, module)
    shell.extensions[name] = path
    out.line(f"{path}: command {name} added")


def _missing(module: ModuleType) -> list[str]:
    wanted = ("SYNOPSIS", "OPTIONS", "run")
    found = [name for name in wanted if not hasattr(module, name)]
    return found if module.__doc__ else [*found, "a docstring"]
