"""On which ways a function returns with success and has not stored what it stores on others.

Each way is followed with what registers hold on it and what comparisons tell of results. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE, REGISTER
from oopsight.kernel.loop_ends import came_from
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
    call_that_returned,
    compared_number,
    direct_target,
    memory_place,
    register_of,
    result_of,
    stores,
)
from oopsight.kernel.omissions import closure

ALLOCATES, FAILS, FREES, RETURNS, STORES = "allocates", "fails", "frees", "returns", "stores"
Does = Callable[[int | None, str], str | None]
"""What a function does: :data:`STORES` to the field, :data:`FREES` what it gets in a register,
:data:`ALLOCATES`, or :data:`FAILS` always; :data:`RETURNS` for one that a jump leads to in place of
a return."""

_MOST_STATES = 6000
_NEGATIVE_INT = 1 << 31
_MASK_INT = (1 << 32) - 1
_GIVEN = "given"
_WORD = 8
ZERO, SET, ERROR, NEGATIVE = "zero", "set", "error", "negative"
# What a jump tells of the result that was compared, where it is taken and where it is not.
_TELLS = {
    (ZERO, "je"): (ZERO, SET),
    (ZERO, "jne"): (SET, ZERO),
    **dict.fromkeys(((ZERO, "js"), (ZERO, "jl")), (NEGATIVE, None)),
    **dict.fromkeys(((ZERO, "jns"), (ZERO, "jge")), (None, NEGATIVE)),
    (ERROR, "ja"): (ERROR, None),
    (ERROR, "jbe"): (None, ERROR),
}
_CONTRARY = {
    ZERO: (SET, ERROR, NEGATIVE),
    SET: (ZERO,),
    ERROR: (ZERO,),
    NEGATIVE: (ZERO,),
}


class State(NamedTuple):
    """What a way has come to."""

    at: int
    stored: bool
    got: frozenset[str]
    """What it has got of what it stores elsewhere, or stores to."""
    known: frozenset[tuple[str, str]]
    """What is known of results."""
    compared: tuple[str, str] | None
    """The result that the flags tell of, and what it was compared with."""


def skipped(function: Function, key: int, does: Does) -> tuple[int, ...]:
    """Where it returns with success although it has what belongs in the field.

    It has got that, or what has the field, by a call on that very way.

    :param key: the field's offset as the code has it, or the variable's address
    :return: none as well where there are too many ways
    """
    return _Walk(function, key, does).walk()


def left_out(function: Function, offset: int, size: int, does: Does) -> tuple[int, ...]:
    """Where it returns with success and has made an object of which it has left out a part.

    :param offset: of the part, in the object
    :param size: of the part, in bytes
    :param does: :data:`STORES` for what sets up that to which its first argument points
    :return: none as well where there are too many ways
    """
    return _Making(function, offset, size, does).walk()


def unfinished(
    function: Function, begins: Collection[int], inside: int, does: Does
) -> tuple[int, ...]:
    """Where it returns, however that be, and has not set up a member of what it was given.

    :param begins: of the member, from what it was given
    :param inside: how far in the member is what must have been stored to, in bytes
    :param does: :data:`STORES` for what sets up that to which one of its arguments points
    :return: none as well where there are too many ways
    """
    return _Given(function, begins, inside, does).walk()


def hollow(function: Function, key: int, does: Does) -> tuple[int, ...]:
    """Where it says that all went well, and what it has put into the field is known to be NULL.

    :param key: the field's offset as the code has it, or the variable's address
    :return: none as well where there are too many ways
    """
    return _Hollow(function, key, does).walk()


def silent(function: Function, key: int, does: Does, *, number: bool = False) -> tuple[int, ...]:
    """Where it says that all went well, and has not put a pointer into the field of what it has.

    Of a function that on other ways puts it there, and on others says that it has failed.

    :param key: the field's offset as the code has it, or the variable's address
    :param number: whether it is a number that it stores there; then it need not fail at all
    :return: none as well where there are too many ways
    """
    walk = _Silent(function, key, does, number=number)
    found = walk.walk()
    # One that returns pointers has failed where it returns NULL.
    found = tuple(at for at in found if walk.well or at not in walk.empty)
    return found if walk.fails or number else ()


class _Walk:
    def __init__(self, function: Function, key: int, does: Does) -> None:
        self._function = function
        self._key = key
        self._does = does
        self._wanted: set[str] = set()
        for at, instruction in function.code.items():
            self._wanted |= self._belongs(instruction, function.registers(at))

    def walk(self) -> tuple[int, ...]:
        start = self._function.start
        found: set[int] = set()
        first = State(start, False, frozenset(), frozenset(), None)
        waiting = [(first, dict(self._function.registers(start)))] if self._wanted else []
        seen: set[tuple[State, frozenset[tuple[str, Expression]]]] = set()
        while waiting:
            state, registers = waiting.pop()
            instruction = self._function.code.get(state.at)
            key = (state, results(registers))
            if instruction is None or key in seen or self._is_over(state):
                continue
            if len(seen) > _MOST_STATES:
                return ()
            seen.add(key)
            ways = self._function.ways(instruction)
            if instruction.mnemonic == "ret" or (instruction.mnemonic == "jmp" and not ways):
                if self._succeeds(instruction, registers, state):
                    found.add(instruction.address)
                continue
            after, registers = self._step(instruction, state, dict(registers))
            for there in ways:
                known = told(instruction, there, state)
                if known is not None:
                    lost = {base for base, what in known if what in (ZERO, ERROR)}
                    gone = after._replace(at=there, got=after.got - lost, known=known)
                    waiting.append((gone, registers))
        return tuple(sorted(found))

    def _belongs(self, instruction: Instruction, registers: Registers) -> set[str]:
        """The results that an instruction puts into the field, and new ones that have the field."""
        if instruction.mnemonic in ("call", "jmp"):
            if self._does(direct_target(instruction), "") != STORES:
                return set()
            values = [registers.get(name) for name in ARGUMENTS]
        elif self._stores(instruction, registers):
            values = [registers.get(register_of(instruction.operands[1].reg) or "")]
            place = memory_place(instruction, registers)
            if place is not None and self._returned_by(place) == ALLOCATES:
                values.append(place)
        else:
            return set()
        return {one.base for one in values if one is not None and is_result(one)}

    def _stores(self, instruction: Instruction, registers: Registers) -> bool:
        """Whether it puts a pointer into the field."""
        operands = instruction.operands
        if instruction.mnemonic != "mov" or not stores(instruction) or operands[0].size != 8:
            return False
        if operands[1].type == IMMEDIATE:
            return False
        source = registers.get(register_of(operands[1].reg) or "")
        place = memory_place(instruction, registers)
        memory = operands[0].mem
        if source == Expression("", 0) or memory.indexed or memory.segment:
            return False
        if place is None or place.base not in ("", FRAME):
            return memory.disp & MASK == self._key
        return place == Expression("", self._key)

    def _step(
        self, instruction: Instruction, state: State, registers: Registers
    ) -> tuple[State, Registers]:
        if instruction.mnemonic == "call":
            return self._call(instruction, state, registers)
        if instruction.mnemonic.startswith("j"):
            return state, registers
        stored = state.stored or self._stores(instruction, registers)
        flags = compared(instruction, registers, state.compared)
        assign_all(instruction, registers)
        return state._replace(stored=stored, compared=flags), registers

    def _call(
        self, instruction: Instruction, state: State, registers: Registers
    ) -> tuple[State, Registers]:
        target = direct_target(instruction)
        got = set(state.got)
        for name in ARGUMENTS:
            held = registers.get(name)
            if held is not None and held.base in got and self._does(target, name) == FREES:
                got.remove(held.base)
        result = result_of(instruction.address).base
        left = {name: one for name, one in registers.items() if one.base != result}
        after_call(instruction, left)
        known = frozenset(one for one in state.known if one[0] != result)
        if result in self._wanted:
            got.add(result)
        stored = state.stored or self._sets(instruction, registers)
        return State(state.at, stored, frozenset(got), known, None), left

    def _is_over(self, state: State) -> bool:
        """Whether nothing more is to be learnt on a way."""
        return state.stored

    def _sets(self, call: Instruction, registers: Registers) -> bool:  # noqa: ARG002  # others do
        """Whether a call has the field set."""
        return self._does(direct_target(call), "") == STORES

    def _succeeds(self, instruction: Instruction, registers: Registers, state: State) -> bool:
        """Whether a way ends with success and without what was to be stored."""
        if not state.got:
            return False
        if instruction.mnemonic == "jmp":
            target = direct_target(instruction)
            does = self._does(target, "")
            given = [r for r in ARGUMENTS if r in registers and registers[r].base in state.got]
            freed = {self._does(target, register) for register in given}
            if does != RETURNS:
                return target is not None and does is None and FREES not in freed
        result = registers.get("rax")
        if result is None:
            return False
        if not result.base:
            return not result.offset & _NEGATIVE_INT
        if not is_result(result):
            return False
        known = {what for base, what in state.known if base == result.base}
        if result.base in self._wanted:
            return not known & {ZERO, ERROR}
        failing = self._returned_by(result) == FAILS
        return not failing and not known & {SET, ERROR, NEGATIVE}

    def _returned_by(self, value: Expression) -> str | None:
        """What the function does that has returned a value."""
        site = call_that_returned(value)
        called = self._function.code.get(site) if site is not None else None
        return self._does(direct_target(called), "") if called is not None else None


class _Making(_Walk):
    """The ways of a function that makes objects: what it wants are these."""

    def __init__(self, function: Function, offset: int, size: int, does: Does) -> None:
        self._part = range(offset, offset + size)
        super().__init__(function, offset, does)

    def _belongs(self, instruction: Instruction, _: Registers) -> set[str]:
        makes = instruction.mnemonic == "call"
        makes = makes and self._does(direct_target(instruction), "") == ALLOCATES
        return {result_of(instruction.address).base} if makes else set()

    def _stores(self, instruction: Instruction, registers: Registers) -> bool:
        place = memory_place(instruction, registers) if stores(instruction) else None
        return self._is_part(place)

    def _sets(self, call: Instruction, registers: Registers) -> bool:
        return super()._sets(call, registers) and self._is_part(registers.get("rdi"))

    def _is_part(self, place: Expression | None) -> bool:
        return place is not None and place.base in self._wanted and place.offset in self._part


class _Given(_Walk):
    """The ways of a function that sets up a member of what it was given."""

    def __init__(
        self, function: Function, begins: Collection[int], inside: int, does: Does
    ) -> None:
        self._begins = begins
        self._places = {begin + inside for begin in begins}
        super().__init__(function, next(iter(begins)), does)

    def _belongs(self, instruction: Instruction, registers: Registers) -> set[str]:
        calls = instruction.mnemonic in ("call", "jmp")
        does = self._sets if calls else self._stores
        return {instruction.mnemonic} if does(instruction, registers) else set()

    def _stores(self, instruction: Instruction, registers: Registers) -> bool:
        place = memory_place(instruction, registers) if stores(instruction) else None
        return self._is_given(place) and place is not None and place.offset in self._places

    def _sets(self, call: Instruction, registers: Registers) -> bool:
        if not super()._sets(call, registers):
            return False
        given = (registers.get(name) for name in ARGUMENTS)
        return any(self._is_given(one) and one.offset in self._begins for one in given if one)

    @staticmethod
    def _is_given(place: Expression | None) -> bool:
        return place is not None and place.base not in ("", FRAME) and not is_result(place)

    def _succeeds(self, instruction: Instruction, registers: Registers, _: State) -> bool:
        return instruction.mnemonic == "ret" or not self._sets(instruction, registers)


class _Hollow(_Walk):
    """The ways of a function that stores what a call returned, and looks whether that is NULL."""

    def __init__(self, function: Function, key: int, does: Does) -> None:
        self._put: set[str] = set()
        super().__init__(function, key, does)

    def _belongs(self, instruction: Instruction, registers: Registers) -> set[str]:
        # Where a loop goes on from entry to entry, only its ways tell where that is stored.
        result = self._result(instruction, registers)
        return {result.base} if result is not None else set()

    @staticmethod
    def _result(instruction: Instruction, registers: Registers) -> Expression | None:
        """What a call returned, and is stored as it is."""
        if instruction.mnemonic != "mov" or not stores(instruction):
            return None
        operand = instruction.operands[1]
        value = registers.get(register_of(operand.reg) or "") if operand.type == REGISTER else None
        whole = instruction.operands[0].size == _WORD and value is not None and not value.offset
        return value if whole and value is not None and is_result(value) else None

    def _stores(self, instruction: Instruction, registers: Registers) -> bool:
        result = self._result(instruction, registers)
        place = memory_place(instruction, registers) if result is not None else None
        if result is None or place is None or place.base == FRAME:
            return False
        known = {place.offset, instruction.operands[0].mem.disp & MASK}
        if self._key in known:
            self._put.add(result.base)
        return self._key in known

    def _is_over(self, _: State) -> bool:
        return False

    def _call(
        self, instruction: Instruction, state: State, registers: Registers
    ) -> tuple[State, Registers]:
        # Who frees something has given up, whatever it returns.
        if self._does(direct_target(instruction), "rdi") == FREES:
            state = state._replace(got=state.got | {FREES})
        return super()._call(instruction, state, registers)

    def _succeeds(self, instruction: Instruction, registers: Registers, state: State) -> bool:
        result = registers.get("rax")
        if instruction.mnemonic == "jmp" or result is None or result.base or not state.stored:
            return False
        if FREES in state.got:
            return False
        empty = any((base, ZERO) in state.known for base in self._put)
        return empty and not result.offset & _NEGATIVE_INT


class _Silent(_Walk):
    """The ways of a function that puts a pointer into what it was given.

    One that stores elsewhere instead has done something else, as it was told to.
    """

    fails = False
    well = False
    """Whether it says zero where it has stored the pointer."""

    def __init__(self, function: Function, key: int, does: Does, *, number: bool) -> None:
        self._number = number
        self.empty: set[int] = set()
        """Where it returns what a call returned that is NULL, as PTR_ERR() makes it success."""
        super().__init__(function, key, does)
        code = function.code.items()
        puts = [at for at, one in code if self._puts(one, function.registers(at))]
        self._before = closure(puts, came_from(function))

    def _is_over(self, _: State) -> bool:
        return False  # how it says that it failed, one that has stored may tell

    def _puts(self, instruction: Instruction, registers: Registers) -> bool:
        puts = instruction.mnemonic == "mov" and self._is_field(instruction, registers)
        place = memory_place(instruction, registers) if puts else None
        return place is not None and place.base not in ("", FRAME) and not is_result(place)

    def _is_field(self, instruction: Instruction, registers: Registers) -> bool:
        if not self._number or not stores(instruction):
            return super()._stores(instruction, registers)
        operand = instruction.operands[0]
        return 0 <= self._key - (operand.mem.disp & MASK) < operand.size

    def _belongs(self, instruction: Instruction, registers: Registers) -> set[str]:
        return {_GIVEN} if self._puts(instruction, registers) else set()

    def _stores(self, instruction: Instruction, registers: Registers) -> bool:
        if self._puts(instruction, registers):
            return True
        place = memory_place(instruction, registers) if stores(instruction) else None
        elsewhere = place is not None and place.base != FRAME
        return elsewhere and instruction.address not in self._before

    def _succeeds(self, instruction: Instruction, registers: Registers, state: State) -> bool:
        result = registers.get("rax")
        if instruction.mnemonic == "jmp" or result is None:
            return False
        known = {what for base, what in state.known if base == result.base}
        negative = not result.base and result.offset & _NEGATIVE_INT
        self.fails = self.fails or bool(negative or known & {SET, ERROR, NEGATIVE})
        zero = not result.base and not result.offset & _MASK_INT
        self.well = self.well or (state.stored and zero)
        if is_result(result) and not result.offset and ZERO in known:
            self.empty.add(instruction.address)
            zero = True
        return not state.stored and zero


def results(registers: Registers) -> frozenset[tuple[str, Expression]]:
    """What can tell two ways apart."""
    return frozenset(
        (name, one) for name, one in registers.items() if not one.base or is_result(one)
    )


def is_result(value: Expression) -> bool:
    """Whether it is what a call returned, or an address counted from there."""
    return call_that_returned(value) is not None


def assign_all(instruction: Instruction, registers: Registers) -> None:
    """As :func:`assign`; copies of 32 bits are kept as well."""
    operands = instruction.operands
    value = None
    both = len(operands) == 2 and operands[0].type == operands[1].type == REGISTER
    if both and instruction.mnemonic in ("mov", "movsxd"):
        value = registers.get(register_of(operands[1].reg) or "")
    assign(instruction, registers)
    name = register_of(operands[0].reg) if both else None
    if value is not None and name is not None:
        registers[name] = value


def compared(
    instruction: Instruction, registers: Registers, before: tuple[str, str] | None
) -> tuple[str, str] | None:
    """The result that the flags tell of behind an instruction."""
    if instruction.mnemonic in KEEP_FLAGS:
        return before
    found = compared_number(instruction)
    value = registers.get(found[0]) if found is not None else None
    if found is None or value is None or value.offset or not is_result(value):
        return None
    what = {0: ZERO, BELOW_ERRORS: ERROR}.get(found[1])
    return (value.base, what) if what is not None else None


def told(instruction: Instruction, there: int, state: State) -> frozenset[tuple[str, str]] | None:
    """What is known on a way behind an instruction; ``None`` where nothing can go that way."""
    if state.compared is None or not instruction.mnemonic.startswith("j"):
        return state.known
    base, compared = state.compared
    tells = _TELLS.get((compared, instruction.mnemonic))
    if tells is None or direct_target(instruction) == instruction.end:
        return state.known
    what = tells[0] if there == direct_target(instruction) else tells[1]
    if what is None:
        return state.known
    if any((base, other) in state.known for other in _CONTRARY[what]):
        return None
    return state.known | {(base, what)}
