"""Strings from a dump made safe to show: hostile until escaped."""

from __future__ import annotations


def printable(raw: bytes | str, limit: int = 4096) -> str:
    r"""Return text without control characters, so that it cannot drive a terminal.

    :param raw: bytes are taken as UTF-8
    :param limit: characters kept

    >>> printable(b"ss\x1b[2J\xff")
    'ss\\x1b[2J\\xff'
    """
    text = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
