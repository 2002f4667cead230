"""Whether an object was written over from the one before it: the same run of bytes in both.

Text, or one byte repeated, that begins in an object and goes on without a break into the next one
was written by somebody who did not stop at the first one's end.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import TypeVar

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.memory.owner import SlabObject, neighbour
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session
from oopsight.text import printable

Run = TypeVar("Run")

LEAST = 12
_LEAST_BEFORE = 4
_LEAST_AFTER = 4
_MOST_AFTER = 512
_WORD = 8
_MOST_OBJECTS = 16
"""That it may have run through."""
_PRINTABLE = frozenset(range(0x20, 0x7F)) | {9, 10, 13}
# Patterns that the allocator itself writes, and what fresh memory holds: include/linux/poison.h.
NOT_WRITTEN = frozenset({0x00, 0x6B, 0x5A, 0xA5, 0xBB, 0xCC})
# Those of them that would be letters; a few in a row may be text.
_PATTERNS = re.compile(rb"k{4,}|Z{4,}")


@dataclass(frozen=True)
class Overrun:
    """The run of bytes."""

    before: SlabObject
    """The object in which it begins."""
    start: Address
    end: Address
    """Past its last byte."""
    kind: str
    """What runs: ``text``, ``repeated byte``, or of
    :mod:`~oopsight.evidence.corruption.written_over`."""
    text: str
    """Its beginning, as text or in hex."""
    memory: BytesPointer
    """The bytes around the border."""
    within: bool = False
    """Whether it stays in the object in which it begins: an array before the pointer."""
    width: int = 0
    """Of numbers, bytes of one; else 0."""
    stride: int = 0
    """Of entries with several numbers, bytes of one; else 0."""
    source: BytesPointer | None = None
    """The same bytes in a module's data, from which they were copied."""
    sure: bool = True
    """Whether the bytes themselves tell that they go on; else only that others of the object's kind
    hold something else there."""

    @property
    def elements(self) -> int:
        """How many entries, numbers or bytes it is made of."""
        return (self.end - self.start) // (self.stride or self.width or 1)

    @property
    def binary(self) -> bool:
        """Whether it is neither text nor one byte repeated."""
        return self.width > 0 or self.source is not None or not self.sure


def run_around(data: bytes, border: int) -> tuple[int, int, str] | None:
    r"""The run of text, or of one byte, that goes across a place in some bytes.

    :return: its begin and end, and what it is; ``None`` where none goes across

    >>> run_around(b"\0\0console 3: hello there\0\0", 10)
    (2, 24, 'text')
    >>> run_around(bytes(32), 16) is None
    True
    >>> run_around(b"ZZZZZZZZZZZZZkkkkkkkkkkkkkkkkkkk", 13) is None
    True
    """
    data = _PATTERNS.sub(lambda match: bytes(len(match[0])), data)
    for kind in ("repeated byte", "text"):
        if not 0 < border < len(data):
            return None
        allowed = _PRINTABLE if kind == "text" else {data[border]} - NOT_WRITTEN
        if data[border] not in allowed or data[border - 1] not in allowed:
            continue
        begin, end = border, border
        while begin > 0 and data[begin - 1] in allowed:
            begin -= 1
        while end < len(data) and data[end] in allowed:
            end += 1
        if kind == "text" and len(set(data[begin:end])) == 1:
            continue
        if (
            end - begin >= LEAST
            and border - begin >= _LEAST_BEFORE
            and end - border >= _LEAST_AFTER
        ):
            return begin, end, kind
    return None


def run_within(session: Session, one: SlabObject, field: int, base: int) -> Overrun | None:
    """Look for a run that begins in the object, after its first word, and covers one of its fields.

    What fills an object from its beginning may be somebody else's by now. What fills a part of it
    from where the code takes that to begin may be right there, and that be wrong.

    :param field: address of the pointer that was bad
    :param base: from where the code counted to that
    """
    from drgn import FaultError

    begin = int(one.address)
    try:
        data = session.read(begin, min(one.size, field - begin + _MOST_AFTER))
    except FaultError:
        return None
    found = run_around(data, field - begin)
    if found is None or found[0] < _WORD or 0 <= begin + found[0] - base < _WORD:
        return None
    return _overrun(one, data, found, field - begin, within=True)


def overrun_of(
    session: Session, modules: Modules | None, one: SlabObject, field: int
) -> Overrun | None:
    """Look for a run that begins before the object and covers one of its fields.

    :param field: address of the pointer that was bad
    """
    from drgn import FaultError

    before = neighbour(session, modules, one, -1)
    if before is None:
        return None
    end = int(one.address) + min(one.size, _MOST_AFTER)

    def look(data: bytes) -> tuple[int, int, str] | None:
        found = run_around(data, len(data) - (end - int(one.address)))
        return (
            found if found is not None and covered(data, found, len(data) - end + field) else None
        )

    try:
        data = session.read(before.address, end - before.address)
    except FaultError:
        return None
    found = look(data)
    if found is None or found[0] >= one.address - before.address:
        return None
    begins = operator.itemgetter(0)
    first, data, run = further_back(session, modules, before, data, found, look, begins)
    return _overrun(first, data, run, one.address - first.address)


def further_back(
    session: Session,
    modules: Modules | None,
    before: SlabObject,
    data: bytes,
    found: Run,
    look: Callable[[bytes], Run | None],
    begins: Callable[[Run], int],
) -> tuple[SlabObject, bytes, Run]:
    """What fills an object from its beginning may begin in one before that.

    :param data: from the object on
    :param found: in these
    :param look: finds it
    :param begins: offset of its first byte
    :return: the object in which it begins, the bytes from there on, and what was found
    """
    from drgn import FaultError

    for _ in range(_MOST_OBJECTS):
        further = neighbour(session, modules, before, -1) if begins(found) < _WORD else None
        if further is None:
            break
        gap = before.address - further.address
        try:
            longer = session.read(further.address, gap) + data
        except FaultError:
            break
        more = look(longer)
        if more is None or begins(more) >= gap:
            break
        before, data, found = further, longer, more
    return before, data, found


def covered(data: bytes, found: tuple[int, int, str], field: int) -> bool:
    """Whether a run goes on over a pointer, or the zeros that end its text do.

    Whole words of zeros are stored behind a text by ``strscpy()``.
    """
    end = found[1]
    if end > field:
        return True
    return found[2] == "text" and field - end < _WORD and not any(data[end : field + _WORD])


def _overrun(
    before: SlabObject,
    data: bytes,
    found: tuple[int, int, str],
    border: int,
    *,
    within: bool = False,
) -> Overrun:
    begin = int(before.address)
    part = data[found[0] : found[1]]
    text = printable(part[:64]) if found[2] == "text" else part[:8].hex()
    around = max(found[0], border - 32)
    return Overrun(
        before=before,
        start=Address(begin + found[0]),
        end=Address(begin + found[1]),
        kind=found[2],
        text=text,
        memory=BytesPointer(Address(begin + around), data[around : border + 32].hex()),
        within=within,
    )
