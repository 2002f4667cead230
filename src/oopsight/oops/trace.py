"""Stack trace lines of every machine: x86, arm, arm64, riscv, s390x, powerpc, mips."""

from __future__ import annotations

import functools
import re

from oopsight.oops.facts import Frame

_SYMBOL = r"(?P<function><[^+\n]{1,200}>(?:::[\w:<>{}#]{1,120})?|[A-Za-z_$][\w.$:<>{}#]{0,255})"
_WHERE = r"\+(?P<offset>0x[0-9a-f]{1,8})/(?P<size>0x[0-9a-f]{1,8})"
_MODULE = r"(?: \[(?P<module>[\w-]{1,64})[^\]]{0,80}\])?"
_FILE = r" {1,2}(?P<file>[\w./+-]{1,255}\.(?:[chS]|rs)):(?P<line>\d{1,7})"
_STACK_MARK = r"(?:</?[A-Z#][A-Z0-9# ]{1,12}> {0,3})?"
_ADDRESS = r"(?:\(?\[?<[0-9a-fp_]{4,18}>\]? {0,2})?"


@functools.cache
def _frame() -> re.Pattern[str]:
    return re.compile(
        rf"\s{{0,16}}{_STACK_MARK}(?:(?:\[[0-9a-f]{{8,16}}\]|[0-9a-f]{{8,16}}):? {{0,4}}){{0,2}}"
        rf"{_ADDRESS}(?P<unsure>\? {{0,2}})?\(?{_SYMBOL}{_WHERE}{_MODULE}\)?(?:{_FILE})?"
        r"(?P<unreliable> \(unreliable\))?"
    )


@functools.cache
def _inline() -> re.Pattern[str]:
    return re.compile(
        rf"\s{{0,16}}{_ADDRESS}(?P<unsure>\? {{0,2}})?{_SYMBOL}{_FILE}(?: \[inline\]|\s{{0,4}}$)"
    )


@functools.cache
def _arm() -> re.Pattern[str]:
    """``[<80165504>] (kthread_stop) from [<8163f8d8>] (vhci_shutdown+0x88/0x3a0)``, new and old."""
    return re.compile(
        rf"\s{{0,16}}(?:\[?<[0-9a-f]{{8}}>\]? )?\(?{_SYMBOL}(?:\+0x\w{{1,8}}/0x\w{{1,8}})?"
        r"(?: \[[\w-]{1,64}\])?\)? from (?:\[?<[0-9a-f]{8}>\]? )?\(?[\w.$]{1,255}"
    )


@functools.cache
def _pointer() -> re.Pattern[str]:
    inlined = _FILE.replace("file", "file2").replace("<line", "<line2")
    return re.compile(
        r"\s{0,8}(?:E?IP is at|RIP|EIP|IP|pc|PC is at|NIP|epc|Krnl PSW)\b[ :]{0,4}"
        r"(?:[0-9a-f]{4}:)?(?:\[?<[0-9a-fp_]{4,18}>\]?\s{0,3}){0,2}(?:[0-9a-f]{16} )?"
        r"(?:[0-9a-f]{8,16} |\[[0-9a-f]{8,16}\] )?[\[(]?"
        rf"{_SYMBOL}(?:{_WHERE}{_MODULE}[\])]?(?:{_FILE})?|{inlined} \[inline\])"
    )


def demangled(name: str) -> str:
    """A C++ or Rust name, as far as its parts alone tell.

    >>> demangled("_ZN4core9panicking5panic17h0123456789abcdefE"), demangled("_Z8fakeNameiii")
    ('core::panicking::panic', 'fakeName')
    """
    if not name.startswith("_Z"):
        return name
    position = 3 if name.startswith("_ZN") else 2
    parts: list[str] = []
    while position < len(name) and len(parts) < 32:
        digits = re.match(r"\d{1,3}", name[position:])
        if digits is None:
            break
        start = position + digits.end()
        position = start + int(digits[0])
        parts.append(name[start:position])
        if name[2] != "N":
            break
    if len(parts) > 1 and re.fullmatch(r"h[0-9a-f]{16}", parts[-1]):
        parts.pop()
    return "::".join(parts) or name


def _made(match: re.Match[str], *, inline: bool = False) -> Frame:
    parts = match.groupdict()
    file, line = parts.get("file") or parts.get("file2"), parts.get("line") or parts.get("line2")
    return Frame(
        function=demangled(parts["function"]),
        offset=int(parts["offset"], 16) if parts.get("offset") else None,
        size=int(parts["size"], 16) if parts.get("size") else None,
        module=parts.get("module"),
        file=file,
        line=int(line) if line else None,
        reliable=not (parts.get("unsure") or parts.get("unreliable")),
        inline=inline or bool(parts.get("file2")),
    )


def frame(text: str) -> Frame | None:
    """The frame that a line of a stack trace shows, ``None`` where the line is something else."""
    if "+0x" in text:
        match = (_arm().match(text) if " from " in text else None) or _frame().match(text)
        return _made(match) if match else None
    if " from " in text:
        match = _arm().match(text)
        return _made(match) if match and "<" in text else None
    if ":" in text:
        match = _inline().match(text)
        return _made(match, inline=True) if match else None
    return None


def instruction_pointer(text: str) -> Frame | None:
    """The function that a register dump's program counter line names."""
    match = _pointer().match(text) if "+0x" in text or "[inline]" in text else None
    return _made(match) if match else None
