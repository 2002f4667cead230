"""The commands: one file each under ``commands/``, found by their place.

A command's file holds

* a docstring: what it does in its first line, then the explanation, then ``Examples`` with
  commands as typed and what they show,
* ``SYNOPSIS`` and ``OPTIONS`` (see :mod:`oopsight.shell.arguments`), and
* ``run(shell, args, out)``.

``NAME`` stands where the name is no Python name, ``ALIASES`` where there are other names, and
``RAW = True`` where the arguments are an expression, in which a dash is no option.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.shell import commands
from oopsight.shell.arguments import EVERYWHERE, Args, Option, options_of, parse

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

EXAMPLES = "Examples"
# Files whose command's name is no Python name.
_NAMES = {"star": "*"}


@dataclass(frozen=True)
class Command:
    """One command."""

    name: str
    module: ModuleType

    @property
    def summary(self) -> str:
        """Its first line of documentation."""
        return (self.module.__doc__ or "").strip().splitlines()[0].rstrip(".")

    @property
    def explanation(self) -> str:
        """What stands between the first line and the examples."""
        body = (self.module.__doc__ or "").strip().partition("\n")[2]
        return body.partition(f"\n{EXAMPLES}\n")[0].strip()

    @property
    def examples(self) -> str:
        """Its worked examples."""
        return (self.module.__doc__ or "").partition(f"\n{EXAMPLES}\n")[2].strip("\n")

    @property
    def synopsis(self) -> str:
        """How it is typed."""
        return str(self.module.SYNOPSIS)

    @property
    def options(self) -> dict[str, Option]:
        """Declared options by flag."""
        return options_of(self.module.OPTIONS)

    def parse(self, words: list[str], raw: str) -> Args:
        """Parse its arguments.

        :raises UsageError: for what it does not know
        """
        if getattr(self.module, "RAW", False):
            return Args(words, raw)
        args = parse(
            words, _declared(self.module), stop_early=getattr(self.module, "STOP_EARLY", False)
        )
        args.raw = raw
        return args

    def run(self, shell: Shell, args: Args, out: Out) -> None:
        """Carry it out."""
        self.module.run(shell, args, out)


@functools.cache
def _declared(module: ModuleType) -> dict[str, Option]:
    return options_of({**module.OPTIONS, **EVERYWHERE})


@functools.cache
def names() -> dict[str, str]:
    """File of each command, by its name; nothing is imported."""
    found = {}
    for info in pkgutil.iter_modules(commands.__path__):
        if not info.name.startswith("_"):
            found[_NAMES.get(info.name, info.name)] = info.name
    return found


@functools.cache
def command(name: str) -> Command | None:
    """The command of a name."""
    file = names().get(name)
    if file is None:
        return None
    return Command(name, importlib.import_module(f"{commands.__name__}.{file}"))
