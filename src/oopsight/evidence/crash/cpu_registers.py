"""The registers of a CPU as the dump's notes have them, without its task.

They are all there is to begin from where the pages of the task are left out, as an old
``makedumpfile`` does which takes the slab pages of a new kernel for those of user space.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.dump.elf import MalformedElfError
from oopsight.dump.notes import raw_notes

if TYPE_CHECKING:
    from oopsight.session import Session

_PRSTATUS = 1  # NT_PRSTATUS
_REGISTERS = 112  # offsetof(struct elf_prstatus, pr_reg) on x86-64
_HEADER = struct.Struct("<III")


def panic_registers(session: Session) -> Any | None:
    """``struct pt_regs`` of the CPU on which panic() was called; ``None`` where there are none.

    ``struct user_regs_struct`` begins with the same members in the same order
    (arch/x86/include/asm/user_64.h and ptrace.h).
    """
    from drgn import FaultError, Object, sizeof

    try:
        cpu = session.prog["panic_cpu"].counter.value_()
        kind = session.prog.type("struct pt_regs")
        notes = list(_notes(raw_notes(session.info)))
    except (FaultError, LookupError, AttributeError, OSError, MalformedElfError, struct.error):
        return None
    number = _note_of(session, cpu, len(notes))
    if not 0 <= number < len(notes):
        return None
    data = notes[number][_REGISTERS : _REGISTERS + sizeof(kind)]
    return Object.from_bytes_(session.prog, kind, data) if len(data) == sizeof(kind) else None


def _note_of(session: Session, cpu: int, count: int) -> int:
    """Which of the notes is a CPU's, of so many: kexec has none of CPUs that are offline."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_online_cpu

    try:
        online = list(for_each_online_cpu(session.prog))
    except (FaultError, LookupError):
        return cpu
    # Those that panic() has stopped are offline by then, and have notes if QEMU wrote the dump.
    return online.index(cpu) if len(online) == count and cpu in online else cpu


def _notes(data: bytes) -> Iterator[bytes]:
    """Contents of the notes with a CPU's registers, in the order of the CPUs."""
    at = 0
    while at + _HEADER.size <= len(data):
        name_size, size, kind = _HEADER.unpack_from(data, at)
        begin = at + _HEADER.size
        content = begin + (name_size + 3 & -4)
        if kind == _PRSTATUS and data[begin : begin + name_size].rstrip(b"\0") == b"CORE":
            yield data[content : content + size]
        at = content + (size + 3 & -4)
