"""The crashed task's backtrace, the exception frame told apart from the panic path."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.cpu_registers import panic_registers
from oopsight.evidence.crash.jumped_on import JumpedOn, blamable, jumped_on, names_its_call
from oopsight.evidence.crash.kasan_check import refused, reported_address
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.outlived import Outlived, outlived, still_there
from oopsight.evidence.crash.standstill import NO_PANIC, Standstill
from oopsight.evidence.modules.module_files import load_debug_files
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import FramePointer
from oopsight.kernel.detours import follow
from oopsight.plumbing import why_plumbing
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import StackFrame, StackTrace

MOST_FRAMES = 512


class Role(str, Enum):
    """What a frame is to the crash."""

    PANIC_PATH = "panic-path"
    """The kernel dealing with the crash: exception entry, oops, panic."""
    FAULT = "fault"
    """The code that was interrupted by the exception."""
    CALLER = "caller"
    INTERRUPTED = "interrupted"
    """What an interrupt had stopped when the crash came in its handler: it has no part in it."""
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
    plumbing: str | None = None
    """Why it is passed over in the search for whom to blame; ``None`` if it can be to blame."""
    jumped_on: JumpedOn | None = None
    """What it called, where that went on by a jump and has no frame."""
    called_by: str | None = None
    """Set for what has no frame of its own: the function whose frame this is."""
    calls_by_name: bool = False
    """Whether it is a module's, and its call in progress names the function, not a pointer."""

    @property
    def pointer(self) -> FramePointer:
        """For the proof."""
        return FramePointer(self.index, self.pc, self.called_by or self.function)

    def without_frame(self, called: JumpedOn) -> Frame:
        """What this frame called, as a frame at the same place."""
        return Frame(
            index=self.index,
            pc=self.pc,
            sp=self.sp,
            function=called.function,
            symbol=None,
            module=called.module,
            source=None,
            inline=False,
            role=self.role,
            called_by=self.function,
            calls_by_name=called.by_name,
        )


@dataclass(frozen=True)
class Backtrace:
    """Innermost frame first. Registers are those of the fault, or of the panic's caller."""

    frames: tuple[Frame, ...]
    registers: tuple[tuple[str, Address], ...]
    interrupted: bool
    """Whether an exception interrupted kernel code, or KASAN stopped it; a deliberate panic is
    called instead."""
    exception: str | None
    """After its entry point: ``page_fault``, ``general_protection``, ``divide_error`` …; or
    :data:`INTERRUPT`, where a device's or timer's interrupt led to the panic, or :data:`KASAN`,
    whose check of an access did."""

    @property
    def crash_path(self) -> tuple[Frame, ...]:
        """Frames from the fault outwards, the panic path and user space left out."""
        return tuple(f for f in self.frames if f.role in (Role.FAULT, Role.CALLER))

    @property
    def blamable(self) -> tuple[Frame, ...]:
        """The crash path without plumbing: who can be to blame by place, innermost first.

        What has jumped on stands there with the frame of its caller.
        """
        return blamable(self.crash_path)

    @property
    def fault(self) -> Frame | None:
        """The frame that was interrupted, its physical function (not an inlined one)."""
        faults = [f for f in self.frames if f.role is Role.FAULT]
        return faults[-1] if faults else None

    def register(self, name: str) -> Address | None:
        """Value of a register at the fault."""
        return dict(self.registers).get(name)


# x86's exception entry points are named so, arch/x86/include/asm/idtentry.h.
_ENTRY = "asm_exc_"
# Interrupts have others: arch/x86/include/asm/idtentry.h, and arch/x86/entry/entry_64.S before.
_INTERRUPTS = (
    "asm_sysvec_",
    "asm_common_interrupt",
    "common_interrupt",
    "apic_timer_interrupt",
    "call_function_interrupt",
    "call_function_single_interrupt",
    "reschedule_interrupt",
    "ret_from_intr",
)
INTERRUPT = "interrupt"
KASAN = "kasan"
# The kernel's own functions that carry out a panic: they end the panic path of a call that was not
# interrupted. kernel/panic.c, kernel/kexec_core.c and the delay and restart code they wait in.
_PANIC_CODE = ("panic", "__crash_kexec", "crash_kexec", "crash_setup_regs", "machine_kexec")


def _user(frame: StackFrame) -> bool:
    """Whether a frame is of user space: a bad pointer may have led the kernel's counter there too.

    Then the stack is still the kernel's.
    """
    return bool(frame.pc < 1 << 63) and bool(frame.sp < 1 << 63)


# Who calls panic() from an interrupt for what the interrupted code does: that code is wanted then,
# kernel/watchdog.c, kernel/rcu/tree_stall.h and the like.
WATCHERS = (
    "watchdog_timer_fn",
    "watchdog_overflow_callback",
    "watchdog_hardlockup_check",
    "panic_on_rcu_stall",
    "print_cpu_stall",
    "print_other_cpu_stall",
    "check_cpu_stall",
    "rcu_sched_clock_irq",
    "rcu_check_callbacks",
)


def _exception_entry(
    session: Session, frames: list[StackFrame], modules: Modules
) -> tuple[int, str | None] | None:
    """Find the frame interrupted by the exception that led here, and that exception's name.

    An NMI or timer interrupt may lie above it (the panicking CPU is itself interrupted in a dump
    taken from outside): the first interrupted kernel frame *outside panic()* is wanted. A dump by
    kdump may begin with the interrupted frame itself, or, where panic() was called, with a frame
    that nothing interrupted: there the registers saved on the stack decide. Where somebody calls
    panic() in an interrupt, of which the interrupted code knows nothing, the caller is wanted, and
    there is no such frame.
    """
    panicked = next((i for i, f in enumerate(frames) if f.name in _PANIC_CODE), None)
    for index in range(panicked or 0, len(frames)):
        frame = frames[index]
        # Where the machine was stopped in panic() is of no interest.
        if not frame.interrupted or _user(frame) or frame.name in _PANIC_CODE:
            continue
        if frame.pc == frames[0].pc:
            name = _saved_by(session, frame)
            if name is None:
                continue
            return index, _exception(name)
        entry = frames[index - 1].name
        if not entry.startswith(_ENTRY) and _called(frames[panicked or 0 : index], modules):
            return None
        return index, _exception(entry)
    return None


def _exception(entry: str) -> str | None:
    """What an entry point is for."""
    if entry.startswith(_ENTRY):
        return entry.removeprefix(_ENTRY)
    return INTERRUPT if entry.startswith(_INTERRUPTS) else None


def _called(frames: list[StackFrame], modules: Modules) -> bool:
    """Whether panic() was called, within these frames, by code that acts on its own account."""
    names = [frame.name for frame in frames]
    if any(name.partition(".")[0] in WATCHERS for name in names):
        return False
    return any(
        modules.owner(frame.pc) is not None or _passed_over(name, None, None) is None
        for frame, name in zip(frames, names, strict=True)
    )


def _saved_by(session: Session, frame: StackFrame) -> str | None:
    """Name of the entry code that saved these registers below the interrupted stack pointer.

    On x86-64 the CPU aligns the stack to 16 bytes and pushes; the entry code completes a ``struct
    pt_regs`` and calls the handler, whose return address follows (arch/x86/entry/entry_64.S).

    :return: ``None`` where no such registers lie there
    """
    from drgn import FaultError, Object, sizeof

    prog = session.prog
    try:
        saved = (frame.sp & ~0xF) - sizeof(prog.type("struct pt_regs"))
        registers = Object(prog, "struct pt_regs", address=saved)
        if registers.ip.value_() != frame.pc or registers.sp.value_() != frame.sp:
            return None
        name = printable(prog.symbol(prog.read_u64(saved - 8)).name)
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    return name


def crashed_trace(session: Session) -> list[StackFrame]:
    """Frames of the task that crashed, innermost first, bounded.

    :raises LookupError: if no task is known to have crashed
    """
    trace = _panic_trace(session)
    if load_debug_files(session, [frame.pc for frame in trace if not _user(frame)]):
        trace = _panic_trace(session)
    frames = [trace[index] for index in range(min(len(trace), MOST_FRAMES))]
    for position, frame in enumerate(frames):
        if not frame.interrupted or _user(frame):
            continue
        ends = position + 1 == len(frames) and (frame.name or "").startswith(_THUNKS)
        if ends or not _is_code(session, frame.pc):
            # What the unwinder gives from here on, by following rbp, is guesswork.
            beyond = _beyond_bad_counter(session, frame)
            frames = frames[: position + 1] + beyond[:MOST_FRAMES] if beyond else frames
            break
    whole = _until_astray(follow(session.prog, frames, MOST_FRAMES))
    before = outlived(session)
    return whole if before is None else still_there(whole, before)


def _panic_trace(session: Session) -> StackTrace:
    """The whole stack of the task that crashed; without the task, of the CPU that panicked.

    Where none has panicked, the one of which the log has an oops that the machine lived on after.

    :raises drgn.FaultError: if none of them can be read
    """
    from drgn import FaultError
    from drgn.helpers.linux.panic import panic_task

    before = outlived(session)
    if before is not None:
        return session.prog.stack_trace(before.registers)
    try:
        return session.prog.stack_trace(panic_task(session.prog))
    except FaultError:
        registers = panic_registers(session)
        if registers is None:
            raise
        return session.prog.stack_trace(registers)


def _until_astray(frames: list[StackFrame]) -> list[StackFrame]:
    """The frames up to the first that is outside the kernel, without what follows it.

    Where there are no unwind data, as in a trampoline of ftrace, the unwinder follows rbp, which
    then may be any value, and what it finds there may lead in circles. So it does in the stack of a
    process, where the dump has that: only where the kernel was entered is known there.
    """
    for position, frame in enumerate(frames):
        if frame.pc < 1 << 63 and (_user(frame) or not frame.interrupted):
            return frames[: position + 1]
    return frames


def _is_code(session: Session, pc: int) -> bool:
    """Whether a function of the kernel or of a module is there; at 0 lie per-CPU symbols."""
    from drgn import SymbolKind

    if pc < 1 << 63:
        return False
    try:
        symbol = session.prog.symbol(pc)
    except LookupError:
        return False
    return symbol.kind in (SymbolKind.FUNC, SymbolKind.UNKNOWN)


def _beyond_bad_counter(session: Session, last: StackFrame) -> list[StackFrame]:
    """Frames outside one whose program counter is no code, or a thunk that cannot be unwound.

    Nothing was put on the stack there: the return address of the call is still on top. It is taken
    only if it follows a call instruction of known code.
    """
    from drgn import FaultError, Object

    prog = session.prog
    try:
        back = prog.read_u64(last.sp)
        before = session.read(max(back - _LONGEST_CALL, 0), _LONGEST_CALL)
    except FaultError:
        return []
    if not _is_code(session, back - 1) or not ends_in_call(before):
        return []
    known = {_PT_REGS.get(name, name): value for name, value in last.registers().items()}
    try:
        members = {member.name for member in prog.type("struct pt_regs").members}
        values = {name: value for name, value in known.items() if name in members}
        values |= {"ip": back, "sp": (last.sp + 8) & ((1 << 64) - 1)}
        trace = prog.stack_trace(Object(prog, "struct pt_regs", values))
    except (FaultError, LookupError, ValueError, TypeError, SymbolError):
        return []
    return [trace[index] for index in range(min(len(trace), MOST_FRAMES))]


# drgn's register names where struct pt_regs has others, arch/x86/include/asm/ptrace.h
_PT_REGS = {
    "rax": "ax",
    "rbx": "bx",
    "rcx": "cx",
    "rdx": "dx",
    "rsi": "si",
    "rdi": "di",
    "rbp": "bp",
    "rsp": "sp",
    "rip": "ip",
    "rflags": "flags",
}
_LONGEST_CALL = 8
_THUNKS = "__x86_indirect_thunk"
"""Through which calls by pointer go, without unwind data where a stack's end is met in them."""


def ends_in_call(code: bytes) -> bool:
    """Whether some call instruction ends where the bytes end, as a return address demands.

    >>> ends_in_call(bytes.fromhex("9090900f1f00ffd0")), ends_in_call(bytes(8))
    (True, False)
    """
    if code[-5:-4] == b"\xe8":
        return True
    # ff /2: call through a register or memory; the ModRM byte's middle bits are 010. From Linux
    # 5.17 on a call through a register is patched in place and padded with nops.
    code = code.rstrip(b"\x90") if code[-1:] == b"\x90" else code
    return (
        any(
            code[-length] == 0xFF and code[1 - length] >> 3 & 7 == 2
            for length in (2, 3, 4, 6, 7)
            if length <= len(code)
        )
        or code[-5:-4] == b"\xe8"
    )


def collect(
    session: Session, modules: Modules, log: Log | Missing, still: Standstill | Missing
) -> Backtrace | Missing:
    """Unwind the panic task."""
    if isinstance(still, Standstill) and outlived(session) is None:
        return Missing(Why.NOT_APPLICABLE, NO_PANIC)
    frames = crashed_trace(session)
    if not frames:
        return Missing(Why.UNREADABLE, "the crashed task's stack cannot be unwound")
    before = outlived(session)
    entry, exception = _stopped_at(session, frames, modules, log) or (None, None)
    panic_end = entry
    if panic_end is None:
        named = [i for i, f in enumerate(frames) if f.name in _PANIC_CODE]
        panic_end = named[-1] + 1 if named else 0
    rows: list[Frame] = []
    stopped = False
    for index, frame in enumerate(frames):
        inner = rows[-1].function if rows else ""
        if entry is not None and index > entry and frame.interrupted and inner.startswith("asm_"):
            stopped = True
        if _user(frame):
            role = Role.USER
        elif stopped:
            role = Role.INTERRUPTED
        elif index < panic_end:
            role = Role.PANIC_PATH
        elif entry is not None and _is_of(frame, frames[entry]):
            role = Role.FAULT
        else:
            role = Role.CALLER
        row = _frame(index, frame, role, modules)
        within = frames[index - 1] if index else None
        if role is Role.CALLER and not frame.interrupted and within and within.pc != frame.pc:
            row = replace(
                row,
                jumped_on=jumped_on(session.prog, modules, frame.pc, within.pc),
                calls_by_name=row.module is not None and names_its_call(session.prog, frame.pc),
            )
        if role is Role.FAULT and not _is_code(session, row.pc):
            row = replace(row, plumbing="no code is there")
        rows.append(row)
    if before is not None:
        rows += _told(session, before, rows)
    registers = frames[entry].registers() if entry is not None else {}
    return Backtrace(
        frames=tuple(rows),
        registers=tuple((name, Address(value)) for name, value in registers.items()),
        interrupted=entry is not None,
        exception=exception,
    )


def _stopped_at(
    session: Session, frames: list[StackFrame], modules: Modules, log: Log | Missing
) -> tuple[int, str | None] | None:
    """The frame that an exception interrupted, or KASAN stopped, and what did it."""
    before = outlived(session)
    if before is not None:
        return 0, before.exception
    found = _exception_entry(session, frames, modules)
    if found is not None:
        return found
    names = [frame.name or "" for frame in frames]
    checked = refused(names) if reported_address(log) is not None else None
    return None if checked is None else (checked, KASAN)


def _is_of(frame: StackFrame, stopped: StackFrame) -> bool:
    """Whether a frame is the one that was stopped, or of a function that was inlined into that."""
    return bool(frame.pc == stopped.pc and frame.interrupted == stopped.interrupted)


def _told(session: Session, before: Outlived, rows: list[Frame]) -> list[Frame]:
    """The outer frames of an oops that the machine lived on after, whose stack another has now."""
    found = []
    beyond = before.trace[len({row.sp for row in rows}) :]
    for index, one in enumerate(beyond, len(rows)):
        name = _function(one.function)
        try:
            pc = session.prog.symbol(one.function).address + (one.offset or 0)
        except LookupError:
            pc = 0
        reason = why_plumbing(name, None, one.module)
        symbol = f"{one.function}+{one.offset or 0:#x}"
        found.append(
            Frame(
                index,
                Address(pc),
                Address(0),
                name,
                symbol,
                one.module,
                None,
                inline=False,
                role=Role.CALLER,
                plumbing=reason,
            )
        )
    return found


# What the compiler made of a function and named after it: a part, a clone, its unlikely half.
_CLONE = re.compile(r"(\.(cold|part|isra|constprop|llvm)(\.\d+)?)+$")


def _function(name: str) -> str:
    """Name of the function as it is in the source, where only its symbol is known.

    >>> _function("oops_end.cold"), _function("alloc.isra.0.constprop.0"), _function("0x401000")
    ('oops_end', 'alloc', '0x401000')
    """
    return _CLONE.sub("", name)


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
    function, module = _function(printable(frame.name)), owner.name if owner else None
    return Frame(
        index=index,
        pc=Address(pc),
        sp=Address(frame.sp),
        function=function,
        symbol=symbol,
        module=module,
        source=source,
        inline=frame.is_inline,
        role=role,
        plumbing=None if role is Role.USER else _passed_over(function, source, module),
    )


def _passed_over(function: str, source: str | None, module: str | None) -> str | None:
    if function.startswith("0x"):
        return "no code is known there"
    return why_plumbing(function, source, module)
