"""From the frames of a backtrace to contexts: the code, the call and the registers of each."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence

from oopsight.cheap import dataclass
from oopsight.evidence.flow import Reader
from oopsight.evidence.flow.code import LONGEST_FUNCTION, Function, function
from oopsight.evidence.flow.instructions import (
    CALLEE_SAVED,
    Instruction,
    Memory,
    decode,
    whole_register,
)
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.trace import Tracer
from oopsight.kernel.calling_convention import NEVER_RETURN

# Several functions may call each other as their last act and leave no frame between two calls.
MOST_TAIL_CALLS = 3
_MOST_JUMPS = 8
_MOST_OF_A_FUNCTION = 4096
_ENDBR = 4
_THUNK = "x86_indirect"
_THUNK_SIZE = 32


@dataclass(frozen=True)
class PhysicalFrame:
    """A frame as the unwinder gives it."""

    index: int
    """In the backtrace."""
    pc: int
    """Of the instruction that faulted, or the return address."""
    sp: int
    registers: dict[str, int]
    faulted: bool
    """``pc`` is an instruction's own address, not a return address."""
    no_code: bool = False
    """The machine jumped here and nothing was carried out: ``pc`` is a bad pointer."""


class Calls:
    """Contexts of a backtrace, made on demand."""

    def __init__(
        self,
        reader: Reader,
        frames: Sequence[PhysicalFrame],
        segments: dict[str, int],
        functions: dict[int, Function | None] | None = None,
    ) -> None:
        """Take what the unwinder gives.

        :param functions: those decoded before, by an address in them; more will be added
        """
        self.reader = reader
        self.tracer = Tracer(reader, self.function)
        self.frames = frames
        self.segments = segments
        self._contexts: dict[int, Context | None] = {}
        self._functions = {} if functions is None else functions

    def function(self, address: int) -> Function | None:
        """The function that holds an address, with its part moved aside."""
        if address not in self._functions:
            self._functions[address] = self._function(address)
        return self._functions[address]

    def _function(self, address: int) -> Function | None:
        found = self.reader.function(address)
        if found is None:
            return None
        name, start, size = found
        if name.endswith(".cold"):
            parent = self.reader.named(name.removesuffix(".cold"), near=start)
            if parent is None:
                return None
            name, start, size = parent
        parts = [(start, size)]
        cold = self.reader.named(f"{name}.cold", near=start)
        if cold is not None:
            parts.append(cold[1:])
        code = [(at, self.reader.read(at, min(length, LONGEST_FUNCTION))) for at, length in parts]
        if code[0][1] is None or not size:
            return None
        return function(name, *((at, data) for at, data in code if data), returns=self._returns)

    def _returns(self, target: int) -> bool:
        found = self.reader.function(target)
        return found is None or found[1] != target or found[0] not in NEVER_RETURN

    def context(self, position: int) -> Context | None:
        """The context of the frame at a position of :attr:`frames`."""
        if position not in self._contexts:
            self._contexts[position] = None  # a frame cannot be its own caller
            self._contexts[position] = self._make(position)
        return self._contexts[position]

    def _make(self, position: int) -> Context | None:
        if position >= len(self.frames):
            return None
        frame = self.frames[position]
        code = self.function(frame.pc if frame.faulted else frame.pc - 1)
        if code is None:
            return None
        at = code.index(frame.pc) if frame.faulted else _call_before(code, frame.pc)
        if at is None:
            return None
        registers = dict(frame.registers)
        if not frame.faulted:
            beyond = position and self.frames[position - 1].no_code
            if beyond:
                # The call was the last instruction: every register is as it was then.
                registers = dict(self.frames[position - 1].registers)
            registers = {
                name: value for name, value in registers.items() if beyond or name in CALLEE_SAVED
            }
            inner = self.context(position - 1) if position and not beyond else None
            if inner is not None:
                for name, value in self.tracer.saved_registers(inner).items():
                    registers.setdefault(name, value)
        outer = self.frames[position + 1] if position + 1 < len(self.frames) else None
        if outer is not None and code.alignment:
            code = _aligned(code, at, outer.sp - frame.sp)
        depth = code.depth[at]
        base = outer.sp if outer is not None else None if depth is None else frame.sp + depth
        registers["rsp"] = frame.sp
        context = Context(
            function=code,
            at=at,
            registers=registers,
            base=base,
            frame=frame.index,
            segments=self.segments,
        )
        context.caller = functools.cache(lambda: self._caller(context, position))
        context.beyond = functools.partial(self.context, position + 1)
        return context

    def jump_nowhere(self) -> tuple[Context, str | Memory] | None:
        """Where the machine took a program counter at which there is no code.

        :return: the context that called or jumped, and the register or memory that it took the
            address from
        """
        outer = self.context(1)
        if not self.frames or not self.frames[0].no_code or outer is None:
            return None
        call = outer.function.instructions[outer.at]
        taken = self.taken_from(call)
        # Who was called may have jumped on as its last act, with other registers than at the call.
        kept = {name: outer.registers[name] for name in CALLEE_SAVED if name in outer.registers}
        before = Context(
            function=outer.function,
            at=outer.at,
            registers=kept,
            base=outer.base,
            frame=outer.frame,
            caller=outer.caller,
            segments=self.segments,
        )
        start = None if taken is None else self._value_of(before, taken)
        if start is not None and 0 < self.frames[0].pc - start < _MOST_OF_A_FUNCTION:
            return None  # it was right, and what it led to was taken away while it ran
        target = self.target_of(before)
        return self._jumped_nowhere(outer, target) or (None if taken is None else (outer, taken))

    def _jumped_nowhere(
        self, outer: Context, target: int | None
    ) -> tuple[Context, str | Memory] | None:
        """The only jump of a called function by which it can have come where no code is."""
        code = None if target is None else self.function(target)
        if code is None:
            return None
        registers = self.frames[0].registers
        jumps = [
            (index, taken)
            for index, row in enumerate(code.instructions)
            if row.is_jump
            and (taken := self.taken_from(row)) is not None
            and (not isinstance(taken, str) or registers.get(taken) in (None, self.frames[0].pc))
        ]
        if len(jumps) != 1:
            return None
        context = Context(
            function=code,
            at=jumps[0][0],
            registers=dict(registers),
            base=self.frames[0].sp + 8,
            frame=self.frames[1].index,
            caller=lambda: outer,
            segments=self.segments,
        )
        return context, jumps[0][1]

    def _is_thunk(self, target: int) -> bool:
        """Whether a call's target only goes on to where a register points.

        Symbols have aliases (``__pi_…``), and the thunks made for modules at run time have none.
        """
        found = self.reader.function(target)
        return found is None or _THUNK in found[0]

    def taken_from(self, row: Instruction) -> str | Memory | None:
        """What an indirect call or jump takes its target from."""
        if not row.operands:
            return None
        operand = row.operands[0]
        if operand.memory is not None:
            return operand.memory
        if operand.register is not None:
            return whole_register(operand.register)
        if row.target is None or not self._is_thunk(row.target):
            return None
        # One symbol may stand for the thunks of all registers: the code says which this is
        # (arch/x86/lib/retpoline.S): "mov [rsp], REGISTER; ret", or patched to "jmp REGISTER".
        found = self.reader.function(row.target)
        size = min(_THUNK_SIZE, found[1] + found[2] - row.target) if found else _THUNK_SIZE
        for step in decode(self.reader.read(row.target, size) or b"", row.target):
            if step.mnemonic == "jmp" and step.operands[0].register:
                return whole_register(step.operands[0].register)
            if step.mnemonic == "mov" and len(step.operands) == 2:
                return whole_register(step.operands[1].register or "")
        return None

    def _caller(self, inner: Context, position: int) -> Context | None:
        """The context that called ``inner``; one that left its frame in between is put there."""
        outer = self.context(position + 1)
        if outer is None:
            return None
        call = outer.function.instructions[outer.at]
        if not call.is_call:
            return None
        target = self.target_of(outer)
        if target is None or _enters(inner.function, target):
            return outer
        return self._through(inner, outer, target)

    def target_of(self, context: Context) -> int | None:
        """The address that a context's call led to; of an indirect one ``None`` if not known."""
        call = context.function.instructions[context.at]
        taken = self.taken_from(call)
        if taken is None:
            return call.target
        target = self._value_of(context, taken)
        # Memory may have changed since: only what begins a function was called.
        found = None if target is None else self.reader.function(target)
        return target if found is not None and found[1] == target else None

    def _value_of(self, context: Context, taken: str | Memory) -> int | None:
        if isinstance(taken, str):
            return self.tracer.value(context, taken, context.at)
        address = self.tracer.address(context, taken, context.at)
        return None if address is None else self.tracer.number(address, 8, signed_=False)

    def _through(self, inner: Context, outer: Context, target: int) -> Context | None:
        """A context for the functions that jumped on, as their last act, to ``inner``."""
        # Which of several ways was taken is not known.
        ways = list(itertools.islice(self._jumps(inner.function, target, MOST_TAIL_CALLS), 2))
        if len(ways) != 1:
            return None
        saved = {name: outer.registers[name] for name in CALLEE_SAVED if name in outer.registers}
        context = outer
        for code, at in ways[0]:
            context = Context(
                function=code,
                at=at,
                registers=dict(saved),
                base=inner.base,
                frame=outer.frame,
                caller=functools.partial(_itself, context),
                segments=self.segments,
            )
        return context

    def _jumps(
        self, last: Function, target: int, left: int
    ) -> Iterator[list[tuple[Function, int]]]:
        """Ways by jumps from a function that is called to another: functions, and where each jumps.

        :param left: how many functions may lie between
        """
        code = self.function(target) if left else None
        if code is None or not _enters(code, target):
            return
        leaving = [
            (index, row.target)
            for index, row in enumerate(code.instructions)
            if row.is_jump and row.target is not None and code.index(row.target) is None
        ]
        direct = [index for index, where in leaving if _enters(last, where)]
        yield from ([(code, index)] for index in direct)
        # A table of hundreds, as of system calls, leads directly.
        for index, where in leaving if not direct and len(leaving) <= _MOST_JUMPS else ():
            yield from ([(code, index), *way] for way in self._jumps(last, where, left - 1))


def _aligned(code: Function, at: int, size: int) -> Function:
    """The function with the depths of this call's frame, which is so large before ``at``."""
    plain = code.aligned(0).depth[at]
    skipped = 0 if plain is None else size - plain
    return code.aligned(skipped) if plain is not None and 0 <= skipped < code.alignment else code


def _itself(context: Context) -> Context:
    return context


def _enters(code: Function, target: int) -> bool:
    """Whether a call to the target enters the function; a direct call may skip ``endbr64``."""
    return target in (code.start, code.start + _ENDBR)


def _call_before(code: Function, return_address: int) -> int | None:
    index = code.index(return_address)
    if index is None:
        # A call that does not return may be the last instruction.
        last = len(code.instructions) - 1
        if last >= 0 and code.instructions[last].end == return_address:
            return last
        return None
    rows = code.instructions
    if index and rows[index - 1].is_call and rows[index - 1].end == return_address:
        return index - 1
    return None
