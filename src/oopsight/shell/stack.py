"""Kernel stacks: the calls, the exceptions between them, and the registers saved by each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.shell.output import readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell

MOST_FRAMES = 512
MANY = 300
"""Stacks that are unwound with debug information before the quicker way is prepared (1 s)."""
_MASK = (1 << 64) - 1
# include/linux/kexec.h: what saves the registers of the panicking CPU, seen from the innermost.
_LAST_CALLS = frozenset(("machine_kexec", "__crash_kexec", "crash_kexec", "panic"))
# struct pt_regs of x86-64 by the names shown, three a line (arch/x86/include/asm/ptrace.h)
REGISTERS = (
    (("RIP", "ip"), ("RSP", "sp"), ("RFLAGS", "flags")),
    (("RAX", "ax"), ("RBX", "bx"), ("RCX", "cx")),
    (("RDX", "dx"), ("RSI", "si"), ("RDI", "di")),
    (("RBP", "bp"), ("R8", "r8"), ("R9", "r9")),
    (("R10", "r10"), ("R11", "r11"), ("R12", "r12")),
    (("R13", "r13"), ("R14", "r14"), ("R15", "r15")),
)
# Exception stacks of cpu_entry_area (arch/x86/include/asm/cpu_entry_area.h) by entry function.
_EXCEPTION_STACKS = {
    "nmi": "NMI",
    "double_fault": "DOUBLEFAULT",
    "machine_check": "MCE",
    "debug": "DEBUG",
}  # one table
_ENTRY_AREA = 0xFFFFFE00_00000000
_ENTRY_AREA_END = 0xFFFFFE80_00000000


@dataclass(frozen=True)
class Call:
    """One physical frame; calls inlined into it are in ``names.source(pc)``."""

    pc: int
    sp: int
    interrupted: bool
    """The registers were saved by an exception or at the time of the dump, not by a call."""
    frame: Any

    @property
    def lookup(self) -> int:
        """Address inside the call instruction, by which the function is found."""
        return self.pc if self.interrupted else self.pc - 1

    @property
    def user(self) -> bool:
        """Whether it is in user space."""
        return self.pc >> 63 == 0


def _physical(trace: Any) -> Iterator[Call]:
    for index in range(min(len(trace), MOST_FRAMES)):
        frame = trace[index]
        if frame.is_inline:
            continue
        try:
            pc, sp = frame.pc, frame.sp
        except LookupError:
            continue
        yield Call(pc, sp, frame.interrupted, frame)


def stack_bounds(shell: Shell, task: Any) -> tuple[int, int]:
    """The task's stack, start and end.

    :param task: ``struct task_struct *``
    :raises drgn.FaultError: if the task cannot be read
    """
    start = int(task.stack.value_())
    return start, start + stack_size(shell)


def stack_size(shell: Shell) -> int:
    """Bytes of a kernel stack, THREAD_SIZE."""
    if "stack-size" not in shell.cache:
        from drgn import sizeof

        size = 16384
        try:
            size = sizeof(shell.prog["init_thread_union"])
        except LookupError:
            try:
                start = shell.prog.symbol("init_stack").address
                size = shell.prog.symbol("__end_init_stack").address - start
            except LookupError:
                pass
        shell.cache["stack-size"] = size if size in (8192, 16384, 32768, 65536) else 16384
    return int(shell.cache["stack-size"])


def unwind(shell: Shell, task: Any) -> list[Call]:
    """The calls of a task, innermost first.

    A dump made by kdump has the registers of the frame that crashed; the calls of the panic that
    lie below it on the stack are found and put in front.

    :param task: ``struct task_struct *``
    :raises drgn.FaultError: if the stack cannot be read at all
    """
    key = ("unwound", task.value_())
    if key not in shell.cache:
        calls = list(_physical(_unwinder(shell, task).stack_trace(task)))
        panic = shell.cache.get("panic-task")
        if panic is not None and panic.value_() == task.value_() and calls:
            calls = _with_panic_path(shell, task, calls)
        if len(shell.cache) < 100_000:
            shell.cache[key] = calls
    found: list[Call] = shell.cache[key]
    return found


class _Unwinder:
    """The dump seen with the kernel's own symbols alone, without debug information.

    With debug information drgn looks for inlined calls in each frame, 2 ms a stack; the unwind
    tables in the dump itself give the same program counters in 0.05 ms.
    """

    def __init__(self, prog: Any) -> None:
        self.prog = prog

    def stack_trace(self, task: Any) -> Any:
        """Unwind a task of another program of the same dump."""
        from drgn import Object

        return self.prog.stack_trace(Object(self.prog, "struct task_struct *", task.value_()))


def _unwinder(shell: Shell, task: Any) -> Any:
    """What unwinds a task: the program itself, or for many sleeping ones a quicker one."""
    count = shell.cache["stacks-unwound"] = shell.cache.get("stacks-unwound", 0) + 1
    if count <= MANY:
        return shell.prog
    try:
        if int(task.on_cpu.value_()):
            return shell.prog  # its registers are known to the program that has them
    except readable_errors():
        return shell.prog
    if "unwinder" not in shell.cache:
        from oopsight.errors import OopsightError
        from oopsight.session import open_session

        quicker: Any = shell.prog
        # A kernel without types or symbol names of its own is unwound the slow way.
        with contextlib.suppress(OopsightError):
            quicker = _Unwinder(open_session(shell.session.info.path, own_symbols=True).prog)
        shell.cache["unwinder"] = quicker
    return shell.cache["unwinder"]


def _with_panic_path(shell: Shell, task: Any, calls: list[Call]) -> list[Call]:
    first = calls[0]
    name = shell.names.of(first.lookup)
    if name is not None and name.name in _LAST_CALLS:
        return calls
    try:
        start, end = stack_bounds(shell, task)
        if not start <= first.sp <= end:
            return calls
        words = read_words(shell, start, (first.sp - start) // 8)
    except readable_errors():
        return calls
    for index, word in enumerate(words):
        if word is None or not shell.names.is_text(word):
            continue
        found = shell.names.of(word - 1)
        if found is None or found.name not in _LAST_CALLS:
            continue
        extended = unwind_from(shell, word, start + 8 * (index + 1))
        # Only a path that arrives where the dump's registers are is the true one.
        at = next(
            (i for i, c in enumerate(extended) if c.pc == first.pc and c.sp == first.sp), None
        )
        if at is not None:
            return [*extended[:at], *calls]
    return calls


def unwind_from(shell: Shell, pc: int, sp: int) -> list[Call]:
    """Calls from a program counter and a stack pointer on."""
    from drgn import Object

    try:
        registers = Object(shell.prog, "struct pt_regs", {"ip": pc, "sp": sp, "cs": 0x10})
        return [
            Call(c.pc, c.sp, c.interrupted and i > 0, c.frame)
            for i, c in enumerate(_physical(shell.prog.stack_trace(registers)))
        ]
    except readable_errors():
        return []


def read_words(shell: Shell, address: int, count: int) -> list[int | None]:
    """Words of memory; ``None`` where a page is missing."""
    found: list[int | None] = []
    end = address + 8 * count
    while address < end:
        size = min(end, (address | 0xFFF) + 1) - address
        try:
            data = shell.session.read(address, size)
        except readable_errors():
            found += [None] * (size // 8)
        else:
            found += [int.from_bytes(data[i : i + 8], "little") for i in range(0, size - 7, 8)]
        address += size
    return found


def saved_registers(shell: Shell, call: Call, inner: Call | None) -> dict[str, int]:
    """What the exception entry saved of an interrupted call; by pt_regs' member names.

    The entry code's frame ends where the saved ``struct pt_regs`` begins; where no frame of it is
    known they lie below the interrupted stack pointer, aligned by the CPU.
    """
    from drgn import Object, sizeof

    prog = shell.prog
    try:
        size = sizeof(prog.type("struct pt_regs"))
    except LookupError:
        return {}
    places = [(call.sp & ~0xF) - size]
    if inner is not None:
        places.insert(0, inner.sp)
    for place in places:
        try:
            registers = Object(prog, "struct pt_regs", address=place).read_()
            if registers.ip.value_() != call.pc or registers.sp.value_() != call.sp:
                continue
        except readable_errors():
            continue
        return {
            member.name: int(registers.member_(member.name).value_()) & _MASK
            for member in registers.type_.members
            if member.name
        } | {"@": place}
    return {}


def frame_registers(call: Call) -> dict[str, int]:
    """Registers as unwound, by pt_regs' member names; those that are not known left out."""
    try:
        found = call.frame.registers()
    except readable_errors():
        return {}
    renamed = {}
    for name, value in found.items():
        short = name[1:] if name.startswith("r") and not name[1:2].isdigit() else name
        renamed["flags" if short == "flags" else short] = int(value)
    renamed.setdefault("ip", call.pc)
    return renamed


def register_lines(registers: dict[str, int], *, original: bool) -> Iterator[str]:
    """The block of registers.

    :param original: whether ORIG_RAX is known
    """
    for row in REGISTERS:
        parts = []
        for name, key in row:
            value = registers.get(key)
            width = 8 if key == "flags" else 16
            parts.append(f"{name:>3}: {'-' * width if value is None else f'{value:0{width}x}'}")
        yield "    " + "  ".join(parts)
    last = [
        f"{n}: {registers[k] & 0xFFFF:04x}"
        for n, k in (("CS", "cs"), ("SS", "ss"))
        if k in registers
    ]  # one row
    if original and "orig_ax" in registers:
        last.insert(0, f"ORIG_RAX: {registers['orig_ax']:016x}")
    if last:
        yield "    " + "  ".join(last)


def stack_change(inner: Call, outer: Call, entry: str, size: int) -> str | None:
    """The name of the stack that is left between two calls, ``None`` where it is the same."""
    if outer.user or inner.sp <= outer.sp < inner.sp + 2 * size:
        return None
    if _ENTRY_AREA <= inner.sp < _ENTRY_AREA_END:
        short = entry.removeprefix("asm_exc_").removeprefix("asm_")
        return f"{_EXCEPTION_STACKS.get(short, short.upper())} exception stack"
    return "IRQ stack"
