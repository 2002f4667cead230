"""Strings from a dump: read to an end, and made safe to show. They are hostile until escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drgn import Object

_LONGEST = 4096
"""Bytes read of a string that ends nowhere: no name, path or line of the kernel is longer."""


def c_string(value: Object) -> bytes:
    """Return the bytes before the zero of the string that *value* is or points to.

    :param value: a pointer to char or an array of char, also one without a length
    :returns: as many bytes as the array has, otherwise 4096 at most
    :raises FaultError: the string is not in the dump
    """
    from drgn import TypeKind

    type_ = value.type_.unaliased()
    if type_.kind == TypeKind.POINTER:
        address = value.value_()
    elif type_.kind == TypeKind.ARRAY and not type_.length and value.address_ is not None:
        address = value.address_
    else:
        return bytes(value.string_())
    return bytes(value.prog_.read_c_string(address, max_size=_LONGEST))


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
