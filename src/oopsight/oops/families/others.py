"""Bad pages, slab checks, out of memory, reference leaks, and panics without a report before."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format, compiled, without_numbers

# What panic() is called with where a detector calls it; its own report, if any, came before.
_PANICS = (
    (Kind.HUNG_TASK, r"hung_task: blocked tasks"),
    (Kind.OOM, r"[Oo]ut of memory|System is deadlocked on memory"),
    (Kind.SOFT_LOCKUP, r"softlockup: hung tasks"),
    (Kind.HARD_LOCKUP, r"[Hh]ard LOCKUP|Watchdog detected"),
    (Kind.RCU_STALL, r"RCU Stall"),
    (Kind.WARNING, r"panic_on_warn set"),
    (Kind.WORKQUEUE_LOCKUP, r"workqueue lockup|Panic on workqueue"),
    (Kind.STACK_OVERFLOW, r"[Kk]ernel stack overflow|[Ss]tack overflow|Corrupt kernel stack"),
    (Kind.SLEEPING_IN_ATOMIC, r"scheduling while atomic"),
    (
        Kind.HARDWARE_ERROR,
        r"(?i:machine check)|(?i:fatal hardware error)|Asynchronous SError|[Uu]ncorrected hardware"
        r"|Memory failure|Not all CPUs entered broadcast exception|NMI: IOCK error"
        r"|Fatal local machine|Unrecoverable|PCI-Express Fatal",
    ),
    (Kind.DOUBLE_FAULT, r"[Dd]ouble fault"),
    (Kind.TRAP_OTHER, r"bad mode|Unhandled exception|Unexpected exception"),
)


def _panic(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    del after
    what = match["what"]
    kind = next((kind for kind, words in _PANICS if compiled(words).search(what)), Kind.PANIC_OTHER)
    # What the message says of this one machine is no part of the title.
    what = compiled(r"(?: for \S{1,40})? -+ error -?\d+\.?$| exitcode=0x\w+.*$").sub("", what)
    what = without_numbers(what.rstrip(" ."))
    if kind is Kind.PANIC_OTHER and compiled(r"^Fatal exception").match(what):
        what = "Fatal exception" + (" in interrupt" if "in interrupt" in what else "")
    return kind, "kernel panic: " + what.replace("{", "{{").replace("}", "}}")


FORMATS = (
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: Bad ",
        r"BUG: Bad (?P<what>page state|page cache)",
        "BUG: Bad {what} in {function}",
        "page flags or counts that cannot be",
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: Bad ",
        r"BUG: Bad page map",
        "BUG: Bad page map",
        "a page table entry that cannot be",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: Bad ",
        r"BUG: Bad (?P<what>rss-counter) state",
        "BUG: Bad rss-counter state",
        "a dying mm with pages left in its account",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: non-zero ",
        r"BUG: non-zero (?P<what>pgtables_bytes|nr_ptes|nr_pmds) on freeing mm",
        "BUG: non-zero {what} on freeing mm",
        "the same, of page tables",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "bad p",
        r"\.[chS]:\d{1,7}: bad p(?:md|ud|gd|4d|te)\b",
        "BUG: bad page table entry in {function}",
        "a page table entry that cannot be",
    ),
    Format(
        Kind.INVALID_FREE,
        "Object already free",
        r"BUG \S{1,80} ?\(.{1,80}\): Object already free",
        "BUG: Object already free",
        "SLUB debugging: freed twice",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG ",
        (
            r"(?:^|[\]:] )BUG \S{1,80}(?: ?\((?:Not tainted|Tainted.{0,60})\))?: "
            r"(?P<what>(?!kasan)[\w /()'-]{3,80})"
        ),
        "BUG: {what} in {function}",
        "SLUB debugging: poison or red zone overwritten",
        rank=60,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "Freed in",
        r"INFO: (?P<what>(?:Freed|Allocated) in \S{1,128}) age=",
        "INFO: {what} age=NUM cpu=NUM pid=NUM",
        "a line of SLUB's report, its head lost",
        blame=Blame.NOBODY,
        rank=90,
        refine=lambda _after, match: (
            Kind.MEMORY_CORRUPTION,
            "INFO: " + match["what"].split("+")[0] + " age=NUM cpu=NUM pid=NUM",
        ),
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "Slab corruption",
        r"Slab corruption",
        "BUG: slab corruption in {function}",
        "SLAB debugging",
        rank=60,
    ),
    Format(
        Kind.STACK_CORRUPTION,
        "stack-protector: ",
        (
            r"stack-protector: Kernel stack is corrupted in: (?:\[?<?[0-9a-f]{8,16}>?\]?"
            r"|(?P<first>[\w.]{1,128}))?"
        ),
        "kernel panic: stack is corrupted in {function}",
        "the canary was overwritten; the headline names the function",
        blame=Blame.HEADLINE,
        rank=20,
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "guard page was hit",
        r"(?:\w{1,20} )?stack guard page was hit",
        "BUG: stack guard page was hit in {function}",
        "the stack grew beyond its end",
        leads_to=("kernel stack overflow", "stack guard page"),
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "ernel stack overflow",
        r"(?:^|[\]:] )(?:Kernel panic - not syncing: )?[Kk]ernel stack overflow",
        "kernel stack overflow in {function}",
        "the same, as other machines say it",
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "Insufficient stack space",
        r"Insufficient stack space to handle exception",
        "kernel stack overflow in {function}",
        "arm64, riscv: the exception found no room on the stack",
        leads_to=("kernel stack overflow",),
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "used greatest stack",
        r"do_IRQ: stack overflow:",
        "kernel stack overflow in {function}",
        "32-bit x86: little stack left in an interrupt",
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "corrupted stack end detected",
        r"corrupted stack end detected",
        "kernel panic: corrupted stack end in {function}",
        "schedule() found the magic at the stack's end overwritten",
        blame=Blame.OUTERMOST,
        rank=20,
    ),
    Format(
        Kind.OOM,
        "invoked oom-killer",
        r"invoked oom-killer",
        "out of memory in {function}",
        "the kernel kills a process for memory",
        rank=60,
    ),
    Format(
        Kind.PANIC_OTHER,
        "Kernel panic",
        r"Kernel panic(?: - not syncing)?: (?P<what>.{1,120})",
        "kernel panic: {what}",
        "panic() with no report before it",
        blame=Blame.NOBODY,
        rank=90,
        refine=_panic,
    ),
    Format(
        Kind.OTHER,
        "unregister_netdevice: waiting",
        r"unregister_netdevice: waiting for (?:\S{1,40}) to become free",
        "unregister_netdevice: waiting for DEV to become free",
        "a network device with a leaked reference",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.OTHER,
        "Busy inodes after unmount",
        r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)",
        "inodes in use on a file system that is gone",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.BUG,
        "still in use",
        r"BUG: Dentry .{1,200} still in use",
        "BUG: Dentry still in use",
        "a directory entry in use on a file system that is gone",
        blame=Blame.NOBODY,
        leads_to=("WARNING", "kernel BUG"),
    ),
    Format(
        Kind.OTHER,
        "unchecked MSR access error",
        r"unchecked MSR access error: ",
        "unchecked MSR access error in {function}",
        "x86: a model-specific register that is not there",
    ),
    Format(
        Kind.OTHER,
        "nobody cared",
        r"irq \d{1,5}: nobody cared",
        "irq: nobody cared in {function}",
        "an interrupt that no driver claims was turned off",
    ),
    Format(
        Kind.BUG,
        "BUG: ",
        r"(?:^|[\]:] )BUG: (?P<what>[A-Za-z].{2,110})",
        "BUG: {what}",
        "a message that the kernel itself calls a bug",
        blame=Blame.NOBODY,
        rank=95,
        refine=lambda _after, match: (
            Kind.BUG,
            "BUG: " + without_numbers(match["what"]).replace("{", "{{").replace("}", "}}"),
        ),
    ),
)
