"""Instructions of eBPF as text (Documentation/bpf/standardization/instruction-set.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ALU = ("+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "end")
_JUMP = ("goto", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=")
_SIZE = ("u32", "u16", "u8", "u64")
_LD, _LDX, _ST, _STX, _ALU32, _JMP, _JMP32, _ALU64 = range(8)


def lines(data: bytes) -> Iterator[tuple[int, bytes, str]]:
    """Number, bytes and text of each instruction.

    >>> [text for _, _, text in lines(bytes.fromhex("b700000000000000 9500000000000000"))]
    ['r0 = 0', 'exit']
    """
    index = 0
    count = len(data) // 8
    while index < count:
        raw = data[8 * index : 8 * index + 8]
        opcode, registers, offset, immediate = struct.unpack("<BBhi", raw)
        if opcode == 0x18 and index + 1 < count:
            raw += data[8 * index + 8 : 8 * index + 16]
            high = struct.unpack("<i", raw[12:])[0]
            value = (high & 0xFFFFFFFF) << 32 | immediate & 0xFFFFFFFF
            source = registers >> 4
            what = f"map[{value:#x}]" if source else f"{value:#x} ll"
            yield index, raw, f"r{registers & 15} = {what}"
            index += 2
            continue
        yield index, raw, _one(opcode, registers & 15, registers >> 4, offset, immediate)
        index += 1


def _one(opcode: int, target: int, source: int, offset: int, immediate: int) -> str:
    kind, operation = opcode & 7, opcode >> 4
    other = f"r{source}" if opcode & 8 else str(immediate)
    size = _SIZE[opcode >> 3 & 3]
    if kind in (_ALU32, _ALU64):
        name = "r" if kind == _ALU64 else "w"
        if operation >= len(_ALU):
            return f"unknown opcode {opcode:#x}"
        if _ALU[operation] == "neg":
            return f"{name}{target} = -{name}{target}"
        if _ALU[operation] == "end":
            return f"r{target} = {'be' if opcode & 8 else 'le'}{immediate} r{target}"
        value = f"{name}{source}" if opcode & 8 else str(immediate)
        return f"{name}{target} {_ALU[operation]} {value}"
    if kind in (_JMP, _JMP32):
        return _jump(kind, operation, target, other, offset, immediate, source)
    if kind == _LDX:
        return f"r{target} = *({size} *)(r{source} {offset:+})"
    if kind == _STX:
        if opcode >> 5 == 6:
            return f"lock *({size} *)(r{target} {offset:+}) op={immediate:#x} r{source}"
        return f"*({size} *)(r{target} {offset:+}) = r{source}"
    if kind == _ST:
        return f"*({size} *)(r{target} {offset:+}) = {immediate}"
    return f"r0 = *({size} *)skb[{immediate}]" if kind == _LD else f"unknown opcode {opcode:#x}"


def _jump(
    kind: int, operation: int, target: int, other: str, offset: int, immediate: int, source: int
) -> str:
    if operation >= len(_JUMP):
        return "unknown jump"
    word = _JUMP[operation]
    if word == "exit":
        return "exit"
    if word == "goto":
        return f"goto {offset:+}"
    if word == "call":
        return (
            f"call {'pc' if source == 1 else ''}{immediate:+}"
            if source == 1
            else f"call {immediate}"
        )
    name = "r" if kind == _JMP else "w"
    value = other.replace("r", name) if other.startswith("r") else other
    return f"if {name}{target} {word} {value} goto {offset:+}"
