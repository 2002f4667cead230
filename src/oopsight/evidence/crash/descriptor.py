"""The file whose descriptor a task gave to the system call that it is in."""

from __future__ import annotations

from typing import Any

from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.crash.task import file_path
from oopsight.evidence.pointers import FileReference

# x86-64 system calls that take a file descriptor, and in which register the task gave it
# (arch/x86/entry/syscalls/syscall_64.tbl).
DESCRIPTOR = {
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
NAMELESS = ("socket:", "pipe:", "anon_inode:", "[sockfs]", "[pipefs]", "[anon_inodefs]", "/[")

_CLOSE = 3


def registers_of(task: Any, stack: int) -> dict[str, int] | None:
    """The registers with which a task entered the kernel for a system call.

    They lie on top of its stack, since Linux 6.9 below some padding where CONFIG_X86_FRED is set
    (TOP_OF_KERNEL_STACK_PADDING). A task that entered by an exception has -1 in ``orig_ax``.

    :param stack: bytes of the task's kernel stack
    """
    from drgn import Object

    prog = task.prog_
    size = prog.type("struct pt_regs").size or 0
    top = task.stack.value_() + stack
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
    return None


def file_of(task: Any, stack: int) -> FileReference | None:
    """The named file that a task's system call works on; a closed one's number may be another's.

    :param stack: bytes of the task's kernel stack
    """
    from drgn import FaultError
    from drgn.helpers.linux.fs import fget

    try:
        registers = registers_of(task, stack)
        call = registers["orig_ax"] if registers else _CLOSE
        register = DESCRIPTOR.get(call)
        if registers is None or register is None or call == _CLOSE:
            return None
        number = registers[register] & 0xFFFFFFFF
        file = fget(task, number)
        path = file_path(file) if file else ""
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return None
    if not path.startswith("/") or any(word in path for word in NAMELESS):
        return None
    return FileReference(path, number, Address(file.value_()))
