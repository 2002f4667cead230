"""The file that the crashing call was accessing: from the frames' arguments, or the system call's.

Only what a type declares to be a file counts: a value that happens to lie in a register may be left
over from an earlier call with another file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role, crashed_trace
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.crash.task import CrashedTask, file_path
from oopsight.evidence.flow.calls import MOST_TAIL_CALLS, Calls
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.instructions import ARGUMENTS
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.memory.owner import stack_size
from oopsight.evidence.pointers import FileReference, FramePointer
from oopsight.kinds import Kind
from oopsight.session import Session

# How to come to a struct file from a variable of a type.
_ROUTES: dict[str, tuple[str, ...]] = {
    "struct file *": (),
    "const struct file *": (),
    "struct kiocb *": ("ki_filp",),
    "struct seq_file *": ("file",),
    "struct vm_fault *": ("vma", "vm_file"),
    "struct vm_area_struct *": ("vm_file",),
}
# x86-64 system calls that take a file descriptor, and in which register the task gave it
# (arch/x86/entry/syscalls/syscall_64.tbl).
_DESCRIPTOR = {
    **dict.fromkeys((0, 1, 3, 5, 8, 16, 17, 18, 19, 20, 32, 33, 72, 73, 74, 75, 77, 78), "rdi"),
    **dict.fromkeys(
        (81, 91, 93, 187, 189, 190, 196, 217, 221, 277, 285, 292, 295, 296, 306), "rdi"
    ),
    9: "r8",
    327: "rdi",
    328: "rdi",
}
_USER_CS, _USER_SS = 0x33, 0x2B  # arch/x86/include/asm/segment.h
# What is open but has no name in the file system.
_NAMELESS = ("socket:", "pipe:", "anon_inode:", "[sockfs]", "[pipefs]", "[anon_inodefs]", "/[")


@dataclass(frozen=True)
class FileAccessed:
    """A file that the crash path was working on."""

    file: FileReference
    frame: FramePointer
    variable: str
    """Where it was found: a variable, a parameter, or the system call's descriptor."""


def _follow(value: Any, route: tuple[str, ...]) -> int:
    for member in route:
        value = value.member_(member).read_()
        if not value:
            return 0
    address: int = value.value_()
    return address


def _variables(frame: Any) -> Iterator[tuple[str, int]]:
    """Variables of the frame that lead to a ``struct file``: name and address of the file."""
    from drgn import BadDataError, FaultError, ObjectAbsentError

    # Where a variable is, debug information computes from the registers, and may not be able to.
    unknown = (BadDataError, FaultError, ObjectAbsentError, LookupError, AttributeError)
    for name in frame.locals():
        try:
            value = frame[name]
            route = _ROUTES.get(value.type_.type_name())
            if route is None:
                continue
            address = _follow(value, route)
        except (*unknown, SymbolError):
            continue
        yield "->".join((name, *route)), address


def _contexts(found: Calls) -> Iterator[Context]:
    """The calls of the crash path, innermost first; also those that jumped on and left no frame."""
    for position in range(len(found.frames)):
        context = found.context(position)
        outer = found.context(position + 1)
        for _ in range(1 + MOST_TAIL_CALLS):
            if context is None or context is outer:
                break
            yield context
            context = context.caller()


def _parameters(
    session: Session, backtrace: Backtrace, path: tuple[Frame, ...]
) -> Iterator[tuple[int, str, int]]:
    """Parameters by the functions' prototypes: the frame's index, name and address of the file."""
    from drgn import FaultError, Object

    from oopsight.evidence.flow.type_names import parameter

    found = calls(session, backtrace, None)
    first = path[0].index if path else 0
    for context in _contexts(found):
        code = context.function
        if context.frame < first:
            continue
        for register in ARGUMENTS[:3]:
            known = parameter(session.prog, code.name, code.start, register)
            if known is None:
                continue
            name, kind = known
            route = _ROUTES.get(kind.type_name())
            value = None if route is None else found.tracer.entering(context, register)
            if route is None or not value:
                continue
            try:
                address = _follow(Object(session.prog, kind, value), route)
            except (FaultError, LookupError, AttributeError, SymbolError):
                continue
            yield context.frame, "->".join((name, *route)), address


def _reference(
    session: Session, files: dict[int, FileReference], address: int
) -> FileReference | None:
    """The file at an address, whether the task has it open or it is being opened or closed."""
    from drgn import FaultError, Object

    if not address:
        return None
    if address in files:
        return files[address]
    try:
        path = file_path(Object(session.prog, "struct file *", address))
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return None
    return FileReference(path, None, Address(address)) if path.startswith("/") else None


def _named(file: FileReference | None) -> bool:
    return file is not None and not any(word in file.path for word in _NAMELESS)


def _from_system_call(
    session: Session,
    backtrace: Backtrace,
    path: tuple[Frame, ...],
    files: dict[int, FileReference],
) -> FileAccessed | None:
    """The descriptor that the task gave to its system call, if the crash came in one."""
    left_out = {row.index for row in backtrace.frames if row.role is Role.INTERRUPTED}
    if not path or left_out - {row.index for row in path}:
        return None
    registers = _system_call(session)
    if registers is None:
        return None
    register = _DESCRIPTOR.get(registers["orig_ax"])
    if register is None:
        return None
    chosen = next((f for f in files.values() if f.fd == registers[register]), None)
    if chosen is None:
        return None
    return FileAccessed(chosen, path[-1].pointer, "the system call's descriptor")


def _system_call(session: Session) -> dict[str, int] | None:
    """The registers with which the crashed task entered the kernel for a system call.

    They lie on top of its stack, since Linux 6.9 below some padding where CONFIG_X86_FRED is set
    (TOP_OF_KERNEL_STACK_PADDING). A task that entered by an exception has -1 in ``orig_ax``.
    """
    from drgn import FaultError, Object
    from drgn.helpers.linux.panic import panic_task

    prog = session.prog
    try:
        task = panic_task(prog)
        size = prog.type("struct pt_regs").size or 0
        top = task.stack.value_() + stack_size(session)
        if not task.mm:
            return None
        for padding in (0, 16, 8):
            saved = Object(prog, "struct pt_regs", address=top - padding - size)
            user = saved.cs.value_() & 0xFFFF == _USER_CS and saved.ss.value_() & 0xFFFF == _USER_SS
            if user and saved.ip.value_() < 1 << 47 and saved.sp.value_() < 1 << 47:
                return {
                    "orig_ax": saved.orig_ax.value_(),
                    "rdi": saved.di.value_(),
                    "r8": saved.r8.value_(),
                }
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    return None


_TAKES_DOWN = ("exit_mmap", "unmap_region", "unmap_vmas")


def _path(backtrace: Backtrace, symptom: Symptom | Missing) -> tuple[Frame, ...]:
    """The frames that have a part in the crash, innermost first.

    A soft lockup is of the task, whatever interrupt it was found in; unless it is that interrupt's
    own handlers that do not end. To take down what was mapped is no access to the files.
    """
    roles = [Role.FAULT, Role.CALLER]
    soft = isinstance(symptom, Symptom) and symptom.kind is Kind.SOFT_LOCKUP
    if soft and not backtrace.blamable:
        roles.append(Role.INTERRUPTED)
    path = tuple(row for row in backtrace.frames if row.role in roles)
    ends = [number for number, row in enumerate(path) if row.function in _TAKES_DOWN]
    return path[ends[-1] + 1 :] if ends else path


def collect(
    session: Session, backtrace: Backtrace, task: CrashedTask, symptom: Symptom | Missing
) -> FileAccessed | Missing:
    """Look through the crash path, innermost frame first, then at the system call."""
    from drgn import FaultError

    files = {int(file.address): file for file in task.files}
    frames = crashed_trace(session)
    by_index: dict[int, Frame] = {row.index: row for row in backtrace.frames}
    path = _path(backtrace, symptom)

    def variables() -> Iterator[tuple[int, str, int]]:
        for row in path:
            try:
                for name, address in _variables(frames[row.index]):
                    yield row.index, name, address
            except (FaultError, SymbolError):
                continue

    looks: tuple[Callable[[], Iterator[tuple[int, str, int]]], ...] = (
        variables,
        lambda: _parameters(session, backtrace, path),
    )
    for look in looks:
        for index, name, address in look():
            file = _reference(session, files, address)
            if file is not None and _named(file):
                return FileAccessed(file, by_index[index].pointer, name)
    called = _from_system_call(session, backtrace, path, files)
    if called is not None and _named(called.file):
        return called
    return Missing(Why.NOT_APPLICABLE, "nothing on the crash path is known to be a file")
