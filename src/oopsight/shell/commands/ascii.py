r"""Translate hexadecimal numbers to characters; without arguments show the table.

Examples
    crash> ascii
    crash> ascii 62697370
    0000000062697370: psib<NUL><NUL><NUL><NUL>
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell.numbers import hexadecimal

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "ascii [value ...]"
OPTIONS: dict[str, str] = {}
_NAMES = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "BEL",
    "BS",
    "HT",
    "LF",
    "VT",
    "FF",
    "CR",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "FS",
    "GS",
    "RS",
    "US",
    "SP",
]


def name_of(byte: int) -> str:
    """A character, or the name of one that cannot be shown."""
    if byte < len(_NAMES):
        return _NAMES[byte]
    return "DEL" if byte == 127 else chr(byte)


def run(shell: Shell, args: Args, out: Out) -> None:
    """Translate, or show the table."""
    from oopsight.shell import CommandError

    if not args.rest:
        out.line("\n      0    1   2   3   4   5   6   7\n    +-------------------------------")
        for row in range(16):
            cells = [name_of(column * 16 + row) for column in range(8)]
            text = f"{cells[0]:>3} {cells[1]:>3}" + "".join(f"  {cell:<2}" for cell in cells[2:])
            out.line(f"{row:3X} | {text}".rstrip())
        return
    for word in args.rest:
        value = hexadecimal(word)
        if value is None or value >> 64:
            raise CommandError(f"{word}: no hexadecimal number of 64 bits")
        text = ""
        for byte in value.to_bytes(8, "little"):
            shown = name_of(byte) if byte < 128 else "."
            text += f"<{shown}>" if len(shown) > 1 else shown
        out.row(f"{value:016x}: {text}", value=value, characters=text)
