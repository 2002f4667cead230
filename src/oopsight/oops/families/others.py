"""Bad pages, slab checks, out of memory, and panics without a report before them."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format

FORMATS = (
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: Bad ",
        re.compile(r"BUG: Bad (?P<what>page state|page map|page cache)"),
        "BUG: Bad {what} in {function}",
        "page flags or counts that cannot be",
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: Bad ",
        re.compile(r"BUG: Bad rss-counter state"),
        "BUG: Bad rss-counter state",
        "a dying mm with pages left in its account",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.INVALID_FREE,
        "Object already free",
        re.compile(r"BUG \S+ \(.*\): Object already free"),
        "BUG: Object already free",
        "SLUB debugging: freed twice",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG ",
        re.compile(r"BUG \S+ \((?:Not tainted|Tainted.*)\): (?!kasan)"),
        "BUG: slab corruption in {function}",
        "SLUB debugging: poison or red zone overwritten",
        rank=60,
    ),
    Format(
        Kind.STACK_CORRUPTION,
        "stack-protector: ",
        re.compile(r"stack-protector: Kernel stack is corrupted in: (?P<first>[\w.]+)?"),
        "kernel panic: stack is corrupted in {first}",
        "the canary was overwritten; the headline names the function",
        blame=Blame.HEADLINE,
        rank=20,
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "stack guard page was hit",
        re.compile(r"stack guard page was hit"),
        "BUG: stack guard page was hit in {function}",
        "the stack grew beyond its end",
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "kernel stack overflow",
        re.compile(r"[Kk]ernel stack overflow"),
        "kernel stack overflow in {function}",
        "the same, as other machines say it",
    ),
    Format(
        Kind.STACK_OVERFLOW,
        "corrupted stack end detected",
        re.compile(r"corrupted stack end detected"),
        "kernel panic: corrupted stack end in {function}",
        "schedule() found the magic at the stack's end overwritten",
        rank=20,
    ),
    Format(
        Kind.OOM,
        "oom-killer",
        re.compile(r"invoked oom-killer"),
        "out of memory in {function}",
        "the kernel kills a process for memory",
        rank=60,
    ),
    Format(
        Kind.HARDWARE_ERROR,
        "achine check",
        re.compile(r"Kernel panic - not syncing: (?:Fatal )?[Mm]achine check"),
        "kernel panic: machine check",
        "the processor reported an error of the hardware",
        blame=Blame.NOBODY,
        rank=20,
    ),
    Format(
        Kind.PANIC_OTHER,
        "Kernel panic - not",
        re.compile(r"Kernel panic - not syncing: (?P<what>.{1,120})"),
        "kernel panic: {what}",
        "panic() with no report before it",
        blame=Blame.NOBODY,
        rank=90,
    ),
    Format(
        Kind.OTHER,
        "unregister_netdevice: waiting",
        re.compile(r"unregister_netdevice: waiting for (?:\S+) to become free"),
        "unregister_netdevice: waiting for DEV to become free",
        "a network device with a leaked reference",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.OTHER,
        "Busy inodes after unmount",
        re.compile(r"VFS: Busy inodes after unmount"),
        "VFS: Busy inodes after unmount",
        "inodes in use on a file system that is gone",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.TRAP_OTHER,
        "Oops: ",
        re.compile(
            r"Oops: (?:[0-9a-f]{4}|Kernel access of bad area|\S.*) \[#\d+\]|Oops: Kernel access"
        ),
        "Oops in {function}",
        "die() of any machine, its headline lost",
        rank=85,
    ),
)
