"""What functions do with a pointer that a field holds: who frees it, stores it, leaves it there.

Each instruction of a function is read once, behind one of those that lead to it, each register a
value: where it was loaded from, which call returned it. That is not every way through the code. It
serves to put suspects in order, never to convict one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.modules.code_values import (
    Handed,
    Reading,
    Value,
    into_what,
    root_of,
    within,
)
from oopsight.evidence.modules.counting import Copied, copied_within
from oopsight.evidence.modules.field_marks import (
    UNLINKED,
    Mark,
    Trail,
    Wiped,
    addresses_given,
    filled,
    marks,
)
from oopsight.evidence.modules.field_ways import (
    Ways,
    always,
    cleared,
    leaving,
    left_at_times,
    stored_before,
)
from oopsight.evidence.modules.operand_keys import MASK
from oopsight.evidence.modules.stored_kinds import given, kind
from oopsight.kernel.addresses import signed

_WORD = 8
_NOWHERE = -1


_Row = tuple[int, bytes, str, str]


@dataclass(frozen=True)
class Freed:
    """A call that frees what a field holds."""

    key: int
    cleared: bool
    """Whether the function stores another pointer there, or none."""
    whole: bool
    """Whether the function frees what has the field, too."""
    always: bool = False
    """Whether it does so on every way after this call."""
    through: int | None = None
    """The key of the field that the pointer to what has the field was itself loaded from."""
    at_times: bool = False
    """Whether it is cleared, but a way from this call leads out of the function without that."""
    own: bool = False
    """Whether the function itself had got it by a call, and stored it in that field before."""


@dataclass(frozen=True)
class Stored:
    """A store of a pointer to a field."""

    key: int
    what: str
    """``zero``, ``number``, ``fresh`` (allocated), ``returned``, ``itself`` (the field's own
    address) or ``value``."""
    called: str | None  # what had returned it
    checked: bool = False
    """Whether it is compared with the error codes anywhere in the function."""
    size: int | None = None  # of what was allocated
    tested: bool = False
    """Whether it is compared with zero, or followed, anywhere in the function."""
    into: str | None = None
    """What had returned the object that has the field, if that is new to the function."""
    late: str | None = None
    """The function called before it that makes something known to the kernel."""
    after: str | None = None
    """The function of the module called before it that makes what has the field known."""
    filled: frozenset[int] | None = None
    """Keys that the function stores to in what it stores; ``None`` where it never follows that."""
    loaded: bool = False
    """Whether it was read from memory, and is neither compared with zero nor followed."""
    given: bool = False
    """Whether the caller may have brought it: as an argument, or in what one leads to, or in memory
    on the stack."""


@dataclass(frozen=True)
class FieldUse:
    """What one function does. The key of a field is its offset, or of a variable its address."""

    frees: tuple[Freed, ...]
    stores: tuple[Stored, ...]
    counts: bool
    """Whether it takes a reference to anything, by an atomic instruction."""
    frees_more: bool = False  # whether it frees what is not known to have been read from a field
    copies: tuple[int, ...] = ()
    """Sizes in bytes of the objects that it copies as a whole, with all pointers in them."""
    starts: bool = False
    """Whether it stores the 32-bit number one, as a count of references begins with."""
    marks: tuple[tuple[Mark, ...], ...] = ()
    """Of each call that frees something, what is stored in that before."""
    sets: frozenset[int] = frozenset()
    """Keys of all fields that it stores to, of whatever width."""
    changes: frozenset[int] = frozenset()
    """Keys of those that it stores to, or counts in, in what is not new to it."""
    wide: frozenset[int] = frozenset()
    """Keys of those of them that it sets to eight bytes which are no number of the code's own."""
    narrow: frozenset[int] = frozenset()
    """Keys of those of them that it sets to, or counts in by, fewer than eight bytes."""
    raises: frozenset[int] = frozenset()
    """Keys of those of them that it only adds to."""
    lowers: frozenset[int] = frozenset()
    """Keys of those of them that it only takes from."""
    zeroes: frozenset[int] = frozenset()
    """Keys of those of them that it sets to zero, by a number that stands in the code."""
    constants: frozenset[tuple[int, int, int]] = frozenset()
    """Keys of those that it sets to a number of the code's own, its size in bytes, the number."""
    copied: frozenset[Copied] = frozenset()
    """What it copies as a whole, or takes over, other than on the stack."""
    wipes: tuple[Wiped, ...] = ()
    copied_over: tuple[Wiped, ...] = ()
    """What it copies other memory over as a whole."""
    fills: frozenset[str] = frozenset()
    """Functions that had returned what it stores to."""
    made: frozenset[int] = frozenset()
    """Keys of fields of that which it sets to what does not stand in its code."""
    passed: frozenset[tuple[int, str]] = frozenset()
    """Keys of those that it changes to an argument as that came, and the register."""
    inner: frozenset[int] = frozenset()
    """Distances of the places within objects whose addresses it takes."""
    locks: frozenset[int] = frozenset()
    """Distances of the locks that it takes from the pointers it has to what they are in."""
    roots: frozenset[str] = frozenset()
    """What it comes to what it frees from, as :attr:`Value.kind` has it."""
    uncounts: bool = False
    """Whether it gives a reference back, by an atomic instruction."""
    unlinks: bool = False
    """Whether it stores what ``list_del()`` leaves in an entry."""
    checks: frozenset[int] = frozenset()
    """Keys of the fields whose pointers it compares with NULL."""
    set_up: frozenset[int] = frozenset()
    """Distances of the members that it tells the kernel to set up; addresses of variables."""
    inits: frozenset[tuple[str, int]] = frozenset()
    """The kernel's functions that it has set up members, as wait queues, and the keys of these."""
    of_users: frozenset[int] = frozenset()
    """Keys of the fields whose pointers it knows for a process's, and copies through as such."""
    tables: frozenset[int] = frozenset()
    """Keys of the tables of pointers of which it reads or writes an entry by its index."""
    handed: tuple[Handed, ...] = ()
    """Its calls of functions that have a name, with what they are given."""
    freed: tuple[tuple[int, Value], ...] = ()
    """Where in the code it frees what."""
    put: tuple[tuple[int, Value], ...] = ()
    """Where it gives a reference back, and to what."""
    taken: tuple[Value, ...] = ()
    """To what it takes a reference itself."""
    left_at_times: frozenset[tuple[int, Value]] = frozenset()
    """Of these, and of what it hands to functions of its module, what it leaves in the field that
    it was read from, on some ways only: on others it stores there."""
    taken_off: tuple[tuple[Value, int], ...] = ()
    """Entries that it takes off lists itself: in what, and how far from its beginning."""
    written: tuple[tuple[int, Value | None], ...] = ()
    """Keys of the pointers that it stores, and what those fields are in."""
    pointers: tuple[tuple[int, Value], ...] = ()
    """The same keys, and what is stored there."""
    stored_at: tuple[int, ...] = ()
    """Of each of these, where: the end of the instruction."""
    cleared: tuple[tuple[int, int], ...] = ()
    """Keys of the pointers that it sets to zero, and where: the end of the instruction."""
    put_in: tuple[tuple[Value, int], ...] = ()
    """Places within an object whose addresses it stores elsewhere: in what, and how far from its
    beginning."""
    given: tuple[Mark, ...] = ()
    """Addresses that it stores in what it has allocated: of functions, variables, texts."""
    trail: Trail = Trail()
    """All numbers that it stores in objects."""
    changed_at: tuple[int, ...] = ()
    """Where it writes to memory other than its own stack: the ends of the instructions."""
    ways: Ways | None = None
    """Where its code can go on."""

    @property
    def touches(self) -> frozenset[int]:
        """Keys of all fields that it writes to, or frees what they hold."""
        return self.sets | self.changes | {one.key for one in self.frees}


def joined(one: FieldUse, other: FieldUse) -> FieldUse:
    """Of two parts of a function."""
    return FieldUse(
        frees=one.frees + other.frees,
        stores=one.stores + other.stores,
        counts=one.counts or other.counts,
        frees_more=one.frees_more or other.frees_more,
        copies=one.copies + other.copies,
        starts=one.starts or other.starts,
        marks=one.marks + other.marks,
        sets=one.sets | other.sets,
        changes=one.changes | other.changes,
        wide=one.wide | other.wide,
        narrow=one.narrow | other.narrow,
        raises=(one.raises - other.changes) | (other.raises - one.changes),
        lowers=(one.lowers - other.changes) | (other.lowers - one.changes),
        zeroes=one.zeroes | other.zeroes,
        constants=one.constants | other.constants,
        copied=one.copied | other.copied,
        wipes=one.wipes + other.wipes,
        copied_over=one.copied_over + other.copied_over,
        fills=one.fills | other.fills,
        made=one.made | other.made,
        passed=one.passed | other.passed,
        inner=one.inner | other.inner,
        locks=one.locks | other.locks,
        roots=one.roots | other.roots,
        uncounts=one.uncounts or other.uncounts,
        unlinks=one.unlinks or other.unlinks,
        checks=one.checks | other.checks,
        set_up=one.set_up | other.set_up,
        inits=one.inits | other.inits,
        of_users=one.of_users | other.of_users,
        tables=one.tables | other.tables,
        # Values are known within one part only.
        handed=one.handed,
        freed=one.freed,
        put=one.put,
        taken=one.taken,
        left_at_times=one.left_at_times,
        taken_off=one.taken_off,
        put_in=one.put_in,
        written=one.written,
        pointers=one.pointers,
        cleared=one.cleared,
        trail=one.trail,
        given=one.given + other.given,
        changed_at=one.changed_at,
        ways=one.ways,
    )


def field_use(
    rows: Iterable[_Row],
    inside: Callable[[int], bool],
    name_of: Callable[[int], str | None],
    own: frozenset[str] = frozenset(),
    announcing: frozenset[str] = frozenset(),
    finding: frozenset[str] = frozenset(),
) -> FieldUse:
    """Read one function.

    :param rows: address, bytes, mnemonic and operands of its instructions
    :param inside: whether an address is of its code
    :param name_of: names the function at an address
    :param own: the names of its module's own functions
    :param announcing: those of them that make things known to the kernel
    :param finding: those of them that allocate nothing
    """
    reading = Reading(name_of, own, announcing, finding)
    ways = Ways({}, {})
    code = {row[0]: row for row in rows}
    left = dict.fromkeys(sorted(code))
    read: dict[int, _Row] = {}
    at = next(iter(left), _NOWHERE)
    while left:
        if at not in left:
            at = reading.goes_on(left)
        del left[at]
        read[at] = code[at]
        _, raw, mnemonic, operands = code[at]
        jump = mnemonic.startswith("j")
        onwards = at + len(raw)
        ends = mnemonic in ("ret", "jmp", "ud2")
        ways.onwards[at] = [] if mnemonic in ("ret", "jmp") else [onwards]
        ways.ends[onwards] = at
        if jump and operands.startswith("0x") and inside(int(operands, 16)):
            ways.onwards[at].append(int(operands, 16))
            reading.jump(at, int(operands, 16))
            if mnemonic == "jmp":
                _go_back(reading, read, int(operands, 16))
        else:
            if ends:
                reading.ends.append(at)
            if mnemonic in ("call", "jmp"):
                reading.call(at, operands)
            elif not jump:
                reading.step(mnemonic, operands, onwards)
        at = _NOWHERE if ends else onwards
    return _told(reading, ways)


def _go_back(reading: Reading, read: dict[int, _Row], to: int) -> None:
    """What is stored where the code goes on behind a jump back, with the values that it brings.

    As far as no other jump or call is met; numbers may be stored there on one of the ways only.
    """
    registers, numbers = dict(reading.registers), len(reading.numbers)
    while to in read:
        address, raw, mnemonic, operands = read[to]
        if mnemonic in ("call", "ret", "ud2") or mnemonic.startswith("j"):
            break
        to = address + len(raw)
        reading.step(mnemonic, operands, to)
    reading.registers = registers
    del reading.numbers[numbers:]


def _freed(reading: Reading, ways: Ways) -> list[Freed]:
    """What fields hold that is freed."""
    whole = {within(one)[0] for _, one in reading.freed}
    held = [(at, one, False) for at, one in reading.freed if one.kind == "loaded"]
    held += [
        (at, Value("loaded", key, base), True)
        for at, one in reading.freed
        if one.kind == "returned"
        for key, base in stored_before(reading, ways, at, one)
    ]
    return [
        Freed(
            one.number,
            cleared(reading, at, one),
            one.of is not None and within(one.of)[0] in whole,
            always(reading, at, one),
            one.of.number if one.of is not None and one.of.kind == "loaded" else None,
            cleared(reading, at, one) and left_at_times(reading, ways, at, one),
            own,
        )
        for at, one, own in held
    ]


def _stored(reading: Reading) -> list[Stored]:
    """What is stored in fields."""
    return [
        Stored(
            key=key,
            what=kind(key, value, base),
            called=value.called,
            checked=value in reading.checked,
            size=value.size,
            tested=value in reading.tested | reading.followed,
            into=into_what(base),
            # What that very call has returned is nothing that it should have found there.
            late=late if late != value.called else None,
            after=after,
            filled=frozenset(k for _, k, _, into in reading.stored if into == value)
            if value in reading.followed
            else None,
            loaded=value.kind == "loaded" and value not in reading.tested | reading.followed,
            given=given(key, value, base),
        )
        for (_, key, value, base), late, after in zip(
            reading.stored, reading.late, reading.after, strict=True
        )
    ]


def _told(reading: Reading, ways: Ways) -> FieldUse:
    """What was read, put together."""
    return FieldUse(
        frees=tuple(dict.fromkeys(_freed(reading, ways))),
        stores=tuple(dict.fromkeys(_stored(reading))),
        counts=reading.counts,
        frees_more=any(one.kind != "loaded" for _, one in reading.freed),
        copies=tuple(reading.copies),
        starts=reading.starts,
        marks=tuple(marks(reading, at, one) for at, one in reading.freed),
        sets=frozenset(reading.keys),
        changes=frozenset(reading.changed),
        wide=frozenset(reading.wide),
        narrow=frozenset(reading.narrow),
        raises=frozenset(key for key, how in reading.moved.items() if how == {True}),
        lowers=frozenset(key for key, how in reading.moved.items() if how == {False}),
        zeroes=frozenset(key for key, _, number in reading.constants if not number),
        constants=frozenset(reading.constants),
        copied=frozenset(copied_within((one[1:] for one in reading.stored), reading.copied)),
        wipes=tuple(dict.fromkeys(filled(reading, copied=False))),
        copied_over=tuple(dict.fromkeys(filled(reading, copied=True))),
        fills=frozenset(reading.filled),
        made=frozenset(reading.made),
        passed=frozenset(reading.passed),
        inner=frozenset(reading.inner),
        locks=frozenset(reading.locks),
        roots=frozenset(root_of(value).kind for _, value in reading.freed),
        uncounts=reading.uncounts,
        unlinks=any(value == Value("number", UNLINKED) for *_, value, _ in reading.stored),
        checks=_compared(reading),
        set_up=frozenset(reading.set_up),
        inits=frozenset(reading.inits),
        of_users=frozenset(reading.of_users),
        tables=frozenset(reading.tables),
        handed=tuple(reading.handed),
        freed=tuple(reading.freed),
        put=tuple(reading.put),
        taken=tuple(reading.taken),
        left_at_times=frozenset(leaving(reading, ways)),
        taken_off=tuple(_taken_off(reading)),
        written=tuple((key, base) for _, key, _, base in reading.stored),
        pointers=tuple((key, value) for _, key, value, _ in reading.stored),
        stored_at=tuple(end for end, *_ in reading.stored),
        cleared=tuple(
            (key, end) for end, key, value, _ in reading.stored if value == Value("number", 0)
        ),
        put_in=tuple(
            within(value)
            for *_, value, base in reading.stored
            if value.kind in ("inner", "returned")
            and (base is None or within(base)[0] != within(value)[0])
        ),
        given=tuple(addresses_given(reading)),
        trail=Trail(
            tuple(reading.numbers),
            tuple(reading.jumps),
            tuple(reading.ends),
            tuple(reading.calls),
        ),
        changed_at=tuple(reading.changed_at),
        ways=ways,
    )


def _taken_off(reading: Reading) -> Iterator[tuple[Value, int]]:
    """Entries whose first pointer is stored where their second says that one to them is."""
    for _, key, value, base in reading.stored:
        if key == 0 and base is not None and base.kind == "loaded" and base.of is not None:
            first = (base.number - _WORD) & MASK
            if value == Value("loaded", first, base.of):
                root, distance = within(base.of)
                yield root, distance + signed(first)


def _compared(reading: Reading) -> frozenset[int]:
    """Keys of the fields whose pointers a function compares with NULL."""
    direct = {one.number for one in reading.tested if one.kind == "loaded"}
    return frozenset(
        direct | {reading.indexed[one] for one in reading.tested & reading.indexed.keys()}
    )
