"""Disassemble.

From a symbol without a count the whole function; from an address one instruction. Targets of jumps
and calls are named. What the debug information or a source tree (--source) says of the lines
stands between the instructions with -l, and under -s the source itself.

Examples
A function, with its lines:

    crash> dis -l strnlen

From the function's start to an address, as one reads towards a fault:

    crash> dis -r string+72

Ten instructions from an address:

    crash> dis ffffffff945bbe48 10
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.shell.code import one_address
from oopsight.shell.numbers import decimal_first
from oopsight.shell.output import gap_from, readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "dis [-rfludxs][-b [num]] [address | symbol | (expression)] [count]"
OPTIONS = {
    "-r": "from the start of the function to the address",
    "-f": "from the address to the end of the function",
    "-l": "with source file and line, inlined calls too",
    "-u": "the address is one of user space, of the current task",
    "-x": "offsets in hexadecimal",
    "-d": "offsets in decimal",
    "-s": "the source instead, where a source tree was given",
    "-b[=NUM]": "bytes to skip after a BUG's ud2 (none are skipped: instructions are exact)",
}
MOST_BYTES = 1 << 20
_LONGEST = 15


@dataclass(frozen=True)
class Instruction:
    """One instruction."""

    address: int
    data: bytes
    mnemonic: str
    operands: str
    target: int | None
    """Where a jump or call goes."""


def decode(shell: Shell, data: bytes, address: int) -> Iterator[Instruction]:
    """Instructions of the machine that the dump is of; bytes that are none are shown as such."""
    import capstone
    from drgn import Architecture

    platform = shell.prog.platform
    arch = platform.arch if platform else Architecture.X86_64
    if arch == Architecture.AARCH64:
        engine = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        smallest = 4
    elif arch == Architecture.X86_64:
        engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        engine.syntax = capstone.CS_OPT_SYNTAX_ATT
        smallest = 1
    else:
        raise ValueError(f"{arch} is not disassembled")
    at = 0
    while at < len(data):
        done = at
        for start, size, mnemonic, operands in engine.disasm_lite(data[at:], address + at):
            done = start + size - address
            target = None
            if mnemonic.startswith(("j", "call", "b", "cb", "tb", "loop")):
                last = operands.rpartition(" ")[2].lstrip("#")
                if last.startswith("0x"):
                    target = int(last, 16)
            if arch == Architecture.X86_64:
                mnemonic, operands = as_binutils(mnemonic, operands)  # noqa: PLW2901  # rewritten
            raw = data[start - address :][:size]
            yield Instruction(start, raw, mnemonic, operands, target)
        if done == at:
            bad = data[at : at + smallest]
            yield Instruction(address + at, bad, "(bad)", "", None)
            done = at + len(bad)
        at = done


_SUFFIXED = re.compile(
    r"(mov|lea|add|sub|and|or|xor|cmp|test|push|pop|inc|dec|neg|not|shl|shr|sar|sal|rol|ror|adc|"
    r"sbb|imul|mul|div|idiv|xchg|cmpxchg|xadd|bt|bts|btr|btc|bsf|bsr|bswap|movabs|shld|shrd)[bwlq]"
)
_ALWAYS = {"callq": "call", "jmpq": "jmp", "retq": "ret", "leaveq": "leave", "iretq": "iretq"}
_DECIMAL = re.compile(r"(?<![\w%$])(-?)(\d+)(?=\()|(?<=\$)(-?)(\d+)(?![\dx])")
_NO_SCALE = re.compile(r"\((%\w+)?, ?(%\w+)\)")


_NEGATIVE = re.compile(r"\$(-0x[0-9a-f]+)")


def _bits(mnemonic: str, operands: str) -> int:
    """Width of an instruction's operands."""
    last = operands.rpartition("%")[2].rstrip(")")
    if "%" in operands and not operands.endswith(")"):
        if re.fullmatch(r"[abcd][lh]|[sd]il|[sb]pl|r\d+b", last):
            return 8
        if re.fullmatch(r"[abcd]x|[sd]i|[sb]p|r\d+w", last):
            return 16
        return 32 if re.fullmatch(r"e\w\w|r\d+d", last) else 64
    return {"b": 8, "w": 16, "l": 32}.get(mnemonic[-1:], 64)


def as_binutils(mnemonic: str, operands: str) -> tuple[str, str]:
    """AT&T syntax as binutils writes it: no suffix where a register tells the size.

    >>> as_binutils("leaq", "(%rdi, %rsi), %rdx")
    ('lea', '(%rdi, %rsi, 1), %rdx')
    >>> as_binutils("cmpb", "$0, 8(%rax)")
    ('cmpb', '$0x0, 0x8(%rax)')
    """
    mnemonic = _ALWAYS.get(mnemonic, mnemonic)
    if (_SUFFIXED.fullmatch(mnemonic) and re.search(r"(^|, )%", operands)) or mnemonic in (
        "pushq",
        "popq",
    ):
        mnemonic = mnemonic[:-1]
    operands = _DECIMAL.sub(
        lambda m: f"{m.group(1) or m.group(3) or ''}{int(m.group(2) or m.group(4)):#x}", operands
    )
    bits = _bits(mnemonic, operands)
    operands = _NEGATIVE.sub(lambda m: f"${int(m.group(1), 16) & (1 << bits) - 1:#x}", operands)
    return mnemonic, _NO_SCALE.sub(lambda m: f"({m.group(1) or ''}, {m.group(2)}, 1)", operands)


def run(shell: Shell, args: Args, out: Out) -> None:
    """Disassemble the function or instructions asked for."""
    from oopsight.shell import CommandError

    if args.has("-b") and not args.rest:
        out.line("encoded bytes being skipped after ud2: 0")
        return
    if not args.rest:
        raise CommandError(f"an address is needed; usage: {SYNOPSIS}")
    word = args.rest[0]
    count = decimal_first(args.rest[1]) if len(args.rest) > 1 else None
    address = _address(shell, word)
    named = None if args.has("-u") else shell.names.of(address)
    if args.has("-s"):
        _source(shell, address, count, out)
        return
    start, end = address, None
    if named is not None and named.size and not args.has("-u"):
        last = named.address + named.size
        if args.has("-r"):
            start, end = named.address, address + 1
        elif args.has("-f") or (count is None and not named.offset and not _is_number(word)):
            end = last
    if end is None:
        count = count or 1
        end = start + _LONGEST * count
    elif args.has("-f") and count:
        end = min(end, start + _LONGEST * count)
    _instructions(shell, args, out, start, min(end, start + MOST_BYTES), address, count)


def _is_number(word: str) -> bool:
    from oopsight.shell.numbers import hexadecimal

    return hexadecimal(word) is not None or "+" in word or word.startswith("(")


def _address(shell: Shell, word: str) -> int:
    base, plus, offset = word.partition("+")
    start = shell.names.address_of(base) if plus else None
    if start is not None:
        try:
            return start + int(offset, 0)
        except ValueError:
            pass
    return shell.address(word)


def _read(shell: Shell, args: Args, start: int, end: int, out: Out) -> bytes:
    """The bytes up to the first page that is missing, which is marked."""
    data = b""
    at = start
    while at < end:
        size = min(end, (at | 0xFFF) + 1) - at
        try:
            if args.has("-u"):
                from drgn.helpers.linux.mm import access_process_vm

                data += access_process_vm(shell.task, at, size)
            else:
                data += shell.session.read(at, size)
        except readable_errors() as error:
            if not data:
                out.line(out.count(gap_from(error, "text")).line)
            break
        at += size
    return data


def _instructions(
    shell: Shell, args: Args, out: Out, start: int, end: int, address: int, count: int | None
) -> None:
    reverse = args.has("-r")
    # The last instruction of -r may reach behind its first byte.
    rows = decode(shell, _read(shell, args, start, end + (_LONGEST if reverse else 0), out), start)
    kept: list[Instruction] = []
    for row in rows:
        kept.append(row)
        if reverse and row.address >= address:
            break
        if not reverse and (
            (count is not None and len(kept) >= count) or row.address + len(row.data) >= end
        ):  # one condition
            break
    if reverse and count is not None:
        kept = kept[-count:]
    hexa = args.has("-x") or (shell.settings.radix == 16 and not args.has("-d"))
    last_line = ""
    for row in kept:
        if args.has("-l") and not args.has("-u"):
            line = "\n".join(
                f"{s}" + (f" (inlined {s.function})" if i + 1 < len(found) else "")
                for found in [shell.names.source(row.address)]
                for i, s in enumerate(found)
            )
            if line and line != last_line:
                out.lines(line)
            last_line = line or last_line
        _show(shell, row, out, hexadecimal=hexa, user=args.has("-u"))


def _label(shell: Shell, address: int, *, hexadecimal: bool) -> str:
    named = shell.names.of(address)
    if named is None:
        return ""
    offset = named.offset
    tail = "" if not offset else f"+{offset:#x}" if hexadecimal else f"+{offset}"
    module = f" [{named.module}]" if named.module else ""
    return f" <{named.name}{tail}>{module}"


def _show(shell: Shell, row: Instruction, out: Out, *, hexadecimal: bool, user: bool) -> None:
    label = "" if user else _label(shell, row.address, hexadecimal=hexadecimal)
    operands = row.operands.replace(", ", ",")
    if row.target is not None and not user:
        operands += _label(shell, row.target, hexadecimal=hexadecimal)
    out.row(
        f"{row.address:#x}{label}:\t{row.mnemonic:<6} {operands}".rstrip(),
        address=Address(row.address),
        bytes=row.data.hex(),
        text=f"{row.mnemonic} {row.operands}".strip(),
        target=None if row.target is None else Address(row.target),
    )


def _source(shell: Shell, address: int, count: int | None, out: Out) -> None:
    from oopsight.shell import CommandError

    lines = shell.names.source(address)
    if not lines:
        raise CommandError(f"{address:x}: no source line is known")
    for line in lines:
        out.line(f"FILE: {line.file}\nLINE: {line.line}\nFUNCTION: {line.function}\n")
        out.row(None, file=line.file, line=line.line, function=line.function)
        if shell.session.source_tree is None:
            continue
        from oopsight.evidence.crash.code import source_lines

        for row in source_lines(shell.session.source_tree, f"{line.file}:{line.line}"):
            if count is not None and row.number > line.line + count:
                break
            out.line(f"{'*' if row.faulted else ' '} {row.number:<5} {row.text}")
    if shell.session.source_tree is None:
        out.line("source code is not available; --source DIR names a tree of this version")


def drgn_code(shell: Shell, args: Args) -> str:
    """Drgn has the bytes, capstone reads them."""
    where = one_address(shell, args)
    count = args.rest[1] if len(args.rest) > 1 else "0"
    return f"""
from capstone import CS_ARCH_X86, CS_MODE_64, Cs

symbol = prog.symbol({where})
code = prog.read({where}, symbol.address + symbol.size - {where})
for instruction in Cs(CS_ARCH_X86, CS_MODE_64).disasm(code, {where}, {count}):
    print(hex(instruction.address), instruction.mnemonic, instruction.op_str)"""
