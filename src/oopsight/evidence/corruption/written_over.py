"""Whether binary data ran over a pointer: samples that go on, or a copy whose source is known.

Text and one byte repeated tell themselves (:mod:`~oopsight.evidence.corruption.overrun`). Here the
bytes before the pointer, in its own object or at the end of the one before it, are compared with
the pointer's: as the elements of an array that go on in equal steps; with the same bytes in a
module's data, from which they were copied; and with what the objects of the same kind hold there.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.corruption.overrun import NOT_WRITTEN, Overrun, further_back
from oopsight.evidence.memory.owner import Owner, SlabObject, neighbour, owner_of
from oopsight.evidence.modules.modules import Modules, contents
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session, read_word
from oopsight.text import printable

_FORMATS = {2: "H", 4: "I", 8: "Q"}
_LEAST_BEFORE = 4  # elements
_MOST_BEFORE = 64
_LEAST_RECORD, _LARGEST_RECORD = 12, 64
_SMALL_STEP = 1 << 16
_WIDE = 32
"""Bits: no pointers, nor any other numbers, differ again and again by a number of more."""
_ALIKE, _FARTHEST, _WORD = 6, 64, 8
_LEAST_COPY = 8
"""Bytes of the source on each side of the border."""
_COPY_BEFORE = 16
_MOST_FILLED = 4096
_NEAR_SLOTS = 4
"""Of the array that holds the object's address, to each side."""
_LEAST_SIBLINGS = 3


@dataclass(frozen=True)
class Series:
    """Elements of an array that go on over a border."""

    begin: int
    """Offset of the first, in the bytes looked at."""
    end: int
    """Past the last."""
    width: int
    step: int | None
    """Between two of them; ``None`` where they are merely alike."""


def series(data: bytes, border: int, field: int, most: int = _MOST_BEFORE) -> Series | None:
    """The elements that end just before a border and go on into a field behind it.

    :param border: offset of the end of the array
    :param field: offset of the pointer, at or behind the border; the series goes into it at least
    :param most: elements before the border

    >>> import struct
    >>> found = series(struct.pack("<7H", *range(300, 402, 17), 0xFFFF), 10, 10)
    >>> found.width, found.step, found.end
    (2, 17, 12)
    """
    best = None
    for width, code in _FORMATS.items():
        count = min(border // width, most)
        after = (len(data) - border) // width
        if count < _LEAST_BEFORE or after < 1:
            continue
        begin = border - count * width
        values = struct.unpack_from(f"<{count + after}{code}", data, begin)
        steady = _steady(values, count, width)
        found = steady or _alike(values, count, width)
        if found is None:
            continue
        first, last = found
        end = begin + last * width
        if end <= field:
            continue
        step = values[first + 1] - values[first] if steady else None
        one = Series(begin + first * width, end, width, step)
        if best is None or _weight(one) > _weight(best):
            best = one
    return best


@dataclass(frozen=True)
class Records:
    """Entries of several numbers that go on over a border."""

    begin: int
    """Offset of the first, in the bytes looked at."""
    end: int
    """Past the numbers of the last that were looked at."""
    stride: int
    """Bytes of one."""
    steps: tuple[int, int]
    """Between two of them, of the numbers that the pointer was replaced by."""


def records(data: bytes, border: int, field: int) -> Records | None:
    """Entries of equal size before a pointer, if both its halves are the next of their numbers.

    Where these are the same in all, another number of each entry goes on in steps.

    >>> import struct
    >>> table = b"".join(struct.pack("<3IQ4x", i, 7000 + 3 * i, 9, 0) for i in range(6))
    >>> records(table, 80, 96)
    Records(begin=0, end=104, stride=24, steps=(1, 3))
    """
    for stride in range(_LEAST_RECORD, _LARGEST_RECORD + 1, 4):
        count = _LEAST_BEFORE
        while field - (count + 1) * stride >= 0 and _goes_on(data, field, stride, count + 1):
            count += 1
        begin = field - count * stride
        if begin < 0 or begin + stride > border or not _goes_on(data, field, stride, count):
            continue
        steps = tuple(_number(data, at) - _number(data, at - stride) for at in (field, field + 4))
        return Records(begin, field + 8, stride, (steps[0], steps[1]))
    return None


def _goes_on(data: bytes, field: int, stride: int, count: int) -> bool:
    """Whether both halves of eight bytes continue those of so many entries before."""
    if field - count * stride < 0:
        return False
    wide = _steps(data, field, stride, count, width=8)
    if len(wide) == 1 and min(wide).bit_length() > _WIDE:
        return True
    steps = [_steps(data, field + part, stride, count) for part in (0, 4)]
    if not all(len(step) == 1 and abs(min(step)) < _SMALL_STEP for step in steps):
        return False
    if any(step != {0} for step in steps):
        return True
    beside = range(field - stride + 8, field, 4)
    return any(
        len(step := _steps(data, at, stride, count - 1)) == 1 and step != {0} for at in beside
    )


def _steps(data: bytes, at: int, stride: int, count: int, *, width: int = 4) -> set[int]:
    """By how much a number differs from one entry to the next, over so many before a place.

    A number that does not fit goes round.
    """
    lane = [_number(data, at - n * stride, width) for n in range(count, -1, -1)]
    whole = 1 << 8 * width
    steps = {(after - one) % whole for one, after in itertools.pairwise(lane)}
    return {step - whole if step >= whole // 2 else step for step in steps}


def _number(data: bytes, at: int, width: int = 4) -> int:
    return int.from_bytes(data[at : at + width], "little")


def _weight(one: Series) -> tuple[bool, int]:
    return one.step is not None, one.end - one.begin


def _alike(values: tuple[int, ...], border: int, width: int) -> tuple[int, int] | None:
    """The same, of elements none of which is far off the others, as samples are."""
    first = max(0, border - _ALIKE)
    before = values[first:border]
    least, most = min(before) // 2, max(before) * 2
    if width == _WORD or len(before) < _ALIKE or not min(before) or len(set(before)) == 1:
        return None
    if most > _FARTHEST * least or most >= 7 << (8 * width - 3):
        return None
    last = border
    while last < len(values) and least <= values[last] <= most:
        last += 1
    rest = values[last:]
    # What is left of the pointer is its upper half.
    if last == border or any(value != (1 << 8 * width) - 1 for value in rest):
        return None
    return first, last


def _steady(values: tuple[int, ...], border: int, width: int) -> tuple[int, int] | None:
    """First element, and the one past the last, of equal steps over the border."""
    step = values[border - 1] - values[border - 2]
    small = 1 << (8 * width - 8)
    if abs(step) > small or values[border] - values[border - 1] != step:
        return None
    if step == 0 and set(values[border].to_bytes(width, "little")) <= NOT_WRITTEN:
        return None
    first, last = border - 1, border + 1
    while first > 0 and values[first] - values[first - 1] == step:
        first -= 1
    while last < len(values) and values[last] - values[last - 1] == step:
        last += 1
    return (first, last) if border - first >= _LEAST_BEFORE else None


def written_over(
    session: Session, modules: Modules | None, one: SlabObject, field: int, kept_at: int | None
) -> Overrun | None:
    """Look for binary data that ran over a pointer.

    :param field: address of the pointer that was bad
    :param kept_at: where the pointer to the object was read from, where that is known
    """
    from drgn import FaultError

    before = neighbour(session, modules, one, -1)
    begin = int(before.address) if before is not None else int(one.address)
    end = field + 8
    try:
        data = session.read(begin, end - begin)
    except FaultError:
        return None
    inside = field - begin
    found = series(data, inside, inside)
    border = one.address - begin
    if found is not None and found.begin >= border:
        # An object that the numbers fill from its beginning may be somebody else's by now.
        others = [one.address + ref.offset - begin for ref in one.refers]
        own = found.begin - border >= 8 or any(not found.begin <= at < found.end for at in others)
        return _of_series(one, one, data, begin, found, inside, own=own)
    if before is None:
        return None
    found = series(data, border, inside)
    # Numbers that follow each other in equal steps do so at any distance.
    entries = None if found is not None and found.step else records(data, border, inside)
    if entries is not None:
        first, data, entries = _entries_back(session, modules, before, data, entries, field)
        return _of_records(first, data, int(first.address), entries, one.address - first.address)
    source = _copied_from(session, modules, data, border)
    if source is not None:
        return _of_copy(session, before, data, begin, border, source)
    if found is not None:
        own = found.step != 0 or not _filled_by(session, one, data[border:][: found.width])
        first, data, found = _numbers_back(session, modules, before, data, found, border)
        border = one.address - first.address
        return _of_series(first, one, data, int(first.address), found, border, own=own)
    return _unlike_others(session, modules, before, one, data, border, field, kept_at)


def _filled_by(session: Session, one: SlabObject, number: bytes) -> bool:
    """Whether an object holds nothing but one number: then it may be somebody else's by now."""
    from drgn import FaultError

    size = min(one.size, _MOST_FILLED) // len(number) * len(number)
    try:
        return session.read(one.address, size) == number * (size // len(number))
    except FaultError:
        return True


def _of_series(
    first: SlabObject,
    one: SlabObject,
    data: bytes,
    begin: int,
    found: Series,
    border: int,
    *,
    own: bool,
) -> Overrun:
    values = struct.unpack_from(
        f"<{(found.end - found.begin) // found.width}{_FORMATS[found.width]}", data, found.begin
    )
    last = ", ".join(f"{value:#x}" for value in values[-6:])
    step = f"in steps of {found.step}" if found.step else "all the same"
    step = step if found.step is not None else "near each other"
    around = max(found.begin, border - 32)
    return Overrun(
        before=first,
        start=Address(begin + found.begin),
        end=Address(begin + found.end),
        kind=f"numbers of {8 * found.width} bits, {step},",
        text=last,
        memory=BytesPointer(Address(begin + around), data[around:].hex()),
        within=first.address == one.address,
        width=found.width,
        sure=own and found.step is not None,
    )


def _entries_back(
    session: Session,
    modules: Modules | None,
    before: SlabObject,
    data: bytes,
    found: Records,
    field: int,
) -> tuple[SlabObject, bytes, Records]:
    """Where entries begin that fill the object before from its beginning."""
    end, stride = int(before.address) + len(data), found.stride

    def look(longer: bytes) -> Records | None:
        begin = end - len(longer)
        more = records(longer, int(before.address) - begin, field - begin)
        return more if more is not None and more.stride == stride else None

    return further_back(
        session, modules, before, data, found, look, lambda it: it.begin - it.stride + _WORD
    )


def _numbers_back(
    session: Session,
    modules: Modules | None,
    before: SlabObject,
    data: bytes,
    found: Series,
    border: int,
) -> tuple[SlabObject, bytes, Series]:
    """Where numbers begin that fill the object before from its beginning."""
    behind, same = len(data) - border, (found.width, found.step)

    def look(longer: bytes) -> Series | None:
        begin = len(longer) - behind
        more = series(longer, begin, begin, most=begin)
        return more if more is not None and (more.width, more.step) == same else None

    whole = look(data) or found
    return further_back(session, modules, before, data, whole, look, lambda it: it.begin)


def _of_records(
    before: SlabObject, data: bytes, begin: int, found: Records, border: int
) -> Overrun:
    at = found.end - 8
    last = ", ".join(f"{_number(data, at + part):#x}" for part in (0, 4))
    around = max(found.begin, border - 32)
    how = f"whose numbers go on in steps of {found.steps[0]} and {found.steps[1]}"
    if found.steps == (0, 0):
        how = "which are alike here, and others of whose numbers go on in equal steps"
    return Overrun(
        before=before,
        start=Address(begin + found.begin),
        end=Address(begin + found.end),
        kind=f"entries of {found.stride} bytes, {how},",
        text=last,
        memory=BytesPointer(Address(begin + around), data[around:].hex()),
        width=4,
        stride=found.stride,
    )


def _copied_from(
    session: Session, modules: Modules | None, data: bytes, border: int
) -> Address | None:
    """Where in a module's data the bytes across the border are, as one piece."""
    needle = data[max(0, border - _COPY_BEFORE) :]
    head, tail = needle[: min(border, _COPY_BEFORE)], data[border:]
    if min(_filled(head), _filled(tail)) < _LEAST_COPY // 2 or len(needle) < 2 * _LEAST_COPY:
        return None
    if len(set(needle)) < _LEAST_COPY // 2:
        return None
    for module in modules.loaded if modules is not None else ():
        for start, memory in contents(session, module) if module.taints else ():
            at = memory.find(needle)
            if at >= 0:
                return Address(start + at)
    return None


def _filled(part: bytes) -> int:
    return sum(byte != 0 for byte in part)


def _of_copy(
    session: Session,
    before: SlabObject,
    data: bytes,
    begin: int,
    border: int,
    source: Address,
) -> Overrun:
    at = max(0, border - _COPY_BEFORE)
    beyond = _same_beyond(session, begin + len(data), int(source) + len(data) - at)
    try:
        symbol = session.prog.symbol(int(source))
        name = f"{printable(symbol.name)}+{source - symbol.address:#x}"
    except LookupError:
        name = str(source)
    return Overrun(
        before=before,
        start=Address(begin + at),
        end=Address(begin + len(data) + beyond),
        kind=f"bytes that are in {name} as well",
        text=data[at:][:16].hex(),
        memory=BytesPointer(Address(begin + at), data[at:].hex()),
        source=BytesPointer(source, data[at:].hex()),
    )


def _same_beyond(session: Session, copy: int, source: int) -> int:
    """How many bytes go on alike at two places."""
    from drgn import FaultError

    count = 0
    while count < _MOST_FILLED:
        try:
            if session.read(copy + count, 8) != session.read(source + count, 8):
                break
        except FaultError:
            break
        count += 8
    return count


def _unlike_others(
    session: Session,
    modules: Modules | None,
    before: SlabObject,
    one: SlabObject,
    data: bytes,
    border: int,
    field: int,
    kept_at: int | None,
) -> Overrun | None:
    """An object full to its end, and behind it one that is unlike all others of its kind."""
    words = struct.unpack_from(f"<{(len(data) - border) // 8}Q", data, border)
    last = data[max(0, border - 16) : border]
    if not all(words) or _filled(last) < len(last) * 3 // 4 or kept_at is None:
        return None
    if before.freed or len(set(last)) < _LEAST_BEFORE:
        return None
    held = list(_siblings(session, modules, one, field, kept_at))
    if len(held) < _LEAST_SIBLINGS or not all(owner.is_memory for owner in held):
        return None
    at, begin = max(0, border - 16), one.address - border
    return Overrun(
        before=before,
        start=Address(begin + at),
        end=Address(begin + len(data)),
        kind="data",
        text=data[at:][:32].hex(),
        memory=BytesPointer(Address(begin + at), data[at:].hex()),
        sure=False,
    )


def _siblings(
    session: Session, modules: Modules | None, one: SlabObject, field: int, kept_at: int
) -> Iterator[Owner]:
    """What the objects beside it in a module's array hold in the same field."""
    offset = field - one.address
    for slot in range(-_NEAR_SLOTS, _NEAR_SLOTS + 1):
        if not slot:
            continue
        other = read_word(session, kept_at + 8 * slot)
        slab = owner_of(session, modules, other).slab if other is not None else None
        if slab is None or slab.cache_address != one.cache_address or slab.address != other:
            continue
        value = read_word(session, slab.address + offset)
        if value is not None:
            yield owner_of(session, modules, value)
