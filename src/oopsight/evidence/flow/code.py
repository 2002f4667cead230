"""A function's instructions and the ways through them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass, field

# No kernel function that matters is longer; a hostile symbol table could claim any size.
LONGEST_FUNCTION = 64 << 10
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


@dataclass(frozen=True)
class Instruction:
    """One instruction, with what the tracing needs of it."""

    address: int
    bytes: bytes
    mnemonic: str
    text: str
    operands: tuple[Operand, ...]
    written: frozenset[str]
    """64-bit names of the general registers that it changes; a call's clobbers not included."""

    @property
    def end(self) -> int:
        """Address of the next instruction in memory."""
        return self.address + len(self.bytes)

    @property
    def is_call(self) -> bool:
        """Whether it calls."""
        return self.mnemonic in ("call", "lcall")

    @property
    def is_jump(self) -> bool:
        """Whether it jumps, on a condition or without."""
        return self.mnemonic.startswith(("j", "loop", "notrack jmp", "bnd jmp"))

    @property
    def falls_through(self) -> bool:
        """Whether the next instruction in memory may follow it."""
        return not (
            self.mnemonic
            in ("jmp", "notrack jmp", "bnd jmp", "ret", "retf", "iretq", "hlt", "int3")
            or self.mnemonic in ("ud2", "ud0", "ud1")
            or self.mnemonic.startswith("sysret")
        )

    @property
    def target(self) -> int | None:
        """Where a direct jump or call leads."""
        if (self.is_jump or self.is_call) and self.operands:
            return self.operands[0].immediate
        return None


@functools.cache
def _engine() -> Any:
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    return engine


@functools.cache
def _register_names() -> dict[int, str]:
    engine = _engine()
    import capstone

    return {n: engine.reg_name(n) or "" for n in range(1, capstone.x86.X86_REG_ENDING)}


def _instruction(item: Any) -> Instruction:
    import capstone

    names = _register_names()
    operands = []
    for part in item.operands:
        reads = bool(part.access & capstone.CS_AC_READ)
        writes = bool(part.access & capstone.CS_AC_WRITE)
        if part.type == capstone.x86.X86_OP_REG:
            operands.append(
                Operand(register=names[part.reg], size=part.size, reads=reads, writes=writes)
            )
        elif part.type == capstone.x86.X86_OP_IMM:
            operands.append(Operand(immediate=part.imm & (1 << 64) - 1, size=part.size))
        elif part.type == capstone.x86.X86_OP_MEM:
            memory = Memory(
                segment=names.get(part.mem.segment),
                base=names.get(part.mem.base),
                index=names.get(part.mem.index),
                scale=part.mem.scale,
                displacement=part.mem.disp,
                size=part.size,
            )
            operands.append(Operand(memory=memory, size=part.size, reads=reads, writes=writes))
    _, changed = item.regs_access()
    written = {_WHOLE[name] for n in changed if (name := names.get(n, "")) in _WHOLE}
    return Instruction(
        address=item.address,
        bytes=bytes(item.bytes),
        mnemonic=item.mnemonic,
        text=f"{item.mnemonic} {item.op_str}".strip(),
        operands=tuple(operands),
        written=frozenset(written),
    )


def decode(code: bytes, address: int, most: int = MOST_INSTRUCTIONS) -> tuple[Instruction, ...]:
    """Instructions from the first byte on, up to one that cannot be decoded.

    >>> [i.text for i in decode(bytes.fromhex("488b473890c3"), 0x1000)]
    ['mov rax, qword ptr [rdi + 0x38]', 'nop', 'ret']
    """
    return tuple(_instruction(item) for item in _engine().disasm(code, address, most))


def lite(code: bytes, address: int) -> Iterator[tuple[int, int, str, str]]:
    """Address, size, mnemonic and operands as text: ten times as fast as :func:`decode`."""
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    found: Iterator[tuple[int, int, str, str]] = engine.disasm_lite(code, address)
    return found


@dataclass(frozen=True)
class Function:
    """A function's code with its control flow; instructions are known by their index."""

    name: str
    start: int
    instructions: tuple[Instruction, ...]
    before: tuple[tuple[int, ...], ...] = field(repr=False)
    """For each instruction, those which may have been carried out just before it."""
    after: tuple[tuple[int, ...], ...] = field(repr=False)
    depth: tuple[int | None, ...] = field(repr=False)
    """Bytes by which the stack pointer lies below the frame's base (the value it has after the
    function's return) before each instruction; ``None`` where that is not known."""
    frame_pointer: tuple[int | None, ...] = field(repr=False)
    """The same of ``rbp``, where it holds an address in the frame."""

    def index(self, address: int) -> int | None:
        """Index of the instruction that begins at an address."""
        return self._indices.get(address)

    @functools.cached_property
    def _indices(self) -> dict[int, int]:
        return {row.address: index for index, row in enumerate(self.instructions)}


def function(name: str, *parts: tuple[int, bytes]) -> Function:
    """Decode a function, from its first byte on so that the instructions are in step.

    :param parts: address and code, the entry's part first; compilers move what is seldom carried
        out to a part of its own (``NAME.cold``)
    """
    start = parts[0][0]
    rows = tuple(row for at, code in parts for row in decode(code[:LONGEST_FUNCTION], at))
    indices = {row.address: index for index, row in enumerate(rows)}
    after: list[list[int]] = [[] for _ in rows]
    tables: list[int] = []
    for index, row in enumerate(rows):
        if row.falls_through and index + 1 < len(rows) and row.end == rows[index + 1].address:
            after[index].append(index + 1)
        if row.is_jump:
            target = None if row.target is None else indices.get(row.target)
            if target is not None:
                after[index].append(target)
            elif row.target is None:
                tables.append(index)
    before: list[list[int]] = [[] for _ in rows]
    for index, following in enumerate(after):
        for other in following:
            before[other].append(index)
    # What nothing leads to is reached by a jump through a table, if there is one.
    if tables:
        for index in range(1, len(rows)):
            if not before[index] and rows[index].mnemonic not in ("nop", "int3"):
                before[index].extend(tables)
                for table in tables:
                    after[table].append(index)
    depth, frame_pointer = _stack(rows, after)
    return Function(
        name=name,
        start=start,
        instructions=rows,
        before=tuple(map(tuple, before)),
        after=tuple(map(tuple, after)),
        depth=depth,
        frame_pointer=frame_pointer,
    )


_RETURN_ADDRESS = 8


def _stack(
    rows: tuple[Instruction, ...], after: list[list[int]]
) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """Follow the stack pointer forwards from the entry; where two ways disagree it is unknown."""
    states: list[tuple[int | None, int | None] | None] = [None] * len(rows)
    if rows:
        states[0] = (_RETURN_ADDRESS, None)
    work = [0] if rows else []
    rounds = 0
    while work and rounds < 8 * MOST_INSTRUCTIONS:
        rounds += 1
        index = work.pop()
        state = states[index]
        if state is None:
            continue
        left = _stack_after(rows[index], *state)
        for other in after[index]:
            known = states[other]
            if known is None:
                states[other] = left
                work.append(other)
            elif known != left:
                merged = (
                    known[0] if known[0] == left[0] else None,
                    known[1] if known[1] == left[1] else None,
                )
                if merged != known:
                    states[other] = merged
                    work.append(other)
    return (
        tuple(state[0] if state else None for state in states),
        tuple(state[1] if state else None for state in states),
    )


def _stack_after(
    row: Instruction, depth: int | None, frame: int | None
) -> tuple[int | None, int | None]:
    """Depth of ``rsp`` and of ``rbp`` after an instruction."""
    first = row.operands[0] if row.operands else Operand()
    second = row.operands[1] if len(row.operands) > 1 else Operand()
    if "rbp" in row.written and row.mnemonic != "leave":
        if row.mnemonic == "mov" and second.register == "rsp":
            return depth, depth
        frame = None
        if row.mnemonic == "lea" and second.memory and second.memory.base == "rsp":
            plain = depth is not None and not second.memory.index
            frame = depth - second.memory.displacement if depth is not None and plain else None
    if row.mnemonic == "leave":
        return (None if frame is None else frame - 8), None
    if "rsp" not in row.written or row.is_call:
        return depth, frame
    if depth is None:
        if row.mnemonic == "mov" and first.register == "rsp" and second.register == "rbp":
            return frame, frame
        return None, frame
    if row.mnemonic in ("push", "pushfq"):
        return depth + 8, frame
    if row.mnemonic in ("pop", "popfq"):
        return (None if first.register == "rsp" else depth - 8), frame
    if first.register == "rsp" and second.immediate is not None:
        amount = second.immediate - (1 << 64) if second.immediate >> 63 else second.immediate
        if row.mnemonic == "sub":
            return depth + amount, frame
        if row.mnemonic == "add":
            return depth - amount, frame
    if row.mnemonic == "mov" and second.register == "rbp":
        return frame, frame
    if row.mnemonic == "lea" and second.memory and not second.memory.index:
        if second.memory.base == "rsp":
            return depth - second.memory.displacement, frame
        if second.memory.base == "rbp" and frame is not None:
            return frame - second.memory.displacement, frame
    return None, frame
