"""Stacks of ten thousands of sleeping tasks."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from oopsight.kernel.orc import OrcRules, calls
from oopsight.shell.output import readable_errors
from oopsight.shell.registers import WORDS
from oopsight.shell.stack import Call, physical_calls
from oopsight.shell.tasks import Basics


class SleepingStacks:
    """Stacks of tasks that do not run, by the kernel's own unwind tables: 0.03 ms each.

    drgn takes 0.1 ms, with debug information 2 ms. The rule of each program counter is believed
    once drgn has gone the same way over it; where it did not, drgn's way stands.
    """

    def __init__(self, prog: Any, size: int) -> None:
        """Find the kernel's tables.

        :param size: bytes of a stack
        """
        from drgn import offsetof

        self.prog = prog
        self.size = size
        self.proved: set[int] = set()
        self.refuted: set[int] = set()
        self.rules: OrcRules | None = None
        with contextlib.suppress(*readable_errors()):
            self.sp_at = offsetof(prog.type("struct task_struct"), "thread.sp")
            self.rules = OrcRules(prog)

    def calls(self, task: Any, known: Basics) -> list[Call] | None:
        """The calls; ``None`` where drgn itself has to find them."""
        if self.rules is None:
            return None
        end = known.stack + self.size
        try:
            sp = self.prog.read_u64(task.value_() + self.sp_at)
            if not known.stack <= sp < end or sp & 7:
                return None
            data = self.prog.read(sp, end - sp)
            words = struct.unpack(f"<{len(data) // 8}Q", data)
            found = calls(words, sp, self.rules.rule)
        except readable_errors():
            return None
        if found is None:
            return None
        if not all(pc in self.proved for pc, _ in found if pc >> 63):
            if not self.refuted.isdisjoint(pc for pc, _ in found):
                return None
            return self._prove(task, found)
        found_calls = [Call(pc, at, False) for pc, at in found]
        if found_calls[-1].user:
            found_calls[-1] = _from_user(words, sp, found)
        return found_calls

    def _prove(self, task: Any, found: list[tuple[int, int]]) -> list[Call]:
        """What drgn finds; the rules that gave the same are believed from now on."""
        by_drgn = list(physical_calls(self.prog.stack_trace(task)))
        theirs = [(call.pc, call.sp) for call in by_drgn]
        same = next((i for i, one in enumerate(found) if theirs[i : i + 1] != [one]), len(found))
        if same < len(found) or len(theirs) != len(found):
            # The rule of the last call in common led astray.
            self.refuted.update(pc for pc, _ in found[max(0, same - 1) : same])
            same -= 1
        self.proved.update(pc for pc, _ in found[:same])
        self.proved -= self.refuted
        return by_drgn


def _from_user(words: tuple[int, ...], sp: int, found: list[tuple[int, int]]) -> Call:
    """The last call with the registers that were saved on entry, above the last kernel frame."""
    at = (found[-2][1] - sp) // 8
    registers = words[at : at + WORDS]
    return Call(*found[-1], True, saved=registers if len(registers) == WORDS else None)
