"""Stack trace lines of every machine: x86, arm, arm64, riscv, s390x, powerpc, mips."""

from __future__ import annotations

import re

from oopsight.oops.facts import Frame

_SYMBOL = r"(?P<function>[A-Za-z_$<][\w.$:<>]{0,255})"
_WHERE = r"(?:\+(?P<offset>0x[0-9a-f]{1,8})/(?P<size>0x[0-9a-f]{1,8}))"
_MODULE = r"(?: \[(?P<module>[\w-]{1,64})[^\]]{0,80}\])?"
_FILE = r"(?: (?P<file>[\w./+-]{1,255}\.[chSrs]{1,2}):(?P<line>\d{1,7}))?"

_FRAME = re.compile(
    r"\s*(?:\[?[0-9a-f]{8,16}\]?:? *)?"  # s390x and powerpc: stack pointer
    r"(?:\(?\[?<[0-9a-fp_]{4,16}>\]?\)? *)?(?:\[[0-9a-f]{16}\] *)?"
    r"(?P<unsure>\? *)?\(?" + _SYMBOL + _WHERE + _MODULE + r"\)?" + _FILE
)
_INLINE = re.compile(
    r"\s*(?:\[<[0-9a-fp]{8,16}>\] *)?(?P<unsure>\? *)?" + _SYMBOL
    + r" (?P<file>[\w./+-]{1,255}\.[chSrs]{1,2}):(?P<line>\d{1,7}) \[inline\]"
)  # fmt: skip
# arm: [<80165504>] (kthread_stop) from [<8163f8d8>] (vhci_shutdown+0x88/0x3a0)
_ARM = re.compile(r"\s*\[?<?[0-9a-f]{8}>?\]? \(" + _SYMBOL + r"(?:\+0x\w+/0x\w+)?\) from ")
_ARM_NEW = re.compile(r"\s*" + _SYMBOL + r"(?: \[[\w-]+\])? from ")
_POINTER = re.compile(
    r"\s*(?:RIP|EIP|IP|pc|PC is at|NIP|epc|Krnl PSW|RIP:)\b[ :]*"
    r"(?:[0-9a-f]{4}:)?(?:\[<\w+>\]\s*)*(?:[0-9a-f]{16} )?(?:\()?"
    + _SYMBOL + _WHERE + _MODULE + _FILE
)  # fmt: skip
_POINTER_INLINE = re.compile(
    r"\s*(?:RIP|pc)\b[ :]*(?:[0-9a-f]{4}:)?"
    + _SYMBOL
    + r" (?P<file>\S{1,255}\.[chS]):(?P<line>\d{1,7}) \[inline\]"
)


def _made(match: re.Match[str], *, inline: bool = False) -> Frame:
    parts = match.groupdict()
    return Frame(
        function=parts["function"],
        offset=int(parts["offset"], 16) if parts.get("offset") else None,
        size=int(parts["size"], 16) if parts.get("size") else None,
        module=parts.get("module"),
        file=parts.get("file"),
        line=int(parts["line"]) if parts.get("line") else None,
        reliable=not parts.get("unsure"),
        inline=inline,
    )


def frame(text: str) -> Frame | None:
    """The frame that a line of a stack trace shows, ``None`` where the line is something else."""
    for pattern, inline in ((_INLINE, True), (_FRAME, False), (_ARM, False), (_ARM_NEW, False)):
        match = pattern.match(text)
        if match:
            return _made(match, inline=inline)
    return None


def instruction_pointer(text: str) -> Frame | None:
    """The function that a register dump's program counter line names."""
    match = _POINTER_INLINE.match(text)
    if match:
        return _made(match, inline=True)
    match = _POINTER.match(text)
    return _made(match) if match else None
