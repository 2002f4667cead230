"""Whether a function that waits would go on if it looked now, by carrying out its code.

Where one number decides, :mod:`oopsight.kernel.branches` tells without that. Not a fact by itself:
:mod:`oopsight.evidence.hangs.conditions` makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.modules import Module
from oopsight.kernel.code_locks import RETURN_THUNKS, Function
from oopsight.kernel.machine_code import Expression, Instruction, direct_target, memory_place
from oopsight.kernel.run_through import Machine, Read

_WAITED = ("finish_wait", "finish_swait")
_ZERO = ("prepare_to_wait_event",)
"""Functions that return zero to who sleeps uninterruptibly."""


class GoesOn:
    """The code from a wait that is over to the next one, or out of its loop.

    :param pc: where the function goes on when it is woken
    :param registers: those that are known there
    """

    def __init__(
        self,
        reader: StackReader,
        module: Module,
        function: Function,
        pc: int,
        registers: Mapping[str, int],
    ) -> None:
        self._reader = reader
        self._module = module
        self._function = function
        self._pc = pc
        self._registers = registers

    def asked(self, patch: Mapping[int, bytes] | None = None) -> tuple[bool | None, list[Read]]:
        """Whether it would go on, and what it reads for that; ``None``: that is not known.

        :param patch: what is to be in memory in place of what is there
        """
        machine = Machine(
            self._inner, self._result, self._returns, self._memory, self._registers, patch
        )
        code = self._function.code
        sleeps = [at for at, row in code.items() if row.end == self._pc and row.mnemonic == "call"]
        over = {at for at, row in code.items() if self._ends(row)}
        end = machine.run(code, self._pc, lambda at: at in sleeps or at in over)
        return (None if end is None else end not in sleeps), machine.reads

    def would(self, one: Read) -> Callable[[int], bool]:
        """Tells whether it would, with another number in place of one that it reads."""
        mask = (1 << 8 * one.size) - 1

        def would(number: int) -> bool:
            return bool(self.asked({one.address: (number & mask).to_bytes(one.size, "little")})[0])

        return would

    def place(self, row: Instruction) -> Expression | None:
        """The memory that an instruction names, as the code of its function has it."""
        _, start, _ = self._reader.names.code(row.address)
        function = self._reader.function(start) if start is not None else None
        return memory_place(row, function.registers(row.address)) if function is not None else None

    def _ends(self, row: Instruction) -> bool:
        target = direct_target(row) if row.mnemonic == "call" else None
        return target is not None and self._name(target) in _WAITED

    def _name(self, target: int) -> str | None:
        return self._reader.names.function_at(target)

    def _inner(self, target: int) -> Mapping[int, Instruction] | None:
        one = self._reader.function(target) if self._module.holds(target) else None
        return one.code if one is not None else None

    def _result(self, target: int) -> int | None:
        return 0 if self._name(target) in _ZERO else None

    def _returns(self, target: int) -> bool:
        return self._name(target) in RETURN_THUNKS

    def _memory(self, address: int, size: int) -> bytes | None:
        from drgn import FaultError

        try:
            return self._reader.read_memory(address, size)
        except (FaultError, OverflowError):
            return None
