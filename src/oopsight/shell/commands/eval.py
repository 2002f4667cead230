"""Evaluate an expression and show it in hexadecimal, decimal, octal and binary.

Numbers may have a unit (k, m, g); symbols stand for their addresses.

Examples
    crash> eval 128m
    crash> eval -b 1234
    crash> eval (jiffies_64 + 0x10)
    crash> eval -l 1<<40
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from oopsight.kernel.addresses import signed
from oopsight.shell.numbers import decimal_first, with_unit
from oopsight.shell.output import readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "eval [-b][-l] (expression) | value"
OPTIONS = {"-b": "which bits are set", "-l": "as a 64-bit number (it always is)"}
RAW = True
_MASK = (1 << 64) - 1
_WORD = re.compile(r"0[xX][0-9a-fA-F]+|\d+[kKmMgG]?|[A-Za-z_]\w*")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Evaluate."""
    from oopsight.shell import CommandError

    text = args.raw.strip()
    flags = ""
    while match := re.match(r"-([bl]+)\s+", text):
        flags += match.group(1)
        text = text[match.end() :]
    if not text:
        raise CommandError(f"an expression is needed; usage: {SYNOPSIS}")
    value = evaluate(shell, text)
    unit = ""
    for shift, name in ((30, "GB"), (20, "MB"), (10, "KB")):
        if value >= 1 << shift and not value % (1 << shift):
            unit = f"({value >> shift}{name})"
            break
    negative = f"({signed(value)})" if value >> 63 else ""
    out.line(f"hexadecimal: {value:x}  {unit}")
    out.line(f"    decimal: {value}  {negative}")
    out.line(f"      octal: {value:o}")
    out.line(f"     binary: {value:064b}")
    if "b" in flags:
        bits = [bit for bit in range(63, -1, -1) if value >> bit & 1]
        out.line(f"   bits set: {' '.join(map(str, bits))} ")
    out.row(None, value=value, hexadecimal=f"{value:x}", signed=signed(value))


def evaluate(shell: Shell, text: str) -> int:
    """The value of an expression of numbers with units, symbols' addresses and operators."""
    from oopsight.shell import CommandError

    number = with_unit(text.strip("() "))
    if number is not None:
        return number & _MASK

    def replace(match: re.Match[str]) -> str:
        word = match.group()
        value = with_unit(word)
        if value is None:
            value = shell.names.address_of(word)
        if value is None:
            value = decimal_first(word)
        if value is None:
            raise CommandError(f"{word}: neither a number nor a symbol")
        return f"{value}UL" if value >> 31 else str(value)

    from oopsight.shell.expression import evaluate as c_value

    try:
        return int(c_value(shell.prog, _WORD.sub(replace, text)).value_()) & _MASK
    except readable_errors() as error:
        raise CommandError(f"{text}: {error}") from None
