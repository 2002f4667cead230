"""What a place in memory is computed of, and within which limits a number is that takes part.

Not a fact by itself: :mod:`oopsight.evidence.corruption.stray_stores` asks it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from oopsight.cheap import dataclass
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.effects import (
    Constant,
    Copy,
    Effect,
    Load,
    Operation,
    Place,
    Returned,
    Slot,
    slot_of,
)
from oopsight.evidence.flow.instructions import Instruction, Memory, whole_register
from oopsight.evidence.modules.known_calls import GIVES_BACK
from oopsight.kernel.addresses import signed

_MASK = (1 << 64) - 1
_MOST_STEPS = 24
_DEEPEST = 2
"""Callers of callers."""
_BEFORE_JUMP = 3
_UNSIGNED = ("ja", "jae", "jb", "jbe")
_SIGNED = ("jg", "jge", "jl", "jle")
_BY_SIGN = ("js", "jns")
_BY_ZERO = ("je", "jne")
_LESS_ONE = ("jae", "jb", "jge", "jl")
"""After a comparison with a number, what is as large as that is on the other side."""
_ENDBR = 4  # a direct call may skip the landing pad of indirect ones
_POINTER = 8
_WITHIN = 0
"""What a limit that is no number in the code lets pass: nothing beyond the table."""

Root = tuple[str, object]
"""What is not computed further: ``entered`` and the register of an argument, ``slot``, ``load``,
``loads`` (one of several, all of a byte or of two), ``returned`` or ``computed`` (a number of two
others) and where."""
Sum = tuple[int, dict[Root, int]]
"""A number, and what is multiplied and added to it."""


@dataclass(frozen=True)
class Limits:
    """What comparisons let pass; ``None`` where there is none."""

    least: int | None
    most: int | None
    known: bool = True
    """Whether all who hand the number over could be looked at."""
    up_to: int | None = None
    """The instruction that read from memory what the number may be as large as, and not less."""
    not_zero: bool = False
    """Whether zero goes another way."""

    def lets(self, number: int) -> bool:
        """Whether a number passes."""
        if not self.known or (self.least is not None and number < self.least):
            return False
        if self.not_zero and number == 0:
            return False
        return self.most is None or number <= self.most


def sum_of(calls: Calls, code: Function, memory: Memory, at: int) -> Sum | None:
    """The address that an instruction accesses."""
    if memory.base == "rip":
        return signed((code.instructions[at].end + memory.displacement) & _MASK), {}
    registers = [(memory.base, 1), (memory.index, memory.scale)]
    parts = [_of(calls, code, name, at, factor, _MOST_STEPS) for name, factor in registers if name]
    return _added(signed(memory.displacement & _MASK), parts)


def operand_sum(calls: Calls, code: Function, register: str, at: int) -> Sum | None:
    """What a register holds before an instruction."""
    return _of(calls, code, register, at, 1, _MOST_STEPS)


def _added(number: int, parts: Iterable[Sum | None]) -> Sum | None:
    terms: dict[Root, int] = {}
    for part in parts:
        if part is None:
            return None
        number += part[0]
        for root, factor in part[1].items():
            terms[root] = terms.get(root, 0) + factor
    return number, {root: factor for root, factor in terms.items() if factor}


def _of(calls: Calls, code: Function, place: Place, at: int, factor: int, left: int) -> Sum | None:
    """What a place holds before an instruction, so many times."""
    found = calls.tracer.definitions(code, place, at)
    if isinstance(place, Slot) and (
        not found or len(found) > 1 or not isinstance(found[0].effect, Copy)
    ):
        # Others have its address, as those that read numbers from a text.
        return 0, {("slot", place.offset): factor}
    if not found or not left:
        return None
    if len(found) > 1:
        # What is taken back from the stack, behind a call that only complains, is as it was.
        found = [one for one in found if not _taken_back(one.effect)] or found
    if len(found) > 1:
        # A loop that goes on with the next one reads it at its end.
        reads = tuple(sorted(one.index for one in found))
        alike = {_narrow(code, at) for at in reads}
        return None if len(alike) > 1 or None in alike else (0, {("loads", reads): factor})
    what = found[0].effect
    if what is None:
        return 0, {("entered", place): factor}
    return _effect(calls, code, what, found[0].index, factor, left - 1)


def _taken_back(what: Effect | None) -> bool:
    return isinstance(what, Copy) and isinstance(what.source, Slot)


def _narrow(code: Function, at: int) -> tuple[int, int] | None:
    """What a number can be that an instruction reads from a byte, or from two."""
    row = code.instructions[at]
    memory = row.operands[1].memory if len(row.operands) == 2 else None
    if row.mnemonic not in ("movsx", "movzx") or memory is None:
        return None
    bits = 8 * memory.size
    if row.mnemonic == "movzx":
        return 0, (1 << bits) - 1
    return -(1 << bits - 1), (1 << bits - 1) - 1


def _effect(
    calls: Calls, code: Function, what: Effect, at: int, factor: int, left: int
) -> Sum | None:
    if isinstance(what, Constant):
        return signed(what.value) * factor, {}
    if isinstance(what, Copy):
        return _added(what.delta * factor, [_of(calls, code, what.source, at, factor, left)])
    if isinstance(what, Load):
        return 0, {("load", at): factor}
    if isinstance(what, Returned):
        target = code.instructions[at].target
        known = calls.reader.function(target) if target is not None else None
        if known is not None and GIVES_BACK.fullmatch(known[0]):
            return _of(calls, code, "rdi", at, factor, left)
        return 0, {("returned", at): factor}
    if not isinstance(what, Operation) or len(what.inputs) != 2:
        return None
    first, second = what.inputs
    if what.name in ("imul", "shl") and isinstance(second, Constant):
        by = second.value if what.name == "imul" else 1 << (second.value & 63)
        return _effect(calls, code, first, at, factor * by, left)
    if what.name not in ("add", "sub"):
        return None
    other = factor if what.name == "add" else -factor
    parts = [
        _effect(calls, code, first, at, factor, left),
        _effect(calls, code, second, at, other, left),
    ]
    whole = _added(0, parts)
    if what.size < _POINTER and whole is not None and len(whole[1]) > 1:
        # A number, whatever it is computed of: the limits are those of the whole.
        return 0, {("computed", at): factor}
    return whole


class IndexLimits:
    """The limits of numbers in the functions of one module; each is asked for once."""

    def __init__(self, calls: Calls, functions: Iterable[int]) -> None:
        """Ask about a module.

        :param functions: where those of the module begin
        """
        self._calls = calls
        self._functions = tuple(functions)
        self._known: dict[tuple[int, Root, int], Limits] = {}

    def of(self, code: Function, root: Root, deep: int = _DEEPEST) -> Limits:
        """The limits of a number in a function, and in those of its module that hand it over.

        :param deep: how many callers outwards are asked
        """
        key = (code.start, root, deep)
        if key not in self._known:
            self._known[key] = self._of(code, root, deep)
        return self._known[key]

    def _of(self, code: Function, root: Root, deep: int) -> Limits:
        if root[0] in ("load", "loads"):
            return _of_read(self._calls, code, root)
        own = _compared(self._calls, code, root)
        if root[0] != "entered" or None not in (own.least, own.most):
            return own
        sites = self._sites.get(code.start, ()) if deep else ()
        handed = [self.handed(other, at, str(root[1]), deep - 1) for other, at in sites]
        # What the kernel itself calls with a number and nobody looks at has its limits elsewhere.
        if not handed and own.least is None and own.most is None:
            return Limits(None, None, known=False)
        least = own.least if own.least is not None else _weakest([one.least for one in handed], min)
        most = own.most if own.most is not None else _weakest([one.most for one in handed], max)
        known = all(one.known for one in handed)
        return Limits(least, most, known, own.up_to, own.not_zero)

    @functools.cached_property
    def _sites(self) -> dict[int, list[tuple[Function, int]]]:
        """By where a function begins, the calls of it from the module's others."""
        found: dict[int, list[tuple[Function, int]]] = {}
        starts = {begin + skipped: begin for begin in self._functions for skipped in (0, _ENDBR)}
        for begin in self._functions:
            code = self._calls.function(begin)
            for at, row in enumerate(code.instructions if code is not None else ()):
                target = starts.get(row.target) if row.target is not None else None
                if code is not None and target is not None and target != begin:
                    found.setdefault(target, []).append((code, at))
        return found

    def handed(self, code: Function, at: int, register: str, deep: int = _DEEPEST) -> Limits:
        """The limits of what a call hands over in a register."""
        given = _of(self._calls, code, register, at, 1, _MOST_STEPS)
        if given is None or len(given[1]) > 1:
            return Limits(None, None, known=False)
        number, terms = given
        if not terms:
            return Limits(number, number)
        limits = self.of(code, next(iter(terms)), deep)
        return Limits(_more(limits.least, number), _more(limits.most, number), limits.known)


def _of_read(calls: Calls, code: Function, root: Root) -> Limits:
    """The limits of what is read from memory, at one place or at several."""
    reads = root[1] if isinstance(root[1], tuple) else (root[1],)
    each = [_compared(calls, code, ("load", at)) for at in reads]
    narrow = _narrow(code, reads[0]) or (None, None)
    least = _weakest([one.least if one.least is not None else narrow[0] for one in each], min)
    most = _weakest([one.most if one.most is not None else narrow[1] for one in each], max)
    not_zero = all(one.not_zero for one in each)
    return Limits(least, most, up_to=each[0].up_to, not_zero=not_zero)


def _weakest(limits: list[int | None], choose: Callable[[list[int]], int]) -> int | None:
    known = [one for one in limits if one is not None]
    if not known or len(known) < len(limits):
        return None
    return choose(known)


def _more(limit: int | None, by: int) -> int | None:
    return None if limit is None else limit + by


def answered(calls: Calls, code: Function, root: Root) -> Limits:
    """The limits of a number by a function's comparisons whose outcome is its answer."""
    return _compared(calls, code, root, _answer)


def _compared(
    calls: Calls,
    code: Function,
    root: Root,
    decided: Callable[[Function, int], str | None] | None = None,
) -> Limits:
    """The limits that a function's own comparisons of a number set.

    :param decided: what a comparison decides, if not a jump
    """
    least: int | None = None
    most: int | None = None
    up_to: int | None = None
    not_zero = False
    for at, row in enumerate(code.instructions):
        if row.mnemonic not in ("cmp", "test") or len(row.operands) < 2:
            continue
        jump = (decided or _jump)(code, at)
        if jump is None:
            continue
        sides = [operand_of(calls, code, at, operand) for operand in (0, 1)]
        mine = next((s for s in sides if s is not None and root in s[1]), None)
        if mine is None or len(mine[1]) != 1:
            continue
        other = sides[1] if mine is sides[0] else sides[0]
        # What is compared as it will be stored is what it may be the next time.
        later = bool(mine[0]) and _stored_back(code, root)
        number = None if other is None or other[1] else other[0] - (0 if later else mine[0])
        if row.mnemonic == "test" and sides[0] == sides[1]:
            number = -mine[0]
        if jump in _BY_ZERO:
            not_zero = not_zero or number == 0
        if jump in _UNSIGNED:
            least = 0
        if jump in _BY_SIGN or (jump in _SIGNED and number is not None and number <= 0):
            least = 0 if number is None else max(number, 0)
        elif jump in (*_UNSIGNED, *_SIGNED):
            passes = _WITHIN if number is None else number - (jump in _LESS_ONE)
            most = passes if most is None else max(most, passes)
            if number is None and (jump in _LESS_ONE) == (mine is sides[1]):
                up_to = _read_at(other) if other is not None else _reads(row, at)
    return Limits(least, most, up_to=up_to, not_zero=not_zero)


def _stored_back(code: Function, root: Root) -> bool:
    """Whether a function stores a number where it had read it from."""
    if root[0] != "load" or not isinstance(root[1], int):
        return False
    read = next((one.memory for one in code.instructions[root[1]].operands if one.memory), None)
    if read is None or read.index is not None or read.base == "rip":
        return False
    place = read.base, read.displacement
    written = (row.operands[0].memory for row in code.instructions if _sets_memory(row))
    return any(one is not None and (one.base, one.displacement) == place for one in written)


def _sets_memory(row: Instruction) -> bool:
    return row.mnemonic == "mov" and bool(row.operands) and row.operands[0].memory is not None


def _read_at(side: Sum | None) -> int | None:
    """The instruction that read one side of a comparison from memory."""
    roots = list(side[1]) if side is not None and not side[0] else []
    return int(str(roots[0][1])) if len(roots) == 1 and roots[0][0] == "load" else None


def _reads(row: Instruction, at: int) -> int | None:
    """The same, of a comparison that reads the memory itself."""
    return at if any(operand.memory is not None for operand in row.operands) else None


def _answer(code: Function, at: int) -> str | None:
    """The condition by which a comparison makes an answer, as the jump that goes by it."""
    for row in code.instructions[at + 1 : at + 1 + _BEFORE_JUMP]:
        if row.mnemonic.startswith("set"):
            return f"j{row.mnemonic.removeprefix('set')}"
        if row.is_jump or row.is_call or _sets_flags(row):
            return None
    return None


def _jump(code: Function, at: int) -> str | None:
    """The condition of the jump that a comparison decides."""
    for row in code.instructions[at + 1 : at + 1 + _BEFORE_JUMP]:
        if row.is_jump:
            return row.mnemonic if row.mnemonic != "jmp" else None
        if row.is_call or _sets_flags(row):
            return None
    return None


def _sets_flags(row: Instruction) -> bool:
    return not row.mnemonic.startswith(("mov", "lea", "push", "pop", "nop", "set", "cmov"))


def operand_of(calls: Calls, code: Function, at: int, number: int) -> Sum | None:
    """What an operand holds, as one side of a comparison; of memory only the frame is known."""
    operand = code.instructions[at].operands[number]
    if operand.immediate is not None:
        return signed(operand.immediate & _MASK), {}
    if operand.memory is not None:
        slot = slot_of(code, at, operand.memory)
        return _of(calls, code, slot, at, 1, _MOST_STEPS) if slot is not None else None
    name = whole_register(operand.register or "")
    return None if name is None else _of(calls, code, name, at, 1, _MOST_STEPS)
