"""Who can have written what was found in a field, or should have, the most suspect first.

Not a fact by itself: :mod:`oopsight.evidence.modules.state_writers` asks it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.checked_value import HIGH, LOW, is_empty_head
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.able_writers import Ability, AbleWriters
from oopsight.evidence.modules.code_values import Handed
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys, size_read
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.number_sources import Number
from oopsight.evidence.modules.omitting import omitting
from oopsight.evidence.modules.operand_keys import MASK
from oopsight.evidence.modules.partners import leaving_alone, undoing
from oopsight.evidence.modules.skipping import leaving_number
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.plumbing import base_name
from oopsight.session import Session

_BESIDE = (-8, -4, 4, 8)
_FUNCTION = (24, 40)
"""How far in a ``struct timer_list``, ``work_struct`` or ``hrtimer`` its function lies."""
_WORD = 8
MOST_WRITERS = 3
"""More than so many that write at an offset have to do with other objects, too."""


class Field(NamedTuple):
    """The field, by what was read from it."""

    way: Way
    wrong: str
    """As :attr:`CheckedValue.wrong` has it."""
    others: tuple[Way, ...]
    """Of numbers that have to agree with it."""


class FieldWriters:
    """Of the functions of one module, those that write to a field."""

    def __init__(
        self,
        session: Session,
        modules: Modules,
        module: Module,
        code: list[ModuleFunction],
        uses: dict[str, FieldUse],
        field: Field,
    ) -> None:
        self._asks = session, modules, module
        self._code, self._uses, self._field = code, uses, field
        self._reader = SessionReader(session)
        self._keys = FieldKeys(field.way, uses)
        low = field.wrong == HIGH and _is_below_zero(field.way)
        self._wrong = LOW if low else field.wrong
        copiers, told = self._copying()
        own = self._writing()
        self.writers = {**told, **copiers, **self._wiping(), **own}
        """All that write to it, and by which key."""
        self.others = tuple(name for name in self.writers if name != base_name(field.way.function))
        """But for the one that read it."""
        keys = {name: self.writers[name] for name in self.others}
        self.able = abilities(self._reader, code, keys, field.way, uses, field.others)
        self.able |= dict.fromkeys((one for one in copiers if one in self.able), Ability.MOVES)

    @functools.cached_property
    def _few(self) -> bool:
        return sum(self.able[name] < Ability.MOVES for name in self.others) <= MOST_WRITERS

    @functools.cached_property
    def zeroes(self) -> bool:
        """Whether some of them set it to zero on purpose."""
        return any(_sets_zero(use, self._keys.of(use)) for use in self._uses.values())

    @functools.cached_property
    def harmless(self) -> tuple[str, ...]:
        """Those that cannot have left what was found, or only mend that."""
        return tuple(
            name for name in self.others if self.able[name] is Ability.UNABLE or self._mends(name)
        )

    @functools.cached_property
    def raising_in_vain(self) -> tuple[str, ...]:
        """Who counts it up, and on some ways puts nothing in place before it returns."""
        number = self._number
        if number is None:
            return ()
        return tuple(
            base_name(one.name)
            for one in self._code
            if (key := self.writers.get(base_name(one.name))) is not None
            and self._asked.raises_in_vain(one.start, number._replace(key=key))
        )

    @functools.cached_property
    def asked(self) -> tuple[str, ...]:
        """Who compares it with zero and does not set it, where zero was found: it may be so."""
        if self._number is None or self._number.value:
            return ()
        return tuple(
            name
            for one in self._code
            if (name := base_name(one.name)) not in self.writers
            and name in self._uses
            and name != base_name(self._field.way.function)
            and any(
                self._asked.asks(one.start, self._number._replace(key=key))
                for key in self._candidates(name)
            )
        )

    @functools.cached_property
    def sets_it_itself(self) -> bool:
        """Whether only who read it can have set it so."""
        reader = base_name(self._field.way.function)
        key = self.writers.get(reader)
        if key is None or self._number is None or self.left:
            return False
        starts = (one.start for one in self._code if base_name(one.name) == reader)
        number = self._number._replace(key=key)
        sets = any(self._asked.ability(start, number) is Ability.SETS for start in starts)
        return sets and all(self.able[name] >= Ability.MOVES for name in self.others)

    @functools.cached_property
    def counted_too_far(self) -> bool:
        """Whether who read it itself moved it there, nobody else does, and several call that."""
        reader = base_name(self._field.way.function)
        use = self._uses.get(reader)
        moves = {LOW: use.lowers, HIGH: use.raises}.get(self._wrong) if use is not None else None
        if not moves or moves.isdisjoint(self._candidates(reader)):
            return False
        callers = [
            name
            for name, other in self._uses.items()
            if any(base_name(call.name) == reader for call in other.handed if call.own)
        ]
        others = (one for one in self.others if self.able[one] < Ability.MOVES)
        return len(callers) > 1 and set(others) <= set(self.harmless)

    @functools.cached_property
    def makers(self) -> tuple[str, ...]:
        """Others that make what has it, and set it to what does not stand in their code."""
        return tuple(
            name
            for name, use in self._uses.items()
            if any(key in use.made for key in self._candidates(name)) and name not in self.writers
        )

    @functools.cached_property
    def left(self) -> tuple[str, ...]:
        """Who leaves it alone, and else does as those do that set it to another number."""
        unable = (name for name in self.others if self.able[name] is Ability.UNABLE)
        mending = (name for name in self.writers if self._mends(name))
        menders = {name: self._candidates(name) for name in dict.fromkeys((*unable, *mending))}
        if not self._few:
            return ()
        return leaving_alone(self._uses, menders, self.writers, self._begins)

    @functools.cached_property
    def undone(self) -> tuple[str, ...]:
        """Who leaves it alone, and undoes what else one did that had set it so."""
        holds = _holding(self._reader, self._field.way)
        setting = [name for name in self.others if self.able[name] is Ability.SETS]
        return tuple(
            who
            for name in (setting if self._few else ())
            for who in undoing(
                self._uses, name, self.writers[name], self.writers, self._begins, holds
            )
        )

    @functools.cached_property
    def unset(self) -> tuple[str, ...]:
        """Who makes such objects, and leaves zero there, as which they are made."""
        held, size = self._field.way.held_in, size_read(self._field.way)
        zero = self._field.way.end is not None and self._field.way.end.value == 0
        if held is None or held.slab is None or held.offset is None or size is None or not zero:
            return ()
        found = omitting(
            *self._asks,
            held.slab,
            held.offset,
            self._uses,
            self._code,
            size,
            set_elsewhere=bool(self.writers),
        )
        return found if len(found) <= MOST_WRITERS else ()

    @functools.cached_property
    def leaving_it(self) -> tuple[str, ...]:
        """Who has this number in its code, sets it on the way, and leaves it so on some ways."""
        number = self._number
        if number is None:
            return ()
        asked = self._asked
        return tuple(
            base_name(one.name)
            for one in self._code
            if (key := self.writers.get(base_name(one.name))) is not None
            and asked.leaves(one.start, number._replace(key=key))
        )

    @functools.cached_property
    def _number(self) -> Number | None:
        size, end = size_read(self._field.way), self._field.way.end
        if size is None or end is None or end.value is None:
            return None
        return Number(0, end.value & (1 << 8 * size) - 1, size)

    @functools.cached_property
    def _asked(self) -> AbleWriters:
        return AbleWriters(Calls(self._reader, (), {}), [one.start for one in self._code])

    def ranked(self) -> tuple[str, ...]:
        """All these, the most suspect first."""
        found = tuple(sorted(self.others, key=lambda name: self.able[name])) if self._few else ()
        if len(found) > 1:
            keys = {one: self.writers[one] for one in found}
            at_times = leaving_number(*self._asks, keys)
            found = tuple(sorted(found, key=lambda name: name not in at_times))
        found = tuple(self._with_tellers(found))
        able = self.able
        ranked = {one: able[one] + (able[one] >= Ability.SETS) for one in found if one in able}
        ranked |= dict.fromkeys((*self.left, *self.unset), Ability.SETS)
        careful = self._careful()
        found = tuple(
            sorted(
                (*found, *self.unset, *self.left),
                key=lambda name: (ranked.get(name, 0), name in careful),
            )
        )
        return tuple(dict.fromkeys((*self.undone, *self.leaving_it, *found)))

    def _careful(self) -> set[str]:
        """Who looks at a number that has to agree with the field."""
        if self._number is None or not self._field.others:
            return set()
        return {
            name
            for one in self._code
            if (name := base_name(one.name)) in self.others
            if self._asked.looks(
                one.start,
                self._number._replace(others=tuple(_numbers(self._field.others, self._uses, name))),
            )
        }

    def _writing(self) -> dict[str, int]:
        """Who stores to it, or counts in it, and by which key."""
        way = self._field.way
        head = is_empty_head(way)  # of a list, which leads to the last entry as well
        known = {
            name: [
                key
                for key in self._candidates(name)
                if writes(use, key, way) or (head and writes(use, key + _WORD, way))
            ]
            for name, use in self._uses.items()
        }
        return {name: by[0] for name, by in known.items() if by}

    def _mends(self, name: str) -> bool:
        """Whether a function changes it only in the direction that mends what was found wrong."""
        use = self._uses[name]
        changed = use.changes & set(self._candidates(name))
        moves = {LOW: use.raises, HIGH: use.lowers}.get(self._wrong, frozenset())
        return bool(changed & moves) and changed & use.narrow <= moves

    def _candidates(self, name: str) -> tuple[int, ...]:
        """The keys by which a function may have it, the likeliest first."""
        held = self._field.way.held_in
        usual = self._keys.candidates(self._uses[name])
        begins = self._begins.get(name)
        if begins is None or held is None or held.offset is None:
            return usual
        return (*(held.offset - begin & MASK for begin in begins), *usual)

    @functools.cached_property
    def _begins(self) -> dict[str, tuple[int, ...]]:
        """How far in the object may lie what the kernel calls functions with: timers, work."""
        held = self._field.way.held_in
        slab = held.slab if held is not None else None
        return {
            base_name(one.symbol): tuple(one.offset - far for far in _FUNCTION)
            for one in (slab.refers if slab is not None else ())
            if one.module == self._asks[2].name
        }

    def _with_tellers(self, found: tuple[str, ...]) -> Iterator[str]:
        """Before who stores what it is told, who computes that or has the wrong number itself."""
        for name in found:
            candidates = self._candidates(name)
            told = {register for key, register in self._uses[name].passed if key in candidates}
            yield from (
                other
                for other, use in self._uses.items()
                if other not in found
                if any(
                    _tells(call, told, self._field.way)
                    for call in use.handed
                    if base_name(call.name) == name
                )
            )
            yield name

    def _wiping(self) -> dict[str, int]:
        """Who fills what is in use with zeros, it too, if zero was found; and its key."""
        end = self._field.way.end
        if end is None or end.value != 0:
            return {}
        return {
            name: key
            for name, use in self._uses.items()
            for begin, past in _wiped(use, self._uses)
            for key in self._candidates(name)
            if begin <= key < past
        }

    def _copying(self) -> tuple[dict[str, int], dict[str, int]]:
        """Who copies it with what is around it, and who writes to where that is taken from.

        Not who takes it from what the kernel has brought: nobody of the module writes there.

        :return: of each the key
        """
        copiers: dict[str, int] = {}
        sources: set[int] = set()
        called = {base_name(c.name) for use in self._uses.values() for c in use.handed if c.own}
        for name, use in self._uses.items():
            for one in use.copied:
                if one.brought and name not in called:
                    continue
                for key in self._candidates(name):
                    if one.to <= key < one.to + one.size:
                        copiers[name] = key
                        sources.add((one.source + key - one.to) & MASK)
        told = {
            name: key
            for name, use in self._uses.items()
            for key in sources
            if key in use.changes | use.made
        }
        return copiers, {name: key for name, key in told.items() if name not in copiers}


def abilities(
    reader: SessionReader,
    code: list[ModuleFunction],
    keys: dict[str, int],
    way: Way,
    uses: dict[str, FieldUse],
    others: Sequence[Way] = (),
) -> dict[str, Ability]:
    """How each of some functions can have stored what was found.

    :param keys: of the functions, by which they have the field
    :param others: of numbers that have to agree with it
    """
    found = dict.fromkeys(keys, Ability.UNCHECKED)
    size = size_read(way)
    read = way.end.value if way.end is not None else None
    if read is None or size is None:
        return found
    asked = AbleWriters(Calls(reader, (), {}), [one.start for one in code])
    value = read & (1 << 8 * size) - 1
    for one in code:
        name = base_name(one.name)
        if name in keys and ".cold" not in one.name:
            agreeing = tuple(_numbers(others, uses, name))
            found[name] = asked.ability(one.start, Number(keys[name], value, size, agreeing))
    return found


def _numbers(
    ways: Sequence[Way], uses: dict[str, FieldUse], name: str
) -> Iterator[tuple[int, int, int]]:
    """Numbers that were read: the keys that a function may have of each, the value, the size."""
    for way in ways:
        size, read = size_read(way), way.end.value if way.end is not None else None
        if size is not None and read is not None and way.module is not None:
            for key in FieldKeys(way, uses).candidates(uses[name]):
                yield key, read & (1 << 8 * size) - 1, size


def _wiped(use: FieldUse, uses: dict[str, FieldUse]) -> Iterator[tuple[int, int]]:
    """From where to where a function fills what is in use with zeros."""
    for one in use.wipes:
        if one.into is not None and one.into not in uses:
            continue  # it is new
        size = one.size
        if size is None:
            # The last word is set by itself, as where it is not known how far it is to that.
            last = max((key for key, width, n in use.constants if (width, n) == (8, 0)), default=0)
            size = last + 8 - one.key
        yield one.key, one.key + size


def _holding(reader: SessionReader, way: Way) -> Callable[[int, int, int], bool]:
    """Asks whether memory so far from where a number was read, of some bytes, has a number."""
    field = way.end.memory if way.end is not None else None

    def holds(far: int, size: int, number: int) -> bool:
        held = reader.read(int(field.address) + far, size) if field is not None else None
        return held is not None and int.from_bytes(held, "little") == number

    return holds


def _tells(call: Handed, told: set[str], way: Way) -> bool:
    """Whether a call brings in one of some registers what the caller has made itself."""
    given = [call.arguments[ARGUMENTS.index(register)] for register in told if call.own]
    return any(
        one.kind == "computed" or (one.kind == "number" and one.number == way.value)
        for one in given
    )


def _is_below_zero(way: Way) -> bool:
    """Whether a number was taken from, and had not as much."""
    size, read = size_read(way), way.end.value if way.end is not None else None
    return size is not None and read is not None and bool(read >> 8 * size - 1 & 1)


def _sets_zero(use: FieldUse, key: int | None) -> bool:
    """Whether a function sets a field to zero for its own sake, and does not wipe all around it."""
    around = {key + far for far in _BESIDE} if key is not None else set()
    return key in use.zeroes and not around & use.zeroes


def writes(use: FieldUse, key: int, way: Way) -> bool:
    """Whether a function writes to a field of its width: a pointer is stored elsewhere."""
    narrow = way.end is not None and "qword" not in way.end.instruction.text
    elsewhere = narrow and key in use.wide and key not in use.narrow
    return key in use.changes and not elsewhere
