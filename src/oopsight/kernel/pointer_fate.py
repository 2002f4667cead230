"""What becomes of a pointer in a function: on which ways it is freed, kept, handed on, or lost.

Each way through the code is followed with what registers and stack slots hold on that way, so that
an error path which jumps to ``kfree()`` is told from one that returns. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.calling_convention import ARGUMENTS, CALLEE_SAVED
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, READ, REGISTER
from oopsight.kernel.machine_code import (
    BELOW_ERRORS,
    FRAME,
    KEEP_FLAGS,
    MASK,
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    at_entry,
    compared_number,
    direct_target,
    lowers,
    memory_place,
    register_of,
    result_of,
    stores,
)

FREES, KEEPS, USES, RETURNS = "frees", "keeps", "uses", "returns"
Does = Callable[[int | None, str], str]
"""What a function, ``None`` for one that a pointer tells, does with the pointer that it gets in a
register; :data:`RETURNS` for one that a jump leads to in place of a return."""

_MOST_STATES = 4000
_MOVES = ("mov", "movabs", "lea", "cmp", "test", "push", "pop", "nop", "endbr64", "leave")
_STEPS = ("add", "sub")
"""With a number, they go on within what it points to."""
_ZERO, _ERROR = "zero", "error"


class Fate(NamedTuple):
    """What can become of the pointer."""

    lost: tuple[int, ...]
    """Where the function returns, or makes the same call again, and nothing has the pointer."""
    freed: bool
    kept: bool
    """Whether it is stored in memory or handed to somebody who may keep it, on some way."""
    returned: bool
    places: frozenset[Expression | None]
    """Where it is stored; ``None``: in an array, or where the code does not tell."""


class _State(NamedTuple):
    at: int
    held: frozenset[tuple[str, bool]]
    """Registers and slots that hold an address within what it points to, and whether that is it.

    How far within does not matter: a loop that fills an array comes to thousands of places.
    """
    compared: str | None
    """What the flags tell of it: whether it is zero, or an error code."""
    kept: bool


def fate(
    function: Function, begin: int, value: Expression, does: Does, *, counted: bool = False
) -> Fate | None:
    """Follow a pointer.

    :param begin: where in the code to begin, with the pointer in the registers
    :param counted: to take a count of references down is as good as to free
    :return: ``None`` if there are too many ways
    """
    return _Walk(function, value, does, counted=counted).walk(begin)


class _Walk:
    def __init__(
        self, function: Function, value: Expression, does: Does, *, counted: bool = False
    ) -> None:
        self._counted = counted
        self._function = function
        self._value = value
        self._does = does
        self._lost: set[int] = set()
        self._freed = self._kept = self._returned = False
        self._places: set[Expression | None] = set()

    def walk(self, begin: int) -> Fate | None:
        waiting: list[tuple[int, Registers, str | None, bool]] = []
        waiting.append((begin, dict(self._function.registers(begin)), None, False))
        seen: set[_State] = set()
        while waiting:
            at, registers, compared, kept = waiting.pop()
            instruction = self._function.code.get(at)
            state = _State(at, self._held(registers), compared, kept)
            if instruction is None or state in seen:
                continue
            if len(seen) > _MOST_STATES:
                return None
            seen.add(state)
            after = dict(registers)
            goes_on, kept = self._step(instruction, registers, after, kept=kept)
            if not goes_on:
                continue
            flags = self._flags(instruction, registers, compared)
            waiting += [
                (there, after, flags, kept)
                for there in self._function.ways(instruction)
                if not self._excluded(instruction, there, compared)
            ]
        return Fate(
            tuple(sorted(self._lost)),
            self._freed,
            self._kept,
            self._returned,
            frozenset(self._places),
        )

    def _held(self, registers: Registers) -> frozenset[tuple[str, bool]]:
        value = self._value
        return frozenset((k, v == value) for k, v in registers.items() if v.base == value.base)

    def _holds(self, registers: Registers, name: str | None) -> bool:
        known = registers.get(name or "")
        return known is not None and known.base == self._value.base

    def _step(
        self, instruction: Instruction, registers: Registers, after: Registers, *, kept: bool
    ) -> tuple[bool, bool]:
        """Whether the way goes on behind an instruction, and whether somebody has the pointer."""
        name = instruction.mnemonic
        if name == "ret":
            self._ends(instruction, registers, kept=kept)
            return False, kept
        leaves = name == "jmp" and not self._function.ways(instruction)
        if leaves and self._does(direct_target(instruction), "") == RETURNS:
            self._ends(instruction, registers, kept=kept)
            return False, kept
        if name == "call" or leaves:
            if result_of(instruction.address).base == self._value.base:
                self._lose(instruction, kept=kept)
                return False, kept
            done = self._call(instruction, registers)
            if done is not None:
                self._freed = self._freed or done == FREES
                self._kept = self._kept or done == KEEPS
                if done == FREES:
                    return False, kept
                kept = kept or done == KEEPS
            if leaves:
                # Else it jumps to a part of its own that lies elsewhere.
                if self._returns(registers):
                    self._lose(instruction, kept=kept)
                return False, kept
            after_call(instruction, after)
            return True, kept
        if self._counted and self._puts(instruction, registers):
            self._freed = True
            return False, kept
        if not name.startswith("j"):
            if self._stored(instruction, registers):
                self._kept = kept = True
            assign(instruction, after)
        return True, kept

    def _puts(self, instruction: Instruction, registers: Registers) -> bool:
        """Whether it takes a count in the object down, as ``refcount_dec_and_test()`` does."""
        if instruction.mnemonic != "xadd" or not lowers(instruction, registers):
            return False
        place = memory_place(instruction, registers)
        return place is not None and place.base == self._value.base

    def _ends(self, instruction: Instruction, registers: Registers, *, kept: bool) -> None:
        if self._holds(registers, "rax"):
            self._returned = True
        else:
            self._lose(instruction, kept=kept)

    def _lose(self, instruction: Instruction, *, kept: bool) -> None:
        if not kept:
            self._lost.add(instruction.address)

    @staticmethod
    def _returns(registers: Registers) -> bool:
        """Whether the registers are the caller's again."""
        return registers.get("rsp") == Expression(FRAME, -8 & MASK) and all(
            registers.get(name) == at_entry(name) for name in CALLEE_SAVED
        )

    def _call(self, instruction: Instruction, registers: Registers) -> str | None:
        """What is done with the pointer by a call; ``None`` where it does not get it."""
        target = direct_target(instruction)
        done = {self._does(target, r) for r in ARGUMENTS if self._holds(registers, r)}
        local = any(registers.get(r, self._value).base == FRAME for r in ARGUMENTS)
        if local and any(k.startswith("@") for k, _ in self._held(registers)):
            # It is in a variable on the stack whose address may be handed over.
            done.add(self._does(target, "rsp"))
        return next((one for one in (FREES, KEEPS, USES) if one in done), None)

    def _stored(self, instruction: Instruction, registers: Registers) -> bool:
        """Whether it gets to memory other than the own stack, or into a number computed of it."""
        operands = instruction.operands
        sources = [register_of(o.reg) for o in operands if o.type == REGISTER and o.access & READ]
        if instruction.mnemonic == "lea":
            indexed = [register_of(o.mem.indexed) for o in operands if o.type == MEMORY]
            return any(self._holds(registers, name) for name in indexed)
        if not any(self._holds(registers, name) for name in sources):
            return False
        if not stores(instruction):
            cleared = instruction.mnemonic == "xor" and len(set(sources)) == 1 < len(sources)
            steps = instruction.mnemonic in _STEPS and operands[-1].type == IMMEDIATE
            return instruction.mnemonic not in _MOVES and not cleared and not steps
        place = memory_place(instruction, registers)
        if place is not None and place.base in (FRAME, self._value.base):
            return False
        self._places.add(place)
        return True

    def _flags(
        self, instruction: Instruction, registers: Registers, compared: str | None
    ) -> str | None:
        """What the flags tell of the pointer behind an instruction."""
        if instruction.mnemonic in (*KEEP_FLAGS, "jmp"):
            return compared
        found = compared_number(instruction)
        if found is None or registers.get(found[0]) != self._value:
            return None
        return {0: _ZERO, BELOW_ERRORS: _ERROR}.get(found[1])

    @staticmethod
    def _excluded(instruction: Instruction, there: int, compared: str | None) -> bool:
        """Whether a way is taken only where nothing was allocated."""
        jumps = {
            (_ZERO, "je"): True,
            (_ZERO, "jne"): False,
            (_ERROR, "ja"): True,
            (_ERROR, "jbe"): False,
        }
        failed = jumps.get((compared or "", instruction.mnemonic))
        return failed is not None and (there == direct_target(instruction)) == failed
