"""Memory as rows of numbers and characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.shell.output import gap_from, readable_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from oopsight.shell import Shell
    from oopsight.shell.output import Out

Reader = "Callable[[int, int], bytes]"


def characters(data: bytes) -> str:
    """Printable characters, dots for the others."""
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def dump_words(shell: Shell, address: int, count: int, out: Out) -> None:
    """Show words, two a line, with characters behind."""
    dump(shell.session.read, address, count, 8, out)


def dump(
    read: Callable[[int, int], bytes],
    address: int,
    count: int,
    size: int,
    out: Out,
    *,
    show: Callable[[int, int], str] | None = None,
    text: bool = True,
    swap: bool = False,
) -> None:
    """Show numbers, 16 bytes a line; a line that cannot be read is marked.

    :param size: bytes of a number
    :param show: how a number is written, from its value and its size; hexadecimal if ``None``
    :param text: with the characters behind
    """
    per_line = 16 // size
    full = (2 * size + 1) * per_line
    at = address
    left = count
    while left > 0:
        number = min(per_line, left)
        try:
            data = read(at, number * size)
        except readable_errors() as error:
            gap = out.count(gap_from(error, "memory"))
            out.row(f"{at:16x}:  {gap}: {gap.why}", address=Address(at), values=gap)
        else:
            pieces = [data[i : i + size] for i in range(0, len(data), size)]
            values = [int.from_bytes(p, "big" if swap else "little") for p in pieces]
            if show is None:
                body = " ".join(f"{value:0{2 * size}x}" for value in values) + " "
            else:
                body = " ".join(show(value, size) for value in values) + " "
            tail = ""
            if text and show is None:
                shown = b"".join(p[::-1] for p in pieces) if swap else data
                tail = " " * (full - len(body)) + "  " + characters(shown)
            out.row(f"{at:16x}:  {body}{tail}", address=Address(at), values=values)
        at += number * size
        left -= number
