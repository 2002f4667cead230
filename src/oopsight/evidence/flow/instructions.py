"""Instructions, with what the tracing needs of each."""

from __future__ import annotations

import functools
from typing import NamedTuple

from oopsight.cheap import dataclass
from oopsight.kernel import disassembler

MOST_INSTRUCTIONS = 16_000

_PARTS = {
    "rax": ("eax", "ax", "al", "ah"),
    "rbx": ("ebx", "bx", "bl", "bh"),
    "rcx": ("ecx", "cx", "cl", "ch"),
    "rdx": ("edx", "dx", "dl", "dh"),
    "rsi": ("esi", "si", "sil"),
    "rdi": ("edi", "di", "dil"),
    "rbp": ("ebp", "bp", "bpl"),
    "rsp": ("esp", "sp", "spl"),
    **{f"r{n}": (f"r{n}d", f"r{n}w", f"r{n}b") for n in range(8, 16)},
}
_WHOLE = {part: whole for whole, parts in _PARTS.items() for part in (whole, *parts)}
GENERAL = tuple(_PARTS)
# System V AMD64 ABI, as the kernel is compiled.
ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
CALL_CLOBBERS = frozenset(GENERAL) - frozenset(CALLEE_SAVED) - {"rsp"}


def whole_register(name: str) -> str | None:
    """The 64-bit register that a part belongs to; ``None`` for others than the general ones.

    >>> whole_register("r9d"), whole_register("xmm0")
    ('r9', None)
    """
    return _WHOLE.get(name)


@dataclass(frozen=True)
class Memory:
    """A memory operand ``segment:[base + index * scale + displacement]``."""

    segment: str | None
    base: str | None
    index: str | None
    scale: int
    displacement: int
    size: int
    """Bytes accessed."""


@dataclass(frozen=True)
class Operand:
    """One operand: exactly one of the three is set."""

    register: str | None = None
    immediate: int | None = None
    memory: Memory | None = None
    size: int = 8
    """Bytes."""
    reads: bool = False
    writes: bool = False


class Instruction(NamedTuple):
    """One instruction, with what the tracing needs of it."""

    address: int
    bytes: bytes
    mnemonic: str
    text: str
    operands: tuple[Operand, ...]
    written: frozenset[str]
    """64-bit names of the general registers that it changes; a call's clobbers not included."""
    is_call: bool
    is_jump: bool
    """Whether it jumps, on a condition or without."""
    falls_through: bool
    """Whether the next instruction in memory may follow it."""
    target: int | None
    """Where a direct jump or call leads."""

    @property
    def end(self) -> int:
        """Address of the next instruction in memory."""
        return self.address + len(self.bytes)


_CALLS = ("call", "lcall")
_JUMPS = ("j", "loop", "notrack jmp", "bnd jmp")
_LAST = frozenset(
    ["jmp", "notrack jmp", "bnd jmp", "ret", "retf", "iretq", "hlt", "int3", "ud2", "ud0", "ud1"]
)


@functools.cache
def _flow(mnemonic: str) -> tuple[bool, bool, bool]:
    """Whether it calls, whether it jumps, and whether the next one in memory may follow it."""
    ends = mnemonic in _LAST or mnemonic.startswith("sysret")
    return mnemonic in _CALLS, mnemonic.startswith(_JUMPS), not ends


@functools.lru_cache(maxsize=1 << 14)
def _operand(part: bytes) -> Operand:
    """Of a ``cs_x86_op``. Most of them are one of a few."""
    kind, value, size, access = disassembler.OPERAND.unpack(part)
    if kind == disassembler.IMMEDIATE:
        return Operand(immediate=int.from_bytes(value[:8], "little"), size=size)
    reads, writes = bool(access & disassembler.READ), bool(access & disassembler.WRITE)
    name = disassembler.register_name
    if kind == disassembler.REGISTER:
        register = name(int.from_bytes(value[:4], "little")) or ""
        return Operand(register=register, size=size, reads=reads, writes=writes)
    segment, base, index, scale, displacement = disassembler.MEMORY_OPERAND.unpack(value)
    memory = Memory(name(segment), name(base), name(index), scale, displacement, size)
    return Operand(memory=memory, size=size, reads=reads, writes=writes)


@functools.lru_cache(maxsize=1 << 10)
def _written(changed: tuple[int, ...], named: tuple[str, ...]) -> frozenset[str]:
    """64-bit names of the general registers among those changed."""
    names = [*(disassembler.register_name(number) or "" for number in changed), *named]
    return frozenset(_WHOLE[name] for name in names if name in _WHOLE)


def decode(code: bytes, address: int, most: int = MOST_INSTRUCTIONS) -> tuple[Instruction, ...]:
    """Instructions from the first byte on, up to one that cannot be decoded.

    >>> [i.text for i in decode(bytes.fromhex("488b473890c3"), 0x1000)]
    ['mov rax, qword ptr [rdi + 0x38]', 'nop', 'ret']
    """
    found = []
    for row in disassembler.disassemble(code, address, most, detail=True):
        operands = tuple(map(_operand, row.parts))
        named = tuple([part.register for part in operands if part.register and part.writes])
        calls, jumps, goes_on = _flow(row.mnemonic)
        found.append(
            Instruction(
                row.address,
                row.code,
                row.mnemonic,
                f"{row.mnemonic} {row.operands}".strip(),
                operands,
                _written(row.changed, named),
                calls,
                jumps,
                goes_on,
                operands[0].immediate if operands and (calls or jumps) else None,
            )
        )
    return tuple(found)
