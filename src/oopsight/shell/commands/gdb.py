"""Evaluate as gdb would: the part of gdb's commands that has a meaning on a dump.

``print``, ``ptype``, ``whatis``, ``x``, ``info symbol``, ``info line``, ``list``, ``output`` and
``python``, which runs Python with ``prog``, the drgn program, at hand.

Examples
    crash> gdb print jiffies
    crash> gdb x/4gx &init_task
    crash> gdb ptype struct list_head
    crash> gdb info symbol 0xffffffff945b89c9
    crash> gdb python print(prog['jiffies'])
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "gdb command ..."
OPTIONS: dict[str, str] = {}
RAW = True
_X = re.compile(r"/(\d*)([a-z]*)")
_SIZES = {"b": 1, "h": 2, "w": 4, "g": 8}
MOST_UNITS = 100_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Carry out one of gdb's commands."""
    from oopsight.shell import CommandError

    text = args.raw.strip()
    name, _, rest = text.partition(" ")
    word, slash, form = name.partition("/")
    rest = rest.strip()
    if word in ("p", "print", "output", "inspect", "call"):
        from oopsight.shell.commands.p import print_expression

        print_expression(shell, rest, out, form if slash else "")
    elif word in ("ptype", "whatis"):
        _delegate(shell, "whatis", [rest.removeprefix("struct ").removeprefix("union ")], out)
    elif word == "x":
        _examine(shell, slash + form, rest, out)
    elif word == "info" and rest.partition(" ")[0] in ("symbol", "line"):
        _delegate(shell, "sym", [rest.partition(" ")[2].lstrip("*")], out)
    elif word in ("list", "l"):
        _delegate(shell, "dis", ["-s", rest.lstrip("*")], out)
    elif word in ("disassemble", "disas"):
        _delegate(shell, "dis", [rest], out)
    elif word in ("python", "py"):
        _python(shell, rest, out)
    else:
        raise CommandError(
            f"{word or 'nothing'}: of gdb there are print, ptype, whatis, x, info symbol, "
            "info line, list, disassemble and python"
        )


def _delegate(shell: Shell, name: str, words: list[str], out: Out) -> None:
    command = shell.command(name)
    if command is not None:
        shell.call(command, [word for word in words if word], " ".join(words), out)


def _examine(shell: Shell, form: str, text: str, out: Out) -> None:
    from oopsight.shell import CommandError

    match = _X.match(form)
    count = int(match.group(1) or 1) if match else 1
    letters = match.group(2) if match else ""
    address = shell.address(text if not text.startswith("&") else f"({text})")
    if "i" in letters:
        _delegate(shell, "dis", [f"{address:x}", str(count)], out)
        return
    if "s" in letters:
        _delegate(shell, "rd", ["-a", f"{address:x}"], out)
        return
    if not 0 < count <= MOST_UNITS:
        raise CommandError(f"a count of {count} is not possible")
    size = next((_SIZES[c] for c in letters if c in _SIZES), 8)
    flags = ["-d"] if "d" in letters else ["-D"] if "u" in letters else []
    _delegate(shell, "rd", [*flags, f"-{8 * size}", f"{address:x}", str(count)], out)


def _python(shell: Shell, code: str, out: Out) -> None:
    """Run Python that the user typed."""
    import contextlib
    import io

    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(code, {"prog": shell.prog, "shell": shell})  # noqa: S102  # the user's own words
    except Exception as error:  # noqa: BLE001  # whatever the user's code raises is shown
        printed.write(f"{type(error).__name__}: {error}\n")
    out.lines(printed.getvalue())
