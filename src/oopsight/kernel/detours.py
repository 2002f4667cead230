"""Stacks that lead through code which the kernel made at run time: ftrace's and kprobes' (x86-64).

A traced function goes through a trampoline of its tracer's own, a copy of ``ftrace_caller`` or
``ftrace_regs_caller``, or through the detour of a kprobe. No unwind data are of there, but all of
them save the registers of the function that was traced as a ``struct pt_regs`` where they call
from: arch/x86/kernel/ftrace_64.S, arch/x86/kernel/kprobes/opt.c.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drgn import Program, StackFrame

_MOST_DETOURS = 8
_MOST_BETWEEN = 64
"""Bytes from the saved registers to the stack of who was traced: two return addresses and flags."""
_KERNEL = 0x10
"""The code segment, where all registers were saved; ``ftrace_caller`` leaves some as they are."""
_KEPT = {"bx": "rbx", "r12": "r12", "r13": "r13", "r14": "r14", "r15": "r15"}


def follow(prog: Program, frames: list[StackFrame], most: int) -> list[StackFrame]:
    """Go on behind each detour.

    :param frames: as they were unwound, innermost first
    :param most: so many frames are enough
    """
    found: list[StackFrame] = []
    for _ in range(_MOST_DETOURS):
        known = list(takewhile(lambda frame: not _is_made(prog, frame), frames))
        if len(known) == len(frames):
            break
        behind = _behind(prog, frames[len(known)])
        if not behind:
            break
        found += frames[: len(known) + 1]
        frames = behind
    return [*found, *frames][:most]


def _is_made(prog: Program, frame: StackFrame) -> bool:
    """Whether code that has no name called what the frames further in are of."""
    if frame.interrupted or frame.pc < 1 << 63:
        return False
    try:
        prog.symbol(frame.pc)
    except LookupError:
        return True
    return False


def _behind(prog: Program, frame: StackFrame) -> list[StackFrame]:
    """The frames from the traced function on; none where no registers were saved."""
    from drgn import FaultError, Object, offsetof, sizeof

    try:
        kind = prog.type("struct pt_regs")
        saved = _saved(prog, frame.sp)
        if saved is None:
            return []
        raw = bytearray(prog.read(frame.sp, sizeof(kind)))
        held = frame.registers()
        for member, register in _KEPT.items() if saved.cs.value_() != _KERNEL else ():
            at = offsetof(kind, member)
            raw[at : at + 8] = held.get(register, 0).to_bytes(8, "little")
        at = offsetof(kind, "cs")
        raw[at : at + 8] = _KERNEL.to_bytes(8, "little")
        trace = prog.stack_trace(Object.from_bytes_(prog, kind, raw))
    except (FaultError, LookupError, AttributeError, ValueError):
        return []
    return [trace[index] for index in range(len(trace))]


def resumes_at(prog: Program, sp: int) -> int | None:
    """Where the traced function goes on, if a detour called with this stack pointer."""
    from drgn import FaultError

    try:
        saved = _saved(prog, sp)
    except (FaultError, LookupError, AttributeError):
        return None
    return None if saved is None else int(saved.ip.value_())


def _saved(prog: Program, sp: int) -> Any:
    """The ``struct pt_regs`` there; ``None`` where it is none of this stack."""
    from drgn import Object, sizeof

    kind = prog.type("struct pt_regs")
    saved: Any = Object(prog, kind, address=sp)
    above = saved.sp.value_() - sp - sizeof(kind)
    if not 0 <= above <= _MOST_BETWEEN or not _is_function(prog, saved.ip.value_()):
        return None
    return saved


def _is_function(prog: Program, address: int) -> bool:
    from drgn import SymbolKind

    kind = prog.symbol(address).kind
    return address >> 63 == 1 and kind in (SymbolKind.FUNC, SymbolKind.UNKNOWN)
