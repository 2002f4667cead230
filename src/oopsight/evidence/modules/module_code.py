"""What a module's functions do, as far as their code shows: whom they call, what they refer to.

Not a fact by itself: :mod:`oopsight.evidence.memory.object_users` asks it about modules under
suspicion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence.flow import Reader
from oopsight.evidence.modules.code_loops import Store, appends, written_in_loops
from oopsight.evidence.modules.modules import Module
from oopsight.kernel.addresses import in_kernel_half
from oopsight.kernel.calling_convention import CALLER_SAVED

if TYPE_CHECKING:
    from oopsight.kernel.disassembler import Row

MOST_FUNCTIONS = 400
MOST_TEXT = 1 << 20
MOST_CODE = 1 << 14
"""Bytes of one function that are read."""
_STEP = 16  # what functions are aligned to
_GAP = 512
"""After so many bytes without code the rest of the page is taken for data."""
_PAGE = 4096
_NUMBER = re.compile(r"0x[0-9a-f]+")
_IMMEDIATE = re.compile(r"-?(?:0x[0-9a-f]+|\d+)")
_RELATIVE = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+)\]")
# Stores of a byte or word through a pointer, as loops that copy make them.
_STORE = re.compile(
    r"(?P<width>byte|word|dword|qword) ptr \[(?P<base>r(?!ip)\w+)(?P<index> \+ r\w+)?.*\], "
)
_OF_BITS = ("bts", "btr", "btc")
_BIT = re.compile(r"\w+ ptr \[(?P<base>r\w+).*\], r")
"""One of a bitmap, by its number in a register, however far that is."""
_WIDTHS = {"byte": 1, "word": 2, "dword": 4, "qword": 8}
_STRING = re.compile(r"[qd]?word|byte")
_LOCAL = re.compile(r"(?P<to>r\w+), (?P<from>r\w+)$|(?P<into>r\w+), \[(?P<base>r\w+).*\]$")
_ZERO = ("xor", "eax, eax")
_SET = re.compile(r"(?P<register>[re]\w+)(?:, |$)")
_MOVES_ON = ("add", "sub", "and", "inc", "dec")
_LOWER_HALF = {f"e{name}": f"r{name}" for name in ("ax", "bx", "cx", "dx", "si", "di", "bp")}
_MASK = (1 << 64) - 1
_MOVED = re.compile(r"\[r\w+ \+ r\w+(?:\*\d)?(?: [+-] \w+)?\]")
_ROOM_IN = {
    **dict.fromkeys(("snprintf", "scnprintf", "vsnprintf", "vscnprintf"), "rsi"),
    **dict.fromkeys(("strscpy", "sized_strscpy", "strncpy", "strlcpy"), "rdx"),
}
"""Of functions that are told how much room there is, the register that says it."""
_PARTS = ("rcx", "r8", "r9")
"""What ``sscanf()`` fills behind the first."""


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
    """Whether it copies or fills memory itself, in a loop that goes on from one piece to the next
    or by a string instruction; its own stack does not count."""
    to_stack: frozenset[str] = frozenset()
    """Those of :attr:`calls` that it gives only addresses on its own stack to fill."""
    indexed: bool = False
    """Whether it stores to a place that an index tells, as into an array."""
    bytewise: bool = False
    """Whether it copies byte by byte, as text is."""
    own: frozenset[str] = frozenset()
    """Those of :attr:`calls` that are the module's own: their names say nothing."""
    runs_on: frozenset[str] = frozenset()
    """Those of :attr:`calls` that it tells the same room each time, as a number, and an address
    that it moves on."""
    zeroes: bool = False
    """Whether all that it copies or fills itself becomes zero."""
    appends: bool = False
    """Whether it stores a byte behind those before, with no limit: its callers go on and on."""

    @property
    def outside(self) -> frozenset[str]:
        """Those of :attr:`calls` that are not the module's own."""
        return self.calls - self.own


def functions(reader: Reader, module: Module) -> tuple[ModuleFunction, ...]:
    """The functions in a module's memory, in the order of their addresses, bounded."""
    return tuple(_function(reader, module, *one) for one in machine_code(reader, module))


def machine_code(reader: Reader, module: Module) -> Iterator[tuple[str, int, bytes]]:
    """Name, start and code of each of a module's functions, by their addresses, bounded."""
    count = 0
    for begin, end in module.ranges:
        at, last, gap = int(begin), min(int(end), begin + MOST_TEXT), 0
        while at < last and count < MOST_FUNCTIONS:
            known = reader.code_symbol(at)
            if known is None:
                at, gap = (at + _STEP, gap + _STEP) if gap < _GAP else (_next_page(at), 0)
                continue
            gap = 0
            name, start, size = known
            if start >= begin and size:
                code = reader.read(start, min(size, last - start))
                if code:
                    count += 1
                    yield name, start, code
            at = max(start + size, at + _STEP)


def _next_page(address: int) -> int:
    return address // _PAGE * _PAGE + _PAGE


def instructions(reader: Reader, address: int) -> list[Row]:
    """The instructions of the function that holds an address, none where it cannot be read."""
    from oopsight.kernel.disassembler import disassemble

    known = reader.function(address)
    code = reader.read(known[1], min(known[2], MOST_CODE)) if known is not None else None
    return disassemble(code, known[1]) if known is not None and code else []


def _function(reader: Reader, module: Module, name: str, start: int, code: bytes) -> ModuleFunction:
    from oopsight.kernel.disassembler import disassemble

    calls: set[str] = set()
    own: set[str] = set()
    refers: set[int] = set()
    indexed = False
    loops: dict[int, int] = {}
    stores: dict[int, Store] = {}
    widths: set[int] = set()
    filling: set[bool] = set()  # with zeros or otherwise, by string instructions
    filled: set[str] = set()
    runs_on: set[str] = set()
    last: dict[str, tuple[str, str]] = {}
    stack = {"rsp"}  # registers that hold addresses on the function's own stack
    rows = list(disassemble(code, start))
    for address, raw, mnemonic, operands, _ in rows:
        if mnemonic in ("call", "jmp") or mnemonic.startswith("j"):
            target = int(operands, 16) if operands.startswith("0x") else None
            if target is None:
                continue
            if start <= target < start + len(code):
                if target <= address:
                    loops[target] = address
                continue
            called = reader.function(target)
            if called is not None:
                calls.add(called[0])
                if any(low <= target < high for low, high in module.ranges):
                    own.add(called[0])
                if any(one not in stack for one in _filled_at(called[0], last)):
                    filled.add(called[0])
                if _runs_on(called[0], last):
                    runs_on.add(called[0])
            if mnemonic == "call":
                stack.difference_update(CALLER_SAVED)
                last.clear()
            continue
        if mnemonic.startswith("rep ") and ("stos" in mnemonic or "movs" in mnemonic):
            width = _STRING.search(operands)
            if "rdi" not in stack and width is not None:
                widths.add(_WIDTHS[width[0]])
                filling.add("stos" in mnemonic and last.get("rax") == _ZERO)
        store = _STORE.match(operands) if mnemonic == "mov" else None
        if store and store["base"] not in stack:
            index = store["index"]
            used = {store["base"], *((index.removeprefix(" + "),) if index else ())}
            stores[address] = Store(frozenset(used), _WIDTHS[store["width"]])
            indexed = indexed or index is not None or _is_moved(*last.get(store["base"], ("", "")))
        bit = _BIT.match(operands) if mnemonic.removeprefix("lock ") in _OF_BITS else None
        indexed = indexed or (bit is not None and bit["base"] not in stack)
        _follow(stack, mnemonic, operands)
        _keep(last, mnemonic, operands)
        refers.update(_referred(address + len(raw), operands))
    in_loops = written_in_loops(rows, loops, stores)
    widths |= in_loops
    return ModuleFunction(
        name=name,
        start=start,
        calls=frozenset(calls),
        refers=frozenset(refers),
        copies=bool(widths),
        to_stack=frozenset(calls - filled),
        indexed=indexed,
        bytewise=1 in widths,
        own=frozenset(own),
        runs_on=frozenset(runs_on),
        zeroes=filling == {True} and not in_loops,
        appends=appends(rows),
    )


def _referred(end: int, operands: str) -> Iterator[int]:
    """Addresses in the kernel's half that an instruction takes or accesses.

    :param end: where the instruction ends
    """
    relative = _RELATIVE.search(operands)
    if relative:
        distance = int(relative[2], 16) * (1 if relative[1] == "+" else -1)
        yield (end + distance) & _MASK
        return
    for number in _NUMBER.finditer(operands):
        value = int(number[0], 16)
        before = operands[: number.start()]
        value = -value & _MASK if before.endswith(("-", "- ")) else value
        if in_kernel_half(value):
            yield value


def filled_by(called: str) -> str:
    """The register with the address of what a function fills."""
    return "rdx" if called.lstrip("_") in ("sscanf", "vsscanf") else "rdi"


def _filled_at(called: str, last: dict[str, tuple[str, str]]) -> list[str]:
    """The registers with what a function fills; of a text that is taken apart, all that were set.

    :param last: what set each register since the last call
    """
    first = filled_by(called)
    more = _PARTS if called.lstrip("_") == "sscanf" else ()
    return [first, *(one for one in more if one in last)]


def _runs_on(called: str, last: dict[str, tuple[str, str]]) -> bool:
    """Whether a function is told the same room however far on it begins.

    :param last: what set each register
    """
    size = _ROOM_IN.get(called.lstrip("_"))
    if size is None or size not in last or "rdi" not in last:
        return False
    set_by, number = last[size]
    fixed = set_by == "mov" and _IMMEDIATE.fullmatch(number.partition(", ")[2]) is not None
    return fixed and _is_moved(*last["rdi"])


def _is_moved(mnemonic: str, operands: str) -> bool:
    """Whether an instruction adds what is not a number of the code's to a pointer."""
    added = operands.partition(", ")[2]
    if mnemonic == "lea":
        return _MOVED.fullmatch(added) is not None
    return mnemonic == "add" and _IMMEDIATE.fullmatch(added) is None


def _keep(last: dict[str, tuple[str, str]], mnemonic: str, operands: str) -> None:
    """Keep what set a register."""
    changed = _SET.match(operands) if mnemonic not in ("cmp", "test", "push") else None
    if changed is not None:
        name = changed["register"]
        last[_LOWER_HALF.get(name, name.removesuffix("d"))] = mnemonic, operands


def _follow(stack: set[str], mnemonic: str, operands: str) -> None:
    """Keep the set of registers that hold addresses on the stack, in the order of the code."""
    moved = _LOCAL.match(operands) if mnemonic in ("mov", "lea") else None
    if moved is not None and (moved["from"] or moved["base"]) in stack:
        stack.add(moved["to"] or moved["into"])
        return
    changed = _SET.match(operands) if mnemonic not in ("cmp", "test", "push") else None
    if changed is not None:
        name = changed["register"]
        # An address that is moved on, or rounded, is within the same memory.
        if name in stack and mnemonic in _MOVES_ON and operands.partition(", ")[2] not in stack:
            return
        stack.discard(_LOWER_HALF.get(name, name.removesuffix("d")))
        stack.add("rsp")
