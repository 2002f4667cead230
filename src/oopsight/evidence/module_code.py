"""What a module's functions do, as far as their code shows: whom they call, what they refer to.

Not a fact by itself: :mod:`oopsight.evidence.object_users` asks it about modules under suspicion.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence.flow import Reader
from oopsight.evidence.modules import Module

MOST_FUNCTIONS = 400
MOST_TEXT = 1 << 20
_NUMBER = re.compile(r"0x[0-9a-f]+")
_RELATIVE = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+)\]")
# Stores of a byte or word through a pointer, as loops that copy make them.
_STORE = re.compile(r"(?:byte|word|dword|qword) ptr \[r(?!sp|bp|ip)\w+.*\], ")
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class ModuleFunction:
    """One function."""

    name: str
    start: int
    calls: frozenset[str]
    """Names of the functions that it calls or jumps to directly."""
    refers: frozenset[int]
    """Addresses that it takes or accesses."""
    copies: bool
    """Whether it copies or fills memory itself, in a loop or by a string instruction."""


def functions(reader: Reader, module: Module) -> tuple[ModuleFunction, ...]:
    """The functions in a module's memory, in the order of their addresses, bounded."""
    found: list[ModuleFunction] = []
    for begin, end in module.ranges:
        at, last = int(begin), min(int(end), begin + MOST_TEXT)
        while at < last and len(found) < MOST_FUNCTIONS:
            known = reader.code_symbol(at)
            if known is None:
                at += 16
                continue
            name, start, size = known
            if start >= begin and size:
                code = reader.read(start, min(size, last - start))
                if code:
                    found.append(_function(reader, name, start, code))
            at = max(start + size, at + 16)
    return tuple(found)


def _function(reader: Reader, name: str, start: int, code: bytes) -> ModuleFunction:
    from oopsight.kernel.disassembler import disassemble

    calls: set[str] = set()
    refers: set[int] = set()
    loops = copies = stores = False
    stored: list[int] = []
    for address, raw, mnemonic, operands, _ in disassemble(code, start):
        if mnemonic in ("call", "jmp") or mnemonic.startswith("j"):
            target = int(operands, 16) if operands.startswith("0x") else None
            if target is None:
                continue
            if start <= target < start + len(code):
                if target <= address and any(target <= at <= address for at in stored):
                    loops = True
                continue
            called = reader.function(target)
            if called is not None:
                calls.add(called[0])
            continue
        if mnemonic.startswith("rep ") and ("stos" in mnemonic or "movs" in mnemonic):
            copies = True
        if mnemonic == "mov" and _STORE.match(operands):
            stored.append(address)
            stores = True
        relative = _RELATIVE.search(operands)
        if relative:
            distance = int(relative[2], 16) * (1 if relative[1] == "+" else -1)
            refers.add((address + len(raw) + distance) & _MASK)
        else:
            for number in _NUMBER.finditer(operands):
                value = int(number[0], 16)
                before = operands[: number.start()]
                value = -value & _MASK if before.endswith(("-", "- ")) else value
                if value >> 31 == 0x1FFFFFFFF or value >> 47 == 0x1FFFF:
                    refers.add(value)
    return ModuleFunction(
        name=name,
        start=start,
        calls=frozenset(calls),
        refers=frozenset(refers),
        copies=copies or (stores and loops),
    )
