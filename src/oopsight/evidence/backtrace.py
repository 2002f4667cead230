"""The crashed task's backtrace, the exception frame told apart from the panic path."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.modules import Modules
from oopsight.evidence.pointers import FramePointer
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import StackFrame

MOST_FRAMES = 512


class Role(str, Enum):
    """What a frame is to the crash."""

    PANIC_PATH = "panic-path"
    """The kernel dealing with the crash: exception entry, oops, panic."""
    FAULT = "fault"
    """The code that was interrupted by the exception."""
    CALLER = "caller"
    USER = "user"


@dataclass(frozen=True)
class Frame:
    """One call; inlined calls are frames of their own."""

    index: int
    pc: Address
    sp: Address
    function: str
    symbol: str | None
    """Symbol and offset of the program counter, ``strnlen+0x9``."""
    module: str | None
    """The loadable module it is in, ``None`` for the kernel itself."""
    source: str | None
    """``file:line``."""
    inline: bool
    role: Role

    @property
    def pointer(self) -> FramePointer:
        """For the proof."""
        return FramePointer(self.index, self.pc, self.function)


@dataclass(frozen=True)
class Backtrace:
    """Innermost frame first. Registers are those of the fault, or of the panic's caller."""

    frames: tuple[Frame, ...]
    registers: tuple[tuple[str, Address], ...]
    interrupted: bool
    """Whether an exception interrupted kernel code; a deliberate panic is called instead."""

    @property
    def crash_path(self) -> tuple[Frame, ...]:
        """Frames from the fault outwards, the panic path and user space left out."""
        return tuple(f for f in self.frames if f.role in (Role.FAULT, Role.CALLER))

    @property
    def fault(self) -> Frame | None:
        """The frame that was interrupted, its physical function (not an inlined one)."""
        faults = [f for f in self.frames if f.role is Role.FAULT]
        return faults[-1] if faults else None

    def register(self, name: str) -> Address | None:
        """Value of a register at the fault."""
        return dict(self.registers).get(name)


# The kernel's own functions that carry out a panic: they end the panic path of a call that was not
# interrupted. kernel/panic.c, kernel/kexec_core.c and the delay and restart code they wait in.
_PANIC_CODE = ("panic", "__crash_kexec", "crash_kexec", "crash_setup_regs", "machine_kexec")


def _user(pc: int) -> bool:
    return pc < 1 << 63


def _exception_entry(frames: list[StackFrame]) -> int | None:
    """Index of the physical frame interrupted by the exception that led here, or ``None``.

    An NMI or timer interrupt may lie above it (the panicking CPU is itself interrupted in a dump
    taken from outside): the last interrupted kernel frame *below panic()* is wanted.
    """
    panicked = next((i for i, f in enumerate(frames) if f.name in _PANIC_CODE), None)
    start = 0 if panicked is None else panicked
    for index in range(start, len(frames)):
        if frames[index].interrupted and not _user(frames[index].pc):
            return index
    return None


def crashed_trace(session: Session) -> list[StackFrame]:
    """Frames of the task that crashed, innermost first, bounded.

    :raises LookupError: if no task is known to have crashed
    """
    from drgn.helpers.linux.panic import panic_task

    trace = session.prog.stack_trace(panic_task(session.prog))
    return [trace[index] for index in range(min(len(trace), MOST_FRAMES))]


def fault_index(frames: list[StackFrame]) -> int | None:
    """Index of the first frame, inlined ones included, of the code that was interrupted."""
    return _exception_entry(frames)


def collect(session: Session, modules: Modules) -> Backtrace | Missing:
    """Unwind the panic task."""
    frames = crashed_trace(session)
    if not frames:
        return Missing(Why.UNREADABLE, "the crashed task's stack cannot be unwound")
    entry = _exception_entry(frames)
    panic_end = entry
    if panic_end is None:
        named = [i for i, f in enumerate(frames) if f.name in _PANIC_CODE]
        panic_end = named[-1] + 1 if named else 0
    rows = []
    for index, frame in enumerate(frames):
        if _user(frame.pc):
            role = Role.USER
        elif index < panic_end:
            role = Role.PANIC_PATH
        elif entry is not None and frame.interrupted and frame.pc == frames[entry].pc:
            role = Role.FAULT
        else:
            role = Role.CALLER
        rows.append(_frame(index, frame, role, modules))
    registers = frames[entry].registers() if entry is not None else {}
    return Backtrace(
        frames=tuple(rows),
        registers=tuple((name, Address(value)) for name, value in registers.items()),
        interrupted=entry is not None,
    )


def _frame(index: int, frame: StackFrame, role: Role, modules: Modules) -> Frame:
    pc = frame.pc
    symbol = None
    if role is not Role.USER:
        try:
            found = frame.symbol()
            symbol = f"{printable(found.name)}+{pc - found.address:#x}"
        except LookupError:
            pass
    source = None
    try:
        location = frame.source()
        source = f"{printable(location.filename)}:{location.line}"
    except LookupError:
        pass
    owner = modules.owner(pc)
    return Frame(
        index=index,
        pc=Address(pc),
        sp=Address(frame.sp),
        function=printable(frame.name),
        symbol=symbol,
        module=owner.name if owner else None,
        source=source,
        inline=frame.is_inline,
        role=role,
    )
