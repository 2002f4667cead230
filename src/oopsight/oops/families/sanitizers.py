"""Reports of the memory and race detectors: KASAN, KFENCE, KMSAN, KCSAN, UBSAN, kmemleak."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format, compiled

# What mm/kasan/report*.c calls a bug, over the releases, and what it is.
_KASAN = {
    "use-after-free": Kind.USE_AFTER_FREE,
    "slab-use-after-free": Kind.USE_AFTER_FREE,
    "use-after-scope": Kind.USE_AFTER_FREE,
    "slab-out-of-bounds": Kind.OUT_OF_BOUNDS,
    "stack-out-of-bounds": Kind.OUT_OF_BOUNDS,
    "global-out-of-bounds": Kind.OUT_OF_BOUNDS,
    "vmalloc-out-of-bounds": Kind.OUT_OF_BOUNDS,
    "alloca-out-of-bounds": Kind.OUT_OF_BOUNDS,
    "out-of-bounds": Kind.OUT_OF_BOUNDS,
    "out-of-bounds-access": Kind.OUT_OF_BOUNDS,
    "wild-memory-access": Kind.WILD_ACCESS,
    "user-memory-access": Kind.WILD_ACCESS,
    "invalid-access": Kind.WILD_ACCESS,
    "unknown-crash": Kind.WILD_ACCESS,
    "null-ptr-deref": Kind.NULL_DEREF,
    "double-free": Kind.INVALID_FREE,
    "invalid-free": Kind.INVALID_FREE,
    "double-free or invalid-free": Kind.INVALID_FREE,
}
_ACCESS = r"^\s{0,8}(Read|Write) (?:of size|at addr)"
_KMSAN = {
    "kernel-infoleak": Kind.INFO_LEAK,
    "kernel-infoleak-after-free": Kind.INFO_LEAK,
    "kernel-usb-infoleak": Kind.INFO_LEAK,
    "kernel-usb-infoleak-after-free": Kind.INFO_LEAK,
    "use-after-free": Kind.USE_AFTER_FREE,
}


def _kasan(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    what = match["what"]
    kind = _KASAN.get(what, Kind.WILD_ACCESS)
    if kind is Kind.INVALID_FREE:
        return kind, "KASAN: invalid-free in {function}"
    for text in after[1:8]:
        access = compiled(_ACCESS).match(text)
        if access:
            return kind, f"KASAN: {what} {access[1]} in {{function}}"
    address = compiled(r" in (?P<where>[\w.]{1,128})(?:\+0x[0-9a-f]+/0x[0-9a-f]+)? at addr").search(
        match.string
    )
    if address and len(after) > 1:
        # Until 4.12 the address stood in the headline; where the rest is lost, it is all there is.
        where = (
            compiled(r"\d+").sub("NUM", address["where"])
            if "." in address["where"]
            else address["where"]
        )
        return kind, f"KASAN: {what} in {where} at addr ADDR"
    return kind, f"KASAN: {what} in {{function}}"


def _kmsan(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    del after
    return _KMSAN.get(match["what"], Kind.UNINIT), f"KMSAN: {match['what']} in {{function}}"


FORMATS = (
    Format(
        Kind.WILD_ACCESS,
        "BUG: KASAN: ",
        r"BUG: KASAN: (?P<what>double-free or invalid-free|[a-z][a-z-]{2,40})",
        "KASAN: {what} in {function}",
        "an access that shadow memory or the pointer's tag forbids; a free that is none",
        rank=10,
        refine=_kasan,
    ),
    Format(
        Kind.OUT_OF_BOUNDS,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: out-of-bounds (?P<access>read|write)",
        "KFENCE: out-of-bounds {access} in {function}",
        "a guard page next to the object was touched",
        rank=10,
    ),
    Format(
        Kind.USE_AFTER_FREE,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: use-after-free (?P<access>read|write)",
        "KFENCE: use-after-free {access} in {function}",
        "the page of a freed object was touched",
        rank=10,
    ),
    Format(
        Kind.INVALID_FREE,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: invalid free",
        "KFENCE: invalid free in {function}",
        "a pointer that is no object's start, or a free one",
        rank=10,
    ),
    Format(
        Kind.WILD_ACCESS,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: invalid (?P<access>read|write)",
        "KFENCE: invalid {access} in {function}",
        "a page of the pool that belongs to no object",
        rank=11,
    ),
    Format(
        Kind.MEMORY_CORRUPTION,
        "BUG: KFENCE: ",
        r"BUG: KFENCE: memory corruption",
        "KFENCE: memory corruption in {function}",
        "the bytes round an object were overwritten; seen when it is freed",
        rank=10,
    ),
    Format(
        Kind.UNINIT,
        "BUG: KMSAN: ",
        r"BUG: KMSAN: (?P<what>[a-z][a-z-]{2,40}) in ",
        "KMSAN: {what} in {function}",
        "a decision made on uninitialised bytes, or such bytes given to user space or a device",
        rank=11,
        refine=_kmsan,
    ),
    Format(
        Kind.UNINIT,
        "BUG: KMSAN: ",
        r"BUG: KMSAN: use of unini?tialized memory",
        "KMSAN: uninit-value in {function}",
        "the same, in the words of before 5.18",
        rank=10,
    ),
    Format(
        Kind.DATA_RACE,
        "BUG: KCSAN: ",
        (
            r"BUG: KCSAN: (?P<what>data-race|assert: race) in (?P<first>[\w.]{1,128})"
            r"(?P<rest> / [\w.]{1,128})?"
        ),
        "KCSAN: {what} in {first}{rest}",
        "two accesses without a lock; the headline names both sides",
        blame=Blame.HEADLINE,
        rank=10,
    ),
    Format(
        Kind.UBSAN,
        "UBSAN: Undefined behaviour",
        r"UBSAN: Undefined behaviour in \S{1,300}:\d+",
        "UBSAN: undefined-behaviour in {function}",
        "until 5.10: the headline does not say which behaviour",
        rank=10,
    ),
    Format(
        Kind.UBSAN,
        "UBSAN: ",
        r"UBSAN: (?P<what>[a-z][\w-]{2,40}) in \S{1,300}:\d+",
        "UBSAN: {what} in {function}",
        "since 5.10 with the behaviour's name",
        rank=11,
    ),
    Format(
        Kind.UBSAN,
        "Internal error: UBSAN",
        r"Internal error: UBSAN: (?P<what>[\w -]{3,60}?):",
        "UBSAN: {what} in {function}",
        "arm64 with traps in place of reports",
        rank=12,
    ),
    Format(
        Kind.MEMORY_LEAK,
        "unreferenced object",
        r"unreferenced object (?:\(percpu\) )?0x[0-9a-f]{4,16}",
        "memory leak in {function}",
        "kmemleak's dump of an object nobody points to",
    ),
    Format(
        Kind.MEMORY_LEAK,
        "BUG: memory leak",
        r"BUG: memory leak",
        "memory leak in {function}",
        "the line put before kmemleak's dump",
        leads_to=("unreferenced object",),
    ),
)
