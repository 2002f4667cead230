"""The code around the fault: disassembly, and source lines where a source tree is at hand."""

from __future__ import annotations

import re
from pathlib import Path

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.session import Session
from oopsight.text import printable

BEFORE = 8
AFTER = 4
CONTEXT_LINES = 5
# Debug information of assembly files names them by absolute path.
_TOP = re.compile(
    r"/.*?/(?=(?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net"
    r"|rust|security|sound|virt)/)"
)
_MOST_BYTES = 16384
_MOST_SOURCE = 16 << 20


@dataclass(frozen=True)
class Instruction:
    """One instruction."""

    address: Address
    bytes: str
    text: str
    faulted: bool


@dataclass(frozen=True)
class SourceLine:
    """One line of source."""

    number: int
    text: str
    faulted: bool


@dataclass(frozen=True)
class Code:
    """What the machine was carrying out."""

    instructions: tuple[Instruction, ...]
    source_file: str | None
    source: tuple[SourceLine, ...]
    """Empty where no source tree was given or the file is not in it."""


def in_tree(name: str) -> str:
    """A source file's path within the kernel's tree, wherever that was when it was built.

    >>> in_tree("/build/linux-6.1.192/arch/x86/entry/entry_64.S")
    'arch/x86/entry/entry_64.S'
    >>> in_tree("lib/vsprintf.c"), in_tree("/home/me/telemdrv.c")
    ('lib/vsprintf.c', '/home/me/telemdrv.c')
    """
    match = _TOP.match(name)
    return name[match.end() :] if match else name


def source_lines(tree: Path, location: str) -> tuple[SourceLine, ...]:
    """Lines around ``file:line`` in a source tree.

    :param location: from debug information; a path that leads out of the tree is refused
    """
    name, _, number = location.rpartition(":")
    wanted = int(number) if number.isdigit() else 0
    path = (tree / in_tree(name)).resolve()
    if not wanted or not path.is_relative_to(tree.resolve()) or not path.is_file():
        return ()
    if path.stat().st_size > _MOST_SOURCE:
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    first = max(1, wanted - CONTEXT_LINES)
    return tuple(
        SourceLine(index, printable(lines[index - 1].expandtabs(8)), index == wanted)
        for index in range(first, min(len(lines), wanted + CONTEXT_LINES) + 1)
    )


def collect(session: Session, backtrace: Backtrace) -> Code | Missing:
    """Disassemble from the function's start, so that the instructions are in step."""
    from drgn import FaultError

    frame = backtrace.fault
    if frame is None:
        return Missing(Why.NOT_APPLICABLE, "no exception interrupted kernel code")
    source_file = next((f.source for f in backtrace.crash_path if f.source), None)
    source: tuple[SourceLine, ...] = ()
    if session.source_tree and source_file:
        source = source_lines(session.source_tree, source_file)
    try:
        start = session.prog.symbol(frame.pc).address
        if not start <= frame.pc < start + _MOST_BYTES:
            start = frame.pc
    except LookupError:
        start = frame.pc
    try:
        code = session.read(start, frame.pc - start + 16 * AFTER)
    except FaultError as error:
        return Missing(Why.UNREADABLE, str(error), Address(error.address))
    return Code(_around(code, start, frame.pc), source_file, source)


def _around(code: bytes, start: int, pc: int) -> tuple[Instruction, ...]:
    from oopsight.kernel.disassembler import disassemble

    rows = [
        Instruction(
            Address(row.address),
            row.code.hex(),
            f"{row.mnemonic} {row.operands}".strip(),
            row.address == pc,
        )
        for row in disassemble(code, start)
    ]
    at = next((index for index, row in enumerate(rows) if row.faulted), None)
    if at is None:
        return ()
    return tuple(rows[max(0, at - BEFORE) : at + AFTER + 1])
