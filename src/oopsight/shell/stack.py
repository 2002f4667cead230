"""Kernel stacks: the calls, the exceptions between them, and the registers saved by each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import basics

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.sleeping import SleepingStacks

MOST_FRAMES = 512
MOST_KEPT = 100_000
# include/linux/kexec.h: what saves the registers of the panicking CPU, seen from the innermost.
_LAST_CALLS = frozenset(("machine_kexec", "__crash_kexec", "crash_kexec", "panic"))
# Exception stacks of cpu_entry_area (arch/x86/include/asm/cpu_entry_area.h) by entry function.
_EXCEPTION_STACKS = {
    "nmi": "NMI",
    "double_fault": "DOUBLEFAULT",
    "machine_check": "MCE",
    "debug": "DEBUG",
}  # one table
_ENTRY_AREA = 0xFFFFFE00_00000000
_ENTRY_AREA_END = 0xFFFFFE80_00000000


class Call(NamedTuple):
    """One physical frame; calls inlined into it are in ``names.source(pc)``."""

    pc: int
    sp: int
    interrupted: bool
    """The registers were saved by an exception or at the time of the dump, not by a call."""
    frame: Any = None
    """drgn's, of which registers can be had; ``None`` where it was found without drgn."""
    saved: tuple[int, ...] | None = None
    """The words of a ``struct pt_regs`` which may be that of an interrupted call."""

    @property
    def lookup(self) -> int:
        """Address inside the call instruction, by which the function is found."""
        return self.pc if self.interrupted else self.pc - 1

    @property
    def user(self) -> bool:
        """Whether it is in user space."""
        return self.pc >> 63 == 0


def physical_calls(trace: Any) -> Iterator[Call]:
    """The calls of drgn's stack trace, without those that were inlined."""
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
    if key in shell.cache:
        kept: list[Call] = shell.cache[key]
        return kept
    known = basics(task)
    if known is not None and not known.on_cpu:
        if not known.stack:
            return []  # it has exited, and its stack is given back
        quick = _sleeping_stacks(shell).calls(task, known)
        if quick is not None:
            return quick
    calls = list(physical_calls(shell.prog.stack_trace(task)))
    panic = shell.cache.get("panic-task")
    if panic is not None and panic.value_() == task.value_() and calls:
        calls = _with_panic_path(shell, task, calls)
    if len(shell.cache) < MOST_KEPT:
        shell.cache[key] = calls
    return calls


def _sleeping_stacks(shell: Shell) -> SleepingStacks:
    if "sleeping-stacks" not in shell.cache:
        from oopsight.shell.sleeping import SleepingStacks

        shell.cache["sleeping-stacks"] = SleepingStacks(shell.prog, stack_size(shell))
    found: SleepingStacks = shell.cache["sleeping-stacks"]
    return found


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
            for i, c in enumerate(physical_calls(shell.prog.stack_trace(registers)))
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


def stack_change(inner: Call, outer: Call, entry: str, size: int) -> str | None:
    """The name of the stack that is left between two calls, ``None`` where it is the same."""
    if outer.user or inner.sp <= outer.sp < inner.sp + 2 * size:
        return None
    if _ENTRY_AREA <= inner.sp < _ENTRY_AREA_END:
        short = entry.removeprefix("asm_exc_").removeprefix("asm_")
        return f"{_EXCEPTION_STACKS.get(short, short.upper())} exception stack"
    return "IRQ stack"
