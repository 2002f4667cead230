"""Registers, the address at fault and the processor's family, in every machine's words."""

from __future__ import annotations

from collections.abc import Sequence

from oopsight.oops.facts import Access
from oopsight.oops.families import compiled

MOST_REGISTERS = 80

_NAMED = (
    r"\b([A-Z][A-Z0-9]{1,3}|[rxf]\d{1,2}|[astg]\d{1,2}|sp|pc|lr|ra|gp|tp|fp|ip"
    r"|epc|e[a-d]x|e[sd]i|e[bs]p|badaddr|cause|status) {0,3}: {0,2}(?:0x)?([0-9a-f]"
    r"{8,16})\b"
)
_GROUPS = (
    # powerpc: GPR00: value value value value; mips: $ 0   : value ...; s390: Krnl GPRS: value ...
    (r"\bGPR(\d\d): ((?:[0-9a-f]{8,16}[ ]{0,2}){1,8})", "r{}"),
    (r"\$ ?(\d{1,2}) {0,3}: ((?:[0-9a-f]{8,16}[ ]{0,2}){1,8})", "${}"),
)
_ADDRESSES = (
    r"KASAN: [\w-]{3,40} in range \[0x([0-9a-f]{16})-",
    (
        r"(?:page fault for address|dereference, address|virtual address|at address"
        r"|paging request at|dereference at|access at|for data at address|fetch at):?"
        r" (?:0x)?([0-9a-f]{1,16})\b"
    ),
    r"^\s{0,8}(?:Read|Write) (?:of size \d{1,9} )?at addr ([0-9a-f]{8,16})",
    r"(?:non-canonical|maybe for) address (?:0x)?([0-9a-f]{8,16})",
    r"^(?:Failing|Fault) address: ([0-9a-f]{8,16})",
    r" at addr ([0-9a-f]{8,16})",
    r"^CR2: ([0-9a-f]{8,16})",
)
_KINDS = (
    (
        "execute",
        (
            r"#PF: supervisor instruction fetch|instruction fetch|execute from|execution"
            r" of|Unhandled prefetch"
        ),
    ),
    (
        "write",
        (
            r"#PF: supervisor write|^\s{0,8}Write (?:of|at)|when write|WnR = 1|out-of-bound"
            r"s write|use-after-free write|invalid write|dereference on write|data write"
        ),
    ),
    (
        "read",
        (
            r"#PF: supervisor read|^\s{0,8}Read (?:of|at)|when read|WnR = 0|out-of-bounds"
            r" read|use-after-free read|invalid read|dereference on read|data read"
        ),
    ),
)
_SIZE = r"^\s{0,8}(?:Read|Write) of size (\d{1,9})"
_FAMILIES = (
    ("x86_64", r"\bRIP: |\bRAX: |entry_SYSCALL_64|do_syscall_64|x64_sys_"),
    ("arm64", r"\bx2[0-9] ?: [0-9a-f]{16}|el[01]t?_?(?:svc|sync|64)|\bpstate: [0-9a-f]{8} \("),
    ("arm", r"PC is at|\bpsr: [0-9a-f]{8}|ret_fast_syscall|\(\S+\) from \["),
    ("riscv", r"\bepc ?: |\bbadaddr: "),
    ("s390x", r"Krnl PSW|Krnl GPRS|ilc:\d"),
    ("powerpc", r"\bNIP |\bGPR00: "),
    ("mips", r"\$ ?0 {0,3}: |\bepc {0,3}: [0-9a-f]{8,16} "),
    ("x86_32", r"\bEIP: |\bEAX: |entry_INT80_32|sysenter_"),
)  # fmt: skip


def registers(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The first value of each register; what follows of user space repeats the names."""
    found: dict[str, int] = {}
    for text in texts:
        if ":" not in text or "RIP: 0033" in text:
            if found and "RIP: 0033" in text:
                break
            continue
        for name, value in compiled(_NAMED).findall(text):
            found.setdefault(name, int(value, 16))
        for pattern, name in _GROUPS:
            for first, values in compiled(pattern).findall(text):
                for number, value in enumerate(values.split()):
                    found.setdefault(name.format(int(first) + number), int(value, 16))
        if len(found) >= MOST_REGISTERS:
            break
    return tuple(found.items())[:MOST_REGISTERS]


def program_counter(texts: Sequence[str]) -> int | None:
    """The program counter where it is shown as a number: ``RIP: 0010:0x0``."""
    for text in texts[:60]:
        match = compiled(
            r"^\s{0,8}(?:RIP: 0010:|EIP: 0060:|pc : |PC is at |epc : )"
            r"(?:\[<([0-9a-f]{8,16})>\]|0x([0-9a-f]{1,16})\b)"
        ).match(text)
        if match:
            return int(match[1] or match[2], 16)
    return None


def access(texts: Sequence[str]) -> Access | None:
    """Which address was accessed, and how."""
    near = texts[:60]
    address = size = kind = None
    faulted = any(word in text for text in near[:4] for word in ("nable to handle", "Oops: "))
    for pattern in _ADDRESSES if faulted else _ADDRESSES[:-1]:
        match = next((m for t in near if (m := compiled(pattern).search(t))), None)
        if match:
            address = int(match[1], 16)
            break
    for word, pattern in _KINDS:
        if any(compiled(pattern).search(text) for text in near):
            kind = word
            break
    match = next((m for t in near if (m := compiled(_SIZE).match(t))), None)
    if match:
        size = int(match[1])
    if address is None and kind is None:
        return None
    return Access(address, kind, size)


def family(texts: Sequence[str]) -> str | None:
    """The processor's family, from the words that only its own code prints."""
    for name, pattern in _FAMILIES:
        if any(compiled(pattern).search(text) for text in texts):
            return name
    return None
