"""A stack through a trampoline of ftrace goes on where the registers say that it was traced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from handmade_memory import BASE, Kernel

from oopsight.kernel.detours import follow, resumes_at

TRACED = 0xFFFFFFFF81000000
TRAMPOLINE = 0xFFFFFFFFC0000000
_NAMES = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss"
_ORDER = _NAMES.split()
_SIZE = 8 * len(_ORDER)
_CALLER = BASE + 0x400
"""The stack of whoever called the traced function."""


def _kernel(at: int, **registers: int) -> Kernel:
    """Registers saved at an address of the stack, and two functions."""
    kernel = Kernel()
    kernel.struct("pt_regs", **dict.fromkeys(_ORDER, kernel.word))
    for number, name in enumerate(_ORDER):
        place = at - BASE + 8 * number
        kernel.data[place : place + 8] = registers.get(name, 0).to_bytes(8, "little")

    def find(
        prog: drgn.Program, name: str | None, address: int | None, one: bool
    ) -> list[drgn.Symbol]:
        found = drgn.Symbol(
            "kstrdup", TRACED, 0x60, drgn.SymbolBinding.GLOBAL, drgn.SymbolKind.FUNC
        )
        return [found] if address is not None and TRACED <= address < TRACED + 0x60 else []

    kernel.prog.register_symbol_finder("made", find, enable_index=0)
    return kernel


def _frame(pc: int, sp: int, *, interrupted: bool = False, **held: int) -> Any:
    return SimpleNamespace(pc=pc, sp=sp, interrupted=interrupted, registers=lambda: held)


@pytest.mark.parametrize(("code_segment", "rbx"), [(0x10, 7), (0, 9)], ids=["all saved", "some"])
def test_the_traced_function_follows_with_its_registers(code_segment: int, rbx: int) -> None:
    saved = _CALLER - _SIZE - 16
    kernel = _kernel(saved, ip=TRACED + 1, sp=_CALLER, bx=7, cs=code_segment)
    inner = [_frame(TRACED + 9, saved - 64), _frame(TRAMPOLINE, saved, rbx=9)]
    found = follow(kernel.prog, [*inner, _frame(0, 0)], 8)
    assert found[:2] == inner
    assert (found[2].pc, found[2].sp, found[2].register("rbx")) == (TRACED + 1, _CALLER, rbx)
    assert resumes_at(kernel.prog, saved) == TRACED + 1


@pytest.mark.parametrize(
    ("ip", "sp"),
    [(TRACED + 1, _CALLER + 0x200), (TRACED + 1, BASE), (0x1000, _CALLER)],
    ids=["another stack", "further in", "no code"],
)
def test_other_words_are_no_registers(ip: int, sp: int) -> None:
    saved = _CALLER - _SIZE
    kernel = _kernel(saved, ip=ip, sp=sp, cs=0x10)
    frames = [_frame(TRACED + 9, saved - 64), _frame(TRAMPOLINE, saved), _frame(0, 0)]
    assert follow(kernel.prog, frames, 8) == frames
    assert resumes_at(kernel.prog, saved) is None


def test_a_bad_program_counter_is_no_detour() -> None:
    saved = _CALLER - _SIZE
    kernel = _kernel(saved, ip=TRACED, sp=_CALLER, cs=0x10)
    frames = [_frame(TRAMPOLINE, saved, interrupted=True), _frame(TRACED + 9, saved)]
    assert follow(kernel.prog, frames, 8) == frames
