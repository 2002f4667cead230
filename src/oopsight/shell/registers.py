"""Registers that an exception or an entry from user space saved on the stack (x86-64)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from oopsight.shell.output import readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.stack import Call

# struct pt_regs (arch/x86/include/asm/ptrace.h) word by word, by the names of its members.
KEYS = ("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si",
        "di", "orig_ax", "ip", "cs", "flags", "sp", "ss")  # fmt: skip
WORDS = len(KEYS)
_IP, _SP = KEYS.index("ip"), KEYS.index("sp")
_LAYOUT = struct.Struct(f"<{WORDS}Q")
# By the names shown, three a line.
_ROWS = (
    (("RIP", "ip"), ("RSP", "sp"), ("RFLAGS", "flags")),
    (("RAX", "ax"), ("RBX", "bx"), ("RCX", "cx")),
    (("RDX", "dx"), ("RSI", "si"), ("RDI", "di")),
    (("RBP", "bp"), ("R8", "r8"), ("R9", "r9")),
    (("R10", "r10"), ("R11", "r11"), ("R12", "r12")),
    (("R13", "r13"), ("R14", "r14"), ("R15", "r15")),
)
_SHOWN = [key for row in _ROWS for _, key in row]


def _width(key: str) -> int:
    return 8 if key == "flags" else 16


_ALL = "".join(
    "    " + "  ".join(f"{name:>3}: %0{_width(key)}x" for name, key in row) + "\n" for row in _ROWS
)
_ALL_VALUES = itemgetter(*_SHOWN)


def saved_registers(shell: Shell, call: Call, inner: Call | None) -> dict[str, int]:
    """What the exception entry saved of an interrupted call; by pt_regs' member names.

    The entry code's frame ends where the saved ``struct pt_regs`` begins; where no frame of it is
    known they lie below the interrupted stack pointer, aligned by the CPU.
    """
    if not _known(shell):
        return {}
    if call.saved is not None and call.saved[_IP] == call.pc and call.saved[_SP] == call.sp:
        return dict(zip(KEYS, call.saved, strict=True))
    places = [(call.sp & ~0xF) - _LAYOUT.size]
    if inner is not None:
        places.insert(0, inner.sp)
    for place in places:
        try:
            words = _LAYOUT.unpack(shell.session.read(place, _LAYOUT.size))
        except readable_errors():
            continue
        if words[_IP] == call.pc and words[_SP] == call.sp:
            return dict(zip(KEYS, words, strict=True))
    return {}


def _known(shell: Shell) -> bool:
    """Whether the kernel's ``struct pt_regs`` is the one that is known here."""
    if "pt-regs" not in shell.cache:
        from drgn import offsetof

        try:
            type_ = shell.prog.type("struct pt_regs")
            known = type_.size == _LAYOUT.size and offsetof(type_, "ip") == 8 * _IP
        except LookupError:
            known = False
        shell.cache["pt-regs"] = known
    return bool(shell.cache["pt-regs"])


def frame_registers(call: Call) -> dict[str, int]:
    """Registers as unwound, by pt_regs' member names; those that are not known left out."""
    if call.frame is None:
        return {"ip": call.pc, "sp": call.sp}
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


def block(registers: dict[str, int], *, original: bool) -> str:
    """The block of registers, as lines; dashes for those that are not known.

    :param original: whether ORIG_RAX is known
    """
    try:
        text = _ALL % _ALL_VALUES(registers)
    except KeyError:
        text = "".join(f"{line}\n" for line in _lines(registers))
    last = [
        f"{name}: {registers[key] & 0xFFFF:04x}"
        for name, key in (("CS", "cs"), ("SS", "ss"))
        if key in registers
    ]
    if original and "orig_ax" in registers:
        last.insert(0, f"ORIG_RAX: {registers['orig_ax']:016x}")
    return f"{text}    {'  '.join(last)}\n" if last else text


def _lines(registers: dict[str, int]) -> Iterator[str]:
    for row in _ROWS:
        parts = []
        for name, key in row:
            value = registers.get(key)
            width = _width(key)
            parts.append(f"{name:>3}: {'-' * width if value is None else f'{value:0{width}x}'}")
        yield "    " + "  ".join(parts)
