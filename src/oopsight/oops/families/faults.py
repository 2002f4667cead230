"""Traps of the processor: page faults, protection faults, and what the machines call them."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Format

_NULL = "BUG: unable to handle kernel NULL pointer dereference"
_PAGING = "BUG: unable to handle kernel paging request"

FORMATS = (
    Format(
        Kind.NULL_DEREF,
        "NULL pointer dereference",
        re.compile(r"(?:BUG: |nable to handle )(?:unable to handle )?kernel NULL pointer deref"),
        _NULL + " in {function}",
        "x86 fault.c and the die_kernel_fault() of arm, arm64, riscv: the address is below a page",
    ),
    Format(
        Kind.PAGE_FAULT,
        "nable to handle",
        re.compile(
            r"[Uu]nable to handle (?:kernel paging request|page fault for address"
            r"|kernel (?:unaligned|execut|write|read|access)|paging request|0x\w+ fault)"
        ),
        _PAGING + " in {function}",
        "a kernel address that is not mapped, or not that way",
    ),
    Format(
        Kind.PAGE_FAULT,
        "access to user memory",
        re.compile(r"[Uu]nable to handle kernel access to user memory"),
        "BUG: unable to handle kernel access to user memory in {function}",
        "the kernel touched a user address outside the copy routines (SMAP, PAN)",
        rank=40,
    ),
    Format(
        Kind.PAGE_FAULT,
        "Unhandled fault",
        re.compile(r"^\W*Unhandled fault: "),
        "Unhandled fault in {function}",
        "arm: an abort that no handler claims",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Alignment trap",
        re.compile(r"^\W*Alignment trap: not handling"),
        "Alignment trap in {function}",
        "arm: an unaligned access by an instruction that cannot be emulated",
        rank=40,
        leads_to=("Unhandled fault",),
    ),
    Format(
        Kind.GENERAL_PROTECTION,
        "general protection fault",
        re.compile(r"general protection fault(?:, [^:]{1,200})?: (?:[0-9a-f]{4}|\S+ )"),
        "general protection fault in {function}",
        "x86 traps.c: mostly an address that is not canonical",
    ),
    Format(
        Kind.DIVIDE_ERROR,
        "divide error",
        re.compile(r"divide error: [0-9a-f]{4}"),
        "divide error in {function}",
        "x86: division by zero or an overflowing quotient",
    ),
    Format(
        Kind.DOUBLE_FAULT,
        "double fault",
        re.compile(r"PANIC: double fault"),
        "PANIC: double fault in {function}",
        "x86: a fault while entering the handler of another, mostly for want of stack",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Internal error",
        re.compile(r"Internal error: "),
        "Internal error in {function}",
        "arm, arm64: die() without a more special headline before it",
        rank=80,
    ),
    Format(
        Kind.TRAP_OTHER,
        "int3",
        re.compile(r"^(?:Oops: )?int3: [0-9a-f]{4}"),
        "int3 in {function}",
        "x86: a breakpoint in kernel text that nobody set",
    ),
    Format(
        Kind.TRAP_OTHER,
        "invalid opcode",
        re.compile(r"^(?:Oops: )?invalid opcode: [0-9a-f]{4}"),
        "invalid opcode in {function}",
        "x86: an undefined instruction that is no BUG()",
        rank=80,
    ),
    Format(
        Kind.TRAP_OTHER,
        "stack segment",
        re.compile(r"^(?:Oops: )?stack segment: [0-9a-f]{4}"),
        "stack segment fault in {function}",
        "x86: a stack address that is not canonical",
    ),
    Format(
        Kind.TRAP_OTHER,
        "Bad mode in",
        re.compile(r"Bad mode in "),
        "bad mode in {function}",
        "arm64: an exception from a state where none may come",
    ),
)
