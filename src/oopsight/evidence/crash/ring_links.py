"""By what objects lead to each other in a ring: a pointer, a name by number, an index of a table.

What leads on may be one of an array of them, as the children that a node has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from oopsight.evidence import Address
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.machine_code import MASK

WORD = 8
_NUMBER = 4
_LARGEST = 2048
"""Bytes of an object that are looked at for the link."""
_LONGEST_ARRAY = 256
_STRIDES = range(8, 4097)


class Ring(NamedTuple):
    """Objects that lead to each other."""

    objects: tuple[int, ...]
    field: int
    """Of each, what leads to the next; of an array the first place that one was found at."""
    links: tuple[BytesPointer, ...]
    node: int = 0
    """Of the next, what the link leads to."""
    size: int = WORD
    """Of the link in bytes; less than a pointer's for a number that the next has, or is at."""
    stride: int = 0
    """Of the table of which it is an index."""


def linked(objects: tuple[int, ...], read: Callable[[int, int], bytes | None]) -> Iterator[Ring]:
    """By which member each object, of the outer call, leads to the one of the call within."""
    if not objects or len(set(objects)) != len(objects):
        return
    contents = [read(one, _LARGEST) or b"" for one in objects]
    most = min(map(len, contents)) // WORD * WORD
    inner = (objects[-1], *objects[:-1])
    yield from _by_pointer(objects, inner, [one[:most] for one in contents])
    if len(objects) > 1:
        yield from _by_number(objects, [one[:most] for one in contents])
        yield from _by_index(objects, inner, [one[:most] for one in contents])


def _by_pointer(
    objects: tuple[int, ...], inner: tuple[int, ...], contents: Sequence[bytes]
) -> Iterator[Ring]:
    for field in range(0, len(contents[0]), WORD):
        held = [_number(one, field, WORD) for one in contents]
        away = {(word - to) & MASK for word, to in zip(held, inner, strict=True)}
        near = away == {0} or (len(objects) > 1 and len(away) == 1 and min(away) < _LARGEST)
        if near:
            yield _ring(objects, [field] * len(objects), contents, WORD, min(away))
    fields = _fields(contents, inner, WORD)
    if fields is not None and len(set(fields)) > 1:
        yield _ring(objects, fields, contents, WORD)


def _by_number(objects: tuple[int, ...], contents: Sequence[bytes]) -> Iterator[Ring]:
    """Where each has the number that the next has as its own."""
    for key in range(0, len(contents[0]), _NUMBER):
        own = [_number(one, key, _NUMBER) for one in contents]
        if 0 in own or len(set(own)) < len(own):
            continue
        fields = _fields(contents, [own[-1], *own[:-1]], _NUMBER)
        if fields is not None:
            yield _ring(objects, fields, contents, _NUMBER)


def _by_index(
    objects: tuple[int, ...], inner: tuple[int, ...], contents: Sequence[bytes]
) -> Iterator[Ring]:
    """Where each has the place of the next in a table of them."""
    for size in (1, 2, _NUMBER):
        for field in range(0, len(contents[0]), size):
            held = [_number(one, field, size) for one in contents]
            apart, away = held[0] - held[1], inner[0] - inner[1]
            if not apart or away % apart or away // apart not in _STRIDES:
                continue
            first = inner[0] - away // apart * held[0]
            if all(first + away // apart * n == to for n, to in zip(held, inner, strict=True)):
                found = _ring(objects, [field] * len(objects), contents, size)
                yield found._replace(stride=away // apart)


def _fields(contents: Sequence[bytes], wanted: Sequence[int], size: int) -> list[int] | None:
    """Where each holds its number: all at one place, or within an array."""
    places = [
        [at for at in range(0, len(one), size) if _number(one, at, size) == number]
        for one, number in zip(contents, wanted, strict=True)
    ]
    if not all(places):
        return None
    common = set(places[0]).intersection(*places[1:])
    found = [min(common)] * len(places) if common else [one[0] for one in places]
    return found if max(found) - min(found) < _LONGEST_ARRAY else None


def _number(content: bytes, at: int, size: int) -> int:
    return int.from_bytes(content[at : at + size], "little")


def _ring(
    objects: tuple[int, ...],
    fields: list[int],
    contents: Sequence[bytes],
    size: int,
    node: int = 0,
) -> Ring:
    links = (
        BytesPointer(Address(one + at), content[at : at + size].hex())
        for one, at, content in zip(objects, fields, contents, strict=True)
    )
    return Ring(objects, min(fields), tuple(links), node, size)
