"""Traps of the processor: page faults, protection faults, and what the machines call them."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format, compiled

_NULL = "BUG: unable to handle kernel NULL pointer dereference"
_PAGING = "BUG: unable to handle kernel paging request"
_USER = "BUG: unable to handle kernel access to user memory"
_GPF = "general protection fault"
# die() of x86 puts its own word in front since 6.10.
_DIE = r"(?:^|[\w:\]-] )(?:Oops: )?"


def _bad_area(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    """A fault address in the first page is a NULL pointer with an offset, as fault.c says."""
    address = compiled(r"(?:address|at|access at):? (?:0x)?([0-9a-f]{1,16})\b").search(match.string)
    if address and int(address[1], 16) < 4096:
        return Kind.NULL_DEREF, _NULL + " in {function}"
    del after
    return None


def _trap(kind: Kind, words: str, title: str, why: str, rank: int = 50) -> Format:
    first = words.split("(?:", maxsplit=1)[0].split("[", maxsplit=1)[0]
    pattern = _DIE + words + r"(?:, [^:]{1,200})?: (?:[0-9a-f]{4}\b|\S{1,60} \[#)"
    return Format(kind, first, pattern, title + " in {function}", why, rank=rank)


FORMATS = (
    Format(
        Kind.NULL_DEREF,
        "NULL pointer dereference",
        r"(?:BUG: |nable to handle )(?:[Uu]nable to handle )?[Kk]ernel NULL pointer deref",
        _NULL + " in {function}",
        "x86 fault.c, powerpc, and die_kernel_fault() of arm, arm64, riscv: below a page",
    ),
    Format(
        Kind.NULL_DEREF,
        "<NULL> pointer",
        r"nable to handle kernel <NULL> pointer",
        _NULL + " in {function}",
        "other machines' way to write it",
    ),
    Format(
        Kind.PAGE_FAULT,
        "user memory",
        r"nable to handle kernel (?:access to|execution of) user memory",
        _USER + " in {function}",
        "the kernel touched a user address outside the copy routines (SMAP, PAN, SUM)",
        rank=40,
    ),
    Format(
        Kind.PAGE_FAULT,
        "nable to handle",
        (
            r"nable to handle (?:kernel )?(?:paging request|page fault for address|unaligned"
            r"|execut|write|read|access|data access|instruction fetch|pointer dereference"
            r"|0x\w{1,16} fault|unknown fault)"
        ),
        _PAGING + " in {function}",
        "a kernel address that is not mapped, or not that way, in any machine's words",
        refine=_bad_area,
    ),
    Format(
        Kind.PAGE_FAULT,
        "Unhandled fault",
        r"(?:^|[\]:] )Unhandled (?:fault|prefetch abort): ",
        "Unhandled fault in {function}",
        "arm: an abort that no handler claims; in user space it is no crash",
        drop=True,
    ),
    Format(
        Kind.PAGE_FAULT,
        "Unhandled prefetch abort",
        r"Unhandled prefetch abort: ",
        "Unhandled prefetch abort in {function}",
        "arm: an instruction could not be fetched",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Alignment trap",
        r"^\W{0,8}Alignment trap: not handling instruction \w{1,16} at \[<[89a-f]\w{7,15}>",
        "Alignment trap in {function}",
        "arm: an unaligned access by an instruction that cannot be emulated",
        rank=40,
        leads_to=("Unhandled fault",),
    ),
    _trap(Kind.GENERAL_PROTECTION, _GPF, _GPF, "x86 traps.c: mostly no canonical address"),
    _trap(Kind.DIVIDE_ERROR, "divide[ _]error", "divide error", "x86: division by zero"),
    Format(
        Kind.DIVIDE_ERROR,
        "ivide exception",
        r"(?:[Ff]ixpoint divide|decimal divide|HFP divide) exception: [0-9a-f]{4}",
        "divide error in {function}",
        "s390: division by zero",
    ),
    Format(
        Kind.DIVIDE_ERROR,
        "Division by zero in kernel",
        r"Division by zero in kernel",
        "divide error in {function}",
        "arm, without a divide instruction: the library's routine tells",
    ),
    Format(
        Kind.DOUBLE_FAULT,
        "double fault",
        r"(?:PANIC: |traps: |Oops: |^)double fault(?:,|:)",
        "PANIC: double fault in {function}",
        "x86: a fault while entering the handler of another, mostly for want of stack",
    ),
    _trap(Kind.TRAP_OTHER, "int3", "int3", "x86: a breakpoint in kernel text that nobody set"),
    _trap(
        Kind.TRAP_OTHER, "invalid opcode", "invalid opcode",
        "x86: an undefined instruction that is no BUG()", rank=80,
    ),
    _trap(
        Kind.TRAP_OTHER, "stack segment", "stack segment fault",
        "x86: a stack address that is not canonical",
    ),
    _trap(Kind.TRAP_OTHER, "alignment check", "alignment check", "x86: an unaligned access"),
    _trap(Kind.TRAP_OTHER, "invalid TSS", "invalid TSS", "x86: a broken task segment"),
    _trap(Kind.TRAP_OTHER, "segment not present", "segment not present", "x86: a bad selector"),
    _trap(
        Kind.TRAP_OTHER, "control protection", "control protection",
        "x86: a return or indirect jump that the shadow stack or IBT refuses",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Missing ENDBR",
        r"(?:traps: )?Missing ENDBR: ",
        "Missing ENDBR in {function}",
        "x86: an indirect call to where no call may go (IBT)",
        rank=30,
        leads_to=("kernel BUG at",),
    ),
    Format(
        Kind.TRAP_OTHER,
        "CFI failure",
        r"CFI failure at ",
        "CFI failure in {function}",
        "an indirect call to a function of another type",
        rank=30,
        leads_to=("invalid opcode", "Internal error", "WARNING"),
    ),
    Format(
        Kind.TRAP_OTHER,
        "PANIC: early exception",
        r"PANIC: early exception ",
        "PANIC: early exception in {function}",
        "x86: a trap before there are handlers",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Internal error",
        r"Internal error: (?!Oops - BUG)",
        "Internal error in {function}",
        "arm, arm64: die() without a more special headline before it",
        rank=80,
    ),
    Format(
        Kind.BUG,
        "Internal error",
        r"Internal error: Oops - BUG",
        "kernel BUG in {function}",
        "arm, arm64: BUG() whose own line is lost",
        rank=80,
    ),
    Format(
        Kind.TRAP_OTHER,
        "Bad mode in",
        r"Bad mode in ",
        "kernel panic: bad mode",
        "arm64: an exception from a state where none may come",
        blame=Blame.INNERMOST,
    ),
    Format(
        Kind.TRAP_OTHER,
        "exception: 00",
        (
            r"(?:illegal operation|privileged operation|protection exception|addressing exception"
            r"|specification exception|data exception|operand exception|translation exception"
            r"|stack overflow|execute exception): 00\w\w ilc"
        ),
        "{match} in {function}",
        "s390: a program check",
        rank=70,
    ),
    Format(
        Kind.TRAP_OTHER,
        "in kernel code[#",
        r"(?P<match>(?:Reserved|Break|Illegal|Trap) instruction in kernel code|FPU exception)",
        "{match} in {function}",
        "mips: an instruction that the machine does not have",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Unhandled kernel unaligned access",
        r"Unhandled kernel unaligned access",
        "unaligned access in {function}",
        "mips: an access that cannot be emulated",
    ),
    Format(
        Kind.HARDWARE_ERROR,
        "SError Interrupt",
        r"SError Interrupt on CPU\d",
        "SError Interrupt in {function}",
        "arm64: the machine reports an error that is not tied to an instruction",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Oops",
        (
            r"(?:^|[\]:] )Oops(?: - [\w /()-]{1,60})?(?::? \w{0,20}.{0,80})? ?\[#\d{1,4}\]"
                r"|(?:^|[\]:] )Oops(?:\[#\d{1,4}\]|: (?:[0-9a-f]{4,16} |Kernel access|Exception"
                r" in kernel"
            r"|Machine check|Bad kernel stack))"
        ),
        "Oops in {function}",
        "die() of any machine, its headline lost",
        rank=85,
    ),
)  # fmt: skip
