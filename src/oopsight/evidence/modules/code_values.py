"""The values of a function's registers, while its code is read.

What was loaded from where, what a call returned, what was stored, freed, filled and compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from oopsight.evidence.modules import counting
from oopsight.evidence.modules.counting import HALVES, PARTS, counted, taken_over
from oopsight.evidence.modules.known_calls import (
    AFTER_READERS,
    COPIES,
    FILLS,
    FINDS,
    FREES,
    INITS,
    LOCKS,
    MOST_SET_UP,
    PREPARES,
    PUTS,
    SETS_UP,
    SIZES,
    of_users,
)
from oopsight.evidence.modules.operand_keys import (
    ENTRY,
    IN_TABLE,
    MASK,
    PLACE,
    displacement,
    entry_key,
    in_table,
)
from oopsight.evidence.modules.publishing import PUBLISHES
from oopsight.evidence.modules.stack_slots import Slots
from oopsight.evidence.modules.stored_numbers import BYTES, NUMBER, Bits, Put, changed, put
from oopsight.kernel.addresses import in_kernel_half, signed
from oopsight.kernel.calling_convention import ARGUMENTS, CALLER_SAVED
from oopsight.plumbing import base_name

_THROUGH = re.compile(r" ptr \[(?P<base>r(?!ip|sp)\w+)[ \]]")
"""The register through which memory is read or written."""
_OF_TWO = re.compile(r"qword ptr \[(r\w+) \+ (r\w+)\]")
_COUNTS = ("xadd", "inc")  # with a lock prefix: a reference is taken
_UNCOUNTS = ("dec", "sub")
_NO_TARGET = ("cmp", "test", "push", "bt", "nop")
_MOST_STEPS = 64  # from value to value; compilers make far fewer, and deeper is compared slowly
_MINUS_ONE = 0xFFFFFFFF  # of 32 bits
_LOWEST_ERROR = 0x1000  # IS_ERR() compares with the negative of it


class Value(NamedTuple):
    """What a register holds, as far as the code tells."""

    kind: str
    """``loaded``, ``returned``, ``number``, ``argument``, ``inner`` (an address within what another
    value points to), ``stack`` (an address on the function's own), ``computed`` (of other numbers)
    or ``unknown``."""
    number: int
    """Of ``loaded`` the field's key, of ``inner`` the distance, of ``number`` itself; else what
    tells it from others."""
    of: Value | None = None
    """The pointer through which it was loaded, or within whose memory it points."""
    called: str | None = None
    size: int | None = None
    """Of ``returned``, how many bytes were allocated."""


class Handed(NamedTuple):
    """A call, and what it is given."""

    at: int
    name: str
    """With what the compiler has added, of the module's own functions; empty where it is called
    through a pointer."""
    own: bool
    arguments: tuple[Value, ...]
    result: Value | None = None


class Reading:
    """One function's values, while its code is read."""

    def __init__(
        self,
        name_of: Callable[[int], str | None],
        own: frozenset[str] = frozenset(),
        announcing: frozenset[str] = frozenset(),
        finding: frozenset[str] = frozenset(),
    ) -> None:
        """Begin a function.

        :param name_of: names the function at an address
        :param own: the names of its module's own functions, which say nothing of what these do
        :param announcing: those of them that make things known to the kernel
        :param finding: those of them that allocate nothing: what they return there was before
        """
        self._name_of = name_of
        self._own = own
        self._announcing = announcing
        self._finding = {base_name(name).removesuffix("_noprof") for name in finding}
        self._announced: dict[Value, str] = {}  # what one of these was handed
        self._count = 0
        self.registers: dict[str, Value] = {}
        self.freed: list[tuple[int, Value]] = []
        self.numbers: list[Put] = []
        self.slots, self.bits = Slots(), Bits()
        self.jumps: list[tuple[int, int]] = []  # within the function, from and to
        self.ends: list[int] = []  # where the function is left
        self.calls: list[int] = []
        self._carried: dict[int, tuple[dict[str, Value], str | None]] = {}
        """The registers at the first jump to a place, and what had been called by then."""
        self.changed_at: list[int] = []
        """Where memory other than its own stack is written to: behind the instructions."""
        self.stored: list[tuple[int, int, Value, Value | None]] = []
        self.published: str | None = None
        self.late: list[str | None] = []  # of each of "stored"
        self.after: list[str | None] = []  # the function of the module that made the object known
        self.checked: set[Value] = set()
        self.tested: set[Value] = set()
        self.indexed: dict[Value, int] = {}
        """Pointers read from entries of tables of structures, and their keys within these."""
        self.keys: set[int] = set()
        self.changed: set[int] = set()
        self.wide: set[int] = set()
        self.narrow: set[int] = set()
        self.moved: dict[int, set[bool | None]] = {}
        """By the keys of what is changed: whether upwards, ``None`` for a store."""
        self.stepped: dict[Value, tuple[Value, bool]] = {}  # counted from others, and whether up
        self.constants: set[tuple[int, int, int]] = set()
        """Keys of what is not new, sizes in bytes, and numbers of the code that it is set to."""
        self.passed: set[tuple[int, str]] = set()  # keys of what is set to an argument, and which
        self.filled: set[str] = set()
        self.made: set[int] = set()
        """Keys in what is new to the function of what it stores that stands not in its code."""
        self.inner: set[int] = set()
        self.locks: set[int] = set()
        self.set_up: set[int] = set()  # distances of members set up; addresses of variables
        self.followed: set[Value] = set()  # pointers through which memory is read or written
        self.inits: set[tuple[str, int]] = set()  # who sets members up, and their keys
        self.of_users: set[int] = set()  # keys of pointers known for a process's
        self.wiped: list[tuple[Value, Value]] = []  # memory filled with zeros, and how many bytes
        self.counts = False
        self.uncounts = False
        self.starts = False
        self.copies: list[int] = []
        self.copied: list[tuple[Value, Value, int]] = []  # where to, where from, how many bytes
        self.tables: set[int] = set()
        self.handed: list[Handed] = []
        self.put: list[tuple[int, Value]] = []  # where a reference is given back, and to what
        self.taken: list[Value] = []  # to what a reference is taken, by an atomic instruction
        for register in ARGUMENTS:
            self.registers[register] = self._new("argument")

    def _new(self, kind: str, called: str | None = None) -> Value:
        self._count += 1
        return Value(kind, self._count, None, called)

    def _value(self, register: str) -> Value:
        name = HALVES.get(register, register)
        return self.registers.setdefault(name, self._new("unknown"))

    def _source(self, register: str) -> Value:
        """What a store takes from a register, or a part of one."""
        whole = self._value(PARTS[register]) if register in PARTS else None
        return whole if whole is not None and whole.kind == "number" else self._value(register)

    def _place(self, text: str, end: int) -> tuple[int, Value | None] | None:
        """Key, and the pointer that it is reached through."""
        found = PLACE.fullmatch(text) or IN_TABLE.fullmatch(text)
        if found is None or found["base"] == "rsp":
            return self._beside_number(text)
        offset = displacement(found)
        if found["base"] == "rip":
            return (end + offset) & MASK, None
        base = self._value(found["base"]) if found["base"] else None
        if base is not None and base.kind == "number":
            offset, base = base.number + offset, None
        if in_table(text):
            self.tables.add(offset & MASK)
        return offset & MASK, base

    def _beside_number(self, text: str) -> tuple[int, None] | None:
        """The key of a place so far from a number in the code, as of some CPU's variable."""
        found = _OF_TWO.fullmatch(text)
        values = [self._value(name) for name in found.groups()] if found is not None else []
        numbers = [one.number for one in values if one.kind == "number"]
        return (numbers[0] & MASK, None) if len(numbers) == 1 else None

    def jump(self, at: int, to: int) -> None:
        """A jump within the function."""
        self.jumps.append((at, to))
        self._carried.setdefault(to, (dict(self.registers), self.published))

    def goes_on(self, left: Collection[int]) -> int:
        """The first place left that a jump leads to, with what it had in the registers.

        :param left: where instructions begin that have not been read, in their order
        """
        known = next((at for at in left if at in self._carried), None)
        if known is not None:
            registers, self.published = self._carried[known]
            self.registers = dict(registers)
            return known
        return next(iter(left))

    def call(self, at: int, target: str) -> None:
        """A call, or a jump out of the function."""
        self.calls.append(at)
        called = self._name_of(int(target, 16)) if target.startswith("0x") else None
        name = base_name(called or "").removesuffix("_noprof")
        known = "" if called in self._own else name
        if PUBLISHES.match(known):
            self.published = self.published or known
        if LOCKS.match(known):
            lock, distance = within(self._value("rdi"))
            if lock.kind != "number":
                self.locks.add(distance)
        if known in PREPARES:
            begin = within(self._value("rdi"))[1]
            self.keys.update(range(begin, begin + PREPARES[known], 4))
        if SETS_UP.search(known):
            self._has_set_up()
        given = FREES.get(known.lstrip("_"))
        if given is not None:
            self.freed.append((at, self._freed(known.lstrip("_"), given)))
        if INITS.match(known.lstrip("_")):
            self._sets_up(known.lstrip("_"), self._value("rdi"))
        register = of_users(known)
        users = self._value(register) if register is not None else None
        if users is not None and users.kind == "loaded":
            self.of_users.add(users.number)
        if PUTS.fullmatch(known):
            self.put.append((at, within(self._value("rdi"))[0]))
        own = called is not None and called in self._own
        if called is not None and own and called in self._announcing:
            self._announced.setdefault(within(self._value("rdi"))[0], base_name(called))
        arguments = tuple(self._value(register) for register in ARGUMENTS)
        length = self._value("rsi") if name == "kmemdup" else None
        if length is not None and length.kind == "number":
            self.copies.append(length.number)
        length = self._value("rdx")
        if COPIES.fullmatch(name) and length.kind == "number":
            self.copied.append((self._value("rdi"), self._value("rsi"), length.number))
        if name in FILLS and self._value("rsi") == Value("number", 0):
            self.wiped.append((self._value("rdi"), self._value("rdx")))
        given = next((r for begin, r in SIZES.items() if name.startswith(begin)), None)
        size = self._value(given) if given is not None else None
        for register in CALLER_SAVED:
            self.registers.pop(register, None)
        result = self._new("returned", name)
        if size is not None and size.kind == "number":
            result = result._replace(size=size.number)
        self.registers["rax"] = result
        unseen = called is None or known.startswith("__x86_indirect")
        shown = "" if unseen else called if own and called else name
        self.handed.append(Handed(at, shown, own, arguments, result))

    def _freed(self, called: str, register: str) -> Value:
        """What a call frees; what is told by a member for later is what that is in."""
        value = self._value(register)
        if called in AFTER_READERS and (register == "rdi" or value.kind == "number"):
            return within(self._value("rdi"))[0]
        return value

    def _has_set_up(self) -> None:
        """A call of a function of the kernel that sets up what it is given."""
        for register in ARGUMENTS[:MOST_SET_UP]:
            root, distance = within(self._value(register))
            self.set_up.add(root.number if root.kind == "number" else distance)
            if root.kind == "returned" and root.called is not None:
                self.filled.add(root.called)

    def _sets_up(self, called: str, member: Value) -> None:
        """A call of a function that sets a member up."""
        key = member.number if member.kind in ("inner", "number") else 0
        self.inits.add((called, key))

    def step(self, mnemonic: str, operands: str, end: int) -> None:
        """Any other instruction."""
        first, _, second = operands.partition(", ")
        self.slots.step(mnemonic, operands)
        through = _THROUGH.search(operands)
        if through is not None:
            self.followed.add(self._value(through["base"]))
        if mnemonic.startswith("lock "):
            # To give a reference back is to add -1.
            back = mnemonic.endswith("xadd") and self._value(second) == Value("number", _MINUS_ONE)
            self.counts = self.counts or (mnemonic[5:] in _COUNTS and not back)
            back = back or mnemonic[5:] in _UNCOUNTS
            self.uncounts = self.uncounts or back
            self._changes(mnemonic, first, second, end)
            counter = self._place(first, end)
            if counter is not None and counter[1] is not None:
                root = within(counter[1])[0]
                if back:
                    self.put.append((end, root))
                elif mnemonic[5:] in _COUNTS:
                    self.taken.append(root)
            return
        if mnemonic == "cmp" and NUMBER.fullmatch(second):
            if -int(second, 0) & MASK in (_LOWEST_ERROR, _LOWEST_ERROR - 1):
                self.checked.add(self._value(first))
            elif int(second, 0) == 0:
                self.tested.add(self._compared(first, end))
            return
        if mnemonic == "test" and first == second and first not in HALVES:
            # Half a register is a number, and no pointer.
            self.tested.add(self._value(first))
        filler = self._value("rax") if mnemonic.startswith("rep stos") else None
        if filler is not None and (filler.kind != "number" or filler.number == 0):
            words, width = self._value("rcx"), BYTES[first.partition(" ")[0]]
            size = words._replace(number=words.number * width) if words.kind == "number" else words
            self.wiped.append((self._value("rdi"), size))
            return
        if mnemonic.startswith("rep movs"):
            words, each = self._value("rcx"), BYTES[first.partition(" ")[0]]
            if words.kind == "number":
                places = self._value("rdi"), self._value("rsi")
                self.copied.append((*places, words.number * each))
            return
        if first.endswith("]"):
            if mnemonic == "mov":
                self.starts = self.starts or (first.startswith("dword") and second == "1")
                self._store(first, second, end)
            elif mnemonic == "xchg":
                self._exchange(first, second, end)
            elif mnemonic in counting.IN_PLACE:
                self._changes(mnemonic, first, second, end)
            return
        if mnemonic in counting.IN_PAIR:
            self.registers |= {name: self._new("computed") for name in ("rax", "rdx")}
            return
        register = HALVES.get(first, first)
        if not register.startswith("r") or mnemonic in _NO_TARGET:
            return
        counts = counted(mnemonic, first, second)
        before = self._value(counts[0]) if counts is not None else None
        self.registers[register] = self._result(mnemonic, first, second, end)
        if counts is not None and before is not None and before.kind == "loaded":
            self.stepped[self.registers[register]] = before, counts[1]

    def _compared(self, operand: str, end: int) -> Value:
        """What an instruction compares, in a register or in memory."""
        where = self._place(operand, end) if operand.startswith("qword") else None
        if where is not None:
            return Value("loaded", *where)
        return self._entry(operand) if operand.endswith("]") else self._value(operand)

    def _changes(self, mnemonic: str, place: str, by: str, end: int) -> None:
        """An instruction that reads memory and writes it."""
        where = self._place(place, end)
        if where is None:
            return
        self.changed.add(where[0])
        self.changed_at.append(end)
        if not place.startswith("qword"):
            self.narrow.add(where[0])
        name = mnemonic.removeprefix("lock ")
        up = {"inc": True, "add": True, "xadd": True, "dec": False, "sub": False}.get(name)
        less = by.startswith("-") or self._value(by) == Value("number", _MINUS_ONE)
        if up is not None and less:
            up = not up
        self.moved.setdefault(where[0], set()).add(up)
        self.numbers += changed(end, where, place, name, by)

    def _exchange(self, place: str, register: str, end: int) -> None:
        """A store that brings back what was there before."""
        where = self._place(place, end)
        self._store(place, register, end)
        before = Value("loaded", *where) if where is not None else self._new("unknown")
        self.registers[HALVES.get(register, register)] = before

    def _store(self, place: str, source: str, end: int) -> None:
        where = self._place(place, end)
        if where is None:
            self.slots.put(place, self._source(source))
            return
        self.keys.add(where[0])
        self.changed_at.append(end)
        into = into_what(where[1])
        into = None if into in self._finding or FINDS.match(into or "") else into
        if into is None:
            # Two fields side by side are set at once.
            self.changed |= {where[0], where[0] + 4} if place.startswith("qword") else {where[0]}
            self.narrow |= set() if place.startswith("qword") else {where[0]}
            before, up = self.stepped.get(self._value(source), (None, None))
            same = before == Value("loaded", *where)
            self.moved.setdefault(where[0], set()).add(up if same else None)
        else:
            self.filled.add(into)
        number = NUMBER.fullmatch(source)
        value = Value("number", int(source, 0) & MASK) if number else self._source(source)
        size = BYTES.get(place.partition(" ")[0])
        if size is not None and value.kind == "number" and into is None:
            self.constants.add((where[0], size, value.number & ((1 << 8 * size) - 1)))
        if value.kind != "number" and into is not None:
            self.made.add(where[0])
        if value.kind == "argument" and into is None:
            self.passed.add((where[0], ARGUMENTS[value.number - 1]))
        if value.kind != "number" and place.startswith("qword"):
            self.wide |= {where[0], where[0] + 4}
        self.numbers += put(end, where, place, self.bits.stored(value, where))
        if not place.startswith("qword"):
            self.copied += taken_over(where[0], value, where[1], place)
            return
        self._keep(end, where[0], value, where[1])
        if where[1] is not None and where[1].kind == "inner":
            # The same, from where the object begins that the pointer leads into.
            root, distance = within(where[1])
            key = (distance + signed(where[0])) & MASK
            self.keys.add(key)
            self._keep(end, key, value, root)

    def _keep(self, end: int, key: int, value: Value, base: Value | None) -> None:
        self.stored.append((end, key, value, base))
        self.late.append(self.published)
        root = within(base)[0] if base is not None else None
        self.after.append(self._announced.get(root) if root is not None else None)

    def _result(self, mnemonic: str, first: str, second: str, end: int) -> Value:
        if mnemonic == "xor" and first == second:
            return Value("number", 0)
        if mnemonic == "and" and second == "0xfffffffffffffff8":  # on to where words begin
            return self._value(first)
        if mnemonic in ("mov", "movabs"):
            if NUMBER.fullmatch(second):
                return Value("number", counting.extended(second, first))
            if second == "rsp":
                return self._new("stack")
            kept = self._value(second) if not second.endswith("]") else self.slots.get(second)
            if kept is not None:
                return kept
        before = self._value(first)
        if mnemonic == "add" and before.kind == "number" and NUMBER.fullmatch(second):
            return Value("number", before.number + int(second, 0) & MASK)
        if mnemonic == "lea" and second.startswith("[rsp"):
            return self._new("stack")
        added = int(second, 0) if mnemonic == "add" and NUMBER.fullmatch(second) else None
        if added is not None and (first in ARGUMENTS or in_kernel_half(added & MASK)):
            # A member of what was in the register, which is handed on; or an entry of a table.
            mnemonic, second = "lea", f"[{first} {'-' if added < 0 else '+'} {abs(added):#x}]"
        where = self._place(second, end) if mnemonic in ("mov", "lea") else None
        entry = ENTRY.fullmatch(second) if where is None and mnemonic == "lea" else None
        if entry is not None:
            where = displacement(entry) & MASK, self._value(entry["base"])
        if where is None:
            other = "computed" if mnemonic in counting.COMPUTES else "unknown"
            made = self._entry(second) if mnemonic == "mov" else self._new(other)
            return self.bits.after(mnemonic, before, second, made)
        key, base = where
        if base is not None and _steps_to(base) >= _MOST_STEPS:
            return self._new("unknown")
        if mnemonic == "mov":
            return Value("loaded", key, base)
        if base is None:
            return Value("number", key)
        self.inner.add(key)
        return Value("inner", key, base)

    def _entry(self, operand: str) -> Value:
        """What is read where no single register leads to."""
        value, key = self._new("unknown"), entry_key(operand)
        if key is not None:
            self.indexed[value] = key
        return value


def into_what(value: Value | None) -> str | None:
    """What had returned an object to the function."""
    root = within(value)[0] if value is not None else None
    return root.called if root is not None and root.kind == "returned" else None


def _steps_to(value: Value) -> int:
    """How many loads and additions led to a value."""
    steps = 0
    while value.of is not None:
        value, steps = value.of, steps + 1
    return steps


def root_of(value: Value) -> Value:
    """The pointer with which the way to a value began."""
    while value.of is not None:
        value = value.of
    return value


def within(value: Value) -> tuple[Value, int]:
    """The pointer that a value was computed from, and how far it is from that, in bytes."""
    distance = 0
    while value.kind == "inner" and value.of is not None:
        distance += signed(value.number)
        value = value.of
    return value, distance
