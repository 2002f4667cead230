"""Reports of the memory and race detectors: KASAN, KFENCE, KMSAN, KCSAN, UBSAN, kmemleak."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format

_OF = re.compile(r"^\s*(Read|Write) (?:of size|at addr)")


def _access(after: list[str]) -> str:
    for text in after[:8]:
        match = _OF.match(text)
        if match:
            return match.group(1) + " "
    return ""


def _kasan(kind: Kind, what: str, trigger: str, why: str, title: str | None = None) -> Format:
    name = title or what

    def refine(after: list[str]) -> tuple[Kind, str]:
        return kind, f"KASAN: {name} {_access(after)}in {{function}}"

    return Format(
        kind,
        trigger,
        re.compile(rf"BUG: KASAN: {what}"),
        f"KASAN: {name} in {{function}}",
        why,
        rank=10,
        refine=refine if title is None else None,
    )


FORMATS = (
    _kasan(Kind.USE_AFTER_FREE, "use-after-free", "BUG: ", "freed slab memory"),
    _kasan(Kind.USE_AFTER_FREE, "slab-use-after-free", "BUG: ", "the same, since 6.4"),
    _kasan(Kind.OUT_OF_BOUNDS, "slab-out-of-bounds", "BUG: ", "beyond a slab object"),
    _kasan(Kind.OUT_OF_BOUNDS, "stack-out-of-bounds", "BUG: ", "beyond a local variable"),
    _kasan(Kind.OUT_OF_BOUNDS, "global-out-of-bounds", "BUG: ", "beyond a global variable"),
    _kasan(Kind.OUT_OF_BOUNDS, "vmalloc-out-of-bounds", "BUG: ", "beyond a vmalloc area"),
    _kasan(Kind.OUT_OF_BOUNDS, "out-of-bounds", "BUG: ", "memory of a kind that is not known"),
    _kasan(Kind.WILD_ACCESS, "wild-memory-access", "BUG: ", "no memory at all"),
    _kasan(Kind.WILD_ACCESS, "user-memory-access", "BUG: ", "a user address"),
    _kasan(Kind.WILD_ACCESS, "invalid-access", "BUG: ", "tag-based: the pointer's tag is wrong"),
    _kasan(Kind.NULL_DEREF, "null-ptr-deref", "BUG: ", "an address in the first page"),
    _kasan(
        Kind.INVALID_FREE,
        "(?:double-free or invalid-free|double-free|invalid-free)",
        "BUG: ",
        "kfree() of what was not allocated, or twice",
        title="invalid-free",
    ),
    Format(
        Kind.OUT_OF_BOUNDS,
        "BUG: ",
        re.compile(r"BUG: KFENCE: out-of-bounds (?P<access>read|write)"),
        "KFENCE: out-of-bounds {access} in {function}",
        "a guard page next to the object was touched",
        rank=10,
    ),
    Format(
        Kind.USE_AFTER_FREE,
        "BUG: ",
        re.compile(r"BUG: KFENCE: use-after-free (?P<access>read|write)"),
        "KFENCE: use-after-free {access} in {function}",
        "the page of a freed object was touched",
        rank=10,
    ),
    Format(
        Kind.INVALID_FREE,
        "BUG: ",
        re.compile(r"BUG: KFENCE: invalid free"),
        "KFENCE: invalid free in {function}",
        "a pointer that is no object's start, or a free one",
        rank=10,
    ),
    Format(
        Kind.WILD_ACCESS,
        "BUG: ",
        re.compile(r"BUG: KFENCE: invalid (?P<access>read|write)"),
        "KFENCE: invalid {access} in {function}",
        "a page of the pool that belongs to no object",
        rank=11,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: ",
        re.compile(r"BUG: KFENCE: memory corruption"),
        "KFENCE: memory corruption in {function}",
        "the bytes round an object were overwritten; seen when it is freed",
        rank=10,
    ),
    Format(
        Kind.INFO_LEAK,
        "BUG: ",
        re.compile(r"BUG: KMSAN: (?P<what>kernel-(?:usb-)?infoleak)"),
        "KMSAN: {what} in {function}",
        "uninitialised bytes copied to user space or to a device",
        rank=10,
    ),
    Format(
        Kind.USE_AFTER_FREE,
        "BUG: ",
        re.compile(r"BUG: KMSAN: use-after-free"),
        "KMSAN: use-after-free in {function}",
        "uninitialised because it was freed",
        rank=10,
    ),
    Format(
        Kind.UNINIT,
        "BUG: ",
        re.compile(r"BUG: KMSAN: uninit-value"),
        "KMSAN: uninit-value in {function}",
        "a decision was made on uninitialised bytes",
        rank=12,
    ),
    Format(
        Kind.DATA_RACE,
        "BUG: ",
        re.compile(
            r"BUG: KCSAN: (?:data-race|assert: race) in (?P<first>[\w.]+)(?P<rest> / [\w.]+)?"
        ),
        "KCSAN: data-race in {first}{rest}",
        "two accesses without a lock; the headline names both sides",
        blame=Blame.HEADLINE,
        rank=10,
    ),
    Format(
        Kind.UBSAN,
        "UBSAN: ",
        re.compile(r"UBSAN: Undefined behaviour in \S+:\d+"),
        "UBSAN: undefined-behaviour in {function}",
        "until 5.10: the headline does not say which behaviour",
        rank=10,
    ),
    Format(
        Kind.UBSAN,
        "UBSAN: ",
        re.compile(r"UBSAN: (?P<what>[\w-]+) in \S+:\d+"),
        "UBSAN: {what} in {function}",
        "since 5.10 with the behaviour's name",
        rank=11,
    ),
    Format(
        Kind.MEMORY_LEAK,
        "unreferenced object",
        re.compile(r"unreferenced object 0x[0-9a-f]+"),
        "memory leak in {function}",
        "kmemleak's dump of an object nobody points to",
    ),
    Format(
        Kind.MEMORY_LEAK,
        "BUG: ",
        re.compile(r"BUG: memory leak"),
        "memory leak in {function}",
        "the line put before kmemleak's dump",
        leads_to=("unreferenced object",),
    ),
)
