"""All the values that a place can have had, by every way through the code.

A load in a loop, ``mov rax, [rax + 8]``, overwrites the pointer that it went through, and where
several ways lead to it no single instruction tells what that was. But the code and the memory tell
which it can have been: each entry of the list, of the hash chain, of the tree.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oopsight.evidence.flow.arithmetic import bound, compute
from oopsight.evidence.flow.code import repeated
from oopsight.evidence.flow.effects import (
    MASK,
    Constant,
    Copy,
    Effect,
    Either,
    Load,
    Operation,
    Place,
    Returned,
    narrowed,
    sources_of,
)
from oopsight.evidence.flow.instructions import Memory
from oopsight.evidence.flow.moves import Context
from oopsight.kernel.addresses import in_kernel_half

if TYPE_CHECKING:
    from oopsight.evidence.flow.values import Values

MOST_PLACES = 64
MOST_VALUES = 20_000
MOST_COMBINED = 64
"""Of values of two places that are taken together."""


Key = tuple[Place, int]
"""A place, and the instruction before which it is looked at."""


class Candidates:
    """The values of places in one context, each found once."""

    def __init__(self, values: Values, context: Context, *, live: bool = True) -> None:
        """Take a context.

        :param live: whether what registers hold at the end counts as a value of what is set in a
            loop; it does not tell which of several instructions set it
        """
        self._values = values
        self._context = context
        self._live = live
        self._found: dict[Key, dict[int, None]] = {}
        self._effects: dict[Key, list[tuple[int, Effect]]] = {}
        self._needed_by: dict[Key, list[tuple[Key, int, Effect]]] = {}
        self._work: collections.deque[tuple[Key, int]] = collections.deque()
        self._left = MOST_VALUES
        self.complete = True
        """Whether all ways could be followed: what is not among the values cannot have been."""

    def addresses(self, memory: Memory, at: int) -> list[int]:
        """What a memory operand can have come to before an instruction."""
        for place in sources_of(Load(memory)):
            self._need((place, at))
        self._run()
        return list(dict.fromkeys(self._addresses(memory, at, None)))

    def of(self, what: Effect, at: int) -> list[int]:
        """What an instruction can have set its place to."""
        if not _followed(what):
            self.complete = False
            return []
        for place in sources_of(what):
            self._need((place, at))
        self._run()
        return list(dict.fromkeys(self._results(what, at, None)))

    def _need(self, key: Key) -> None:
        if key in self._found:
            return
        self._found[key] = {}
        place, at = key
        definitions = self._values.definitions(self._context.function, place, at)
        # What is known is of the last pass; what is set in a loop was another before.
        known = self._values.value(self._context, place, at)
        if known is not None:
            code = self._context.function
            once = not any(repeated(code, one.index) for one in definitions or ())
            if once or self._live:
                self._add(key, known)
            if once:
                return
        if definitions is None or len(self._found) >= MOST_PLACES:
            self.complete = False
            return
        for one in definitions:
            if one.effect is None:
                came = self._values.came_in(self._context, place)
                self._add(key, came)
                continue
            if isinstance(one.effect, Returned):
                self._add_returned(key, one.index)
                continue
            few = _few(one.effect)
            if few is not None:
                for value in range(few):
                    self._add(key, value)
                continue
            if not _followed(one.effect):
                self.complete = False
                continue
            for source in sources_of(one.effect):
                self._needed_by.setdefault((source, one.index), []).append(
                    (key, one.index, one.effect)
                )
                self._need((source, one.index))
            # What its sources are known to be is known from here on: the rest comes as it is found.
            for value in self._results(one.effect, one.index, None):
                self._add(key, value)

    def _add_returned(self, key: Key, call: int) -> None:
        """What a function that was called can have returned."""
        entries = self._values.looked_up(self._context, call)
        if entries is not None:
            for value in entries:
                self._add(key, value)
            self.complete = False  # it may have been taken out since
            return
        ends = self._values.callees(self._context, call)
        self.complete &= bool(ends)
        for end in ends:
            inner = Candidates(self._values, end)
            for value in inner.of(Copy("rax"), end.at):
                self._add(key, value)
            self.complete &= inner.complete

    def _add(self, key: Key, value: int | None) -> None:
        if value is None:
            self.complete = False
        elif value not in self._found[key]:
            if not self._left or not self._values.budget:
                self.complete = False
                return
            self._left -= 1
            self._values.budget -= 1
            self._found[key][value] = None
            self._work.append((key, value))

    def _run(self) -> None:
        while self._work:
            # First come, first served: endless steps leave the others a share of what is looked at.
            source, value = self._work.popleft()
            for key, at, what in self._needed_by.get(source, ()):
                for result in self._results(what, at, (source[0], value)):
                    self._add(key, result)

    def _results(self, what: Effect, at: int, new: tuple[Place, int] | None) -> Iterator[int]:
        """What comes of an instruction.

        :param new: a place and a value which was not looked at before; ``None`` for all
        """
        if isinstance(what, Constant):
            yield what.value
        elif isinstance(what, Copy):
            for value in self._of(what.source, at, new):
                yield narrowed(value, what)
        elif isinstance(what, Load):
            for address in self._addresses(what.memory, at, new):
                number = self._values.number(address, what.memory.size, signed_=what.signed)
                if number is not None:
                    yield number
                elif in_kernel_half(address):
                    self.complete = False  # not in the dump, or gone since
        elif isinstance(what, Either):
            for one in (what.first, what.second):
                if new is None or new[0] in sources_of(one):
                    yield from self._results(one, at, new)
        elif isinstance(what, Operation):
            inputs = [list(self._results(one, at, new)) for one in what.inputs]
            for numbers in self._combined(*inputs):
                yield compute(what.name, numbers, what.size)

    def _of(self, place: Place, at: int, new: tuple[Place, int] | None) -> list[int]:
        if new is not None and new[0] == place:
            return [new[1]]
        return list(self._found.get((place, at), ()))

    def _addresses(self, memory: Memory, at: int, new: tuple[Place, int] | None) -> Iterator[int]:
        fixed = memory.displacement
        if memory.segment:
            start = self._context.segments.get(memory.segment)
            if start is None:
                return
            fixed += start
        bases = [0] if memory.base is None else self._of(memory.base, at, new)
        if memory.base == "rip":
            bases = [self._context.function.instructions[at].end]
        indexes = [0] if memory.index is None else self._of(memory.index, at, new)
        for base, index in self._combined(bases, indexes):
            yield (base + index * memory.scale + fixed) & MASK

    def _combined(self, *lists: list[int]) -> Iterator[tuple[int, ...]]:
        """Each of one list with each of another; a list may be long if it is the only long one."""
        lengths = sorted(map(len, lists))
        most = MOST_VALUES if all(length <= 1 for length in lengths[:-1]) else MOST_COMBINED
        self.complete &= math.prod(lengths) <= most
        return itertools.islice(itertools.product(*lists), most)


def _few(what: Effect) -> int | None:
    """How many values an operation can give at most, where that is few: an index of a hash."""
    if not isinstance(what, Operation) or not isinstance(what.inputs[-1], Constant):
        return None
    most = bound(what.name, what.inputs[-1].value, what.size)
    return most if most is not None and most <= MOST_COMBINED else None


def _followed(what: Effect) -> bool:
    if isinstance(what, Either):
        return _followed(what.first) and _followed(what.second)
    if isinstance(what, Operation):
        return all(map(_followed, what.inputs))
    return isinstance(what, (Constant, Copy, Load))
