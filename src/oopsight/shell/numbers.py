"""Numbers as they are typed and shown at the prompt."""

from __future__ import annotations

import re

_HEX = re.compile(r"(0x)?[0-9a-f]+", re.IGNORECASE)
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}


def hexadecimal(word: str) -> int | None:
    """A hexadecimal number with or without ``0x``, ``None`` where the word is none.

    >>> hexadecimal("ffff8880"), hexadecimal("0x10"), hexadecimal("panic")
    (4294936704, 16, None)
    """
    word = word.replace("`", "")
    return int(word, 16) if _HEX.fullmatch(word) else None


def decimal_first(word: str) -> int | None:
    """A count: decimal, or hexadecimal after ``0x`` or where it has letters.

    >>> decimal_first("10"), decimal_first("0x10"), decimal_first("1f")
    (10, 16, 31)
    """
    if word.isdecimal():
        return int(word)
    return hexadecimal(word)


def with_unit(word: str) -> int | None:
    """A number with a unit of bytes behind it.

    >>> with_unit("128m") == 128 << 20, with_unit("0x10"), with_unit("x")
    (True, 16, None)
    """
    if (
        word[-1:].lower() in _UNITS
        and decimal_first(word[:-1]) is not None
        and not (word.lower().startswith("0x") and word[-1:].lower() in "abcdef")
    ):
        return (decimal_first(word[:-1]) or 0) << _UNITS[word[-1].lower()]
    return decimal_first(word)


def amount(size: int) -> str:
    """Bytes as the tables show them.

    >>> amount(0), amount(900), amount(31 << 20), amount(4937000)
    ('0', '900', '31 MB', '4.7 MB')
    """
    for unit, shift in (("GB", 30), ("MB", 20), ("KB", 10)):
        if size >= 1 << shift:
            text = f"{size / (1 << shift):.1f}"
            return f"{text.removesuffix('.0')} {unit}"
    return str(size)


def cpus(spec: str, every: list[int]) -> list[int]:
    """CPUs from ``0,3-5``, ``a`` or ``all``.

    >>> cpus("0,2-3", [0, 1, 2, 3]), cpus("a", [0, 1])
    ([0, 2, 3], [0, 1])

    :raises ValueError: for what is no list of CPUs
    """
    if spec in {"a", "all"}:
        return every
    found: set[int] = set()
    for part in spec.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{spec!r} is no list of CPUs such as 0,2-3 or all")
        found.update(range(int(first), min(int(last or first), 1 << 16) + 1))
    unknown = found - set(every)
    if unknown:
        raise ValueError(f"no CPU {min(unknown)}; there are {len(every)}")
    return sorted(found)


def duration(seconds: int) -> str:
    """Days, hours, minutes and seconds.

    >>> duration(4), duration(90061)
    ('00:00:04', '1 days, 01:01:01')
    """
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days} days, {clock}" if days else clock
