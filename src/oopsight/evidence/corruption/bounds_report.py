"""What the kernel's checks of bounds reported: FORTIFY_SOURCE's, usercopy's and UBSAN's.

They stop, or warn of, an access as it is made: who is on the stack made it. The sizes are in the
report's words.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.pointers import LogPointer

_REPORTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (checker, re.compile(pattern))
    for checker, pattern in (
        # lib/string_helpers.c, __fortify_report(); before Linux 6.9 only the function's name.
        (
            "FORTIFY_SOURCE",
            r"(?P<by>\w+): detected buffer overflow: (?P<size>\d+) byte "
            r"(?P<access>read|write) of buffer size (?P<room>\d+)",
        ),
        ("FORTIFY_SOURCE", r"detected buffer overflow in (?P<by>\w+)"),
        # The same of fortify_memcpy_chk, include/linux/fortify-string.h.
        (
            "FORTIFY_SOURCE",
            r"(?P<by>\w+): detected field-spanning (?P<access>read|write) \(size (?P<size>\d+)\)"
            r" of single field \"(?P<what>[^\"]{1,200})\" at (?P<place>\S{1,300}:\d+)"
            r" \(size (?P<room>\d+)\)",
        ),
        # As usercopy_abort has it, mm/usercopy.c.
        (
            "usercopy",
            r"usercopy: [Kk]ernel memory (?P<access>exposure|overwrite) attempt detected "
            r"(?:from|to) (?P<what>.{1,120}?) \(offset (?P<offset>\d+), size (?P<size>\d+)\)",
        ),
        # __copy_overflow(), include/linux/ucopysize.h: the compiler knows the buffer's size.
        ("check_copy_size", r"Buffer overflow detected \((?P<room>\d+) < (?P<size>\d+)\)"),
        # lib/ubsan.c
        ("UBSAN", r"UBSAN: (?:array-index-)?out-of-bounds in (?P<place>\S{1,300}:\d+)"),
        ("UBSAN", r"Internal error: UBSAN: (?:array index )?out of bounds"),
    )
)
_READ_ALONE = ("strlen", "strnlen")
"""Before Linux 6.9 a report says neither that it was a read nor how long."""
_INDEX = re.compile(r"index (?P<index>-?\d+) is out of range for type '(?P<type>[^']{1,200})'")
# What usercopy calls an address that is none, whatever the length: mm/usercopy.c.
_NO_ADDRESS = ("null address", "wrapped address")
_BEFORE, _AFTER = 3, 12
"""Lines of a report's head, before and after its first line."""
# Since Linux 6.9 __fortify_panic() warns, with all of a warning's lines, and then stops at a BUG().
_PANIC, _WARNED_BEFORE = "__fortify_panic+", 96


@dataclass(frozen=True)
class BoundsReport:
    """A check of bounds that failed, and of which the machine stopped."""

    checker: str
    """``FORTIFY_SOURCE``, ``usercopy``, ``check_copy_size`` or ``UBSAN``."""
    text: LogPointer
    by: str | None
    """The function that was to copy, ``memcpy``."""
    access: str | None
    """``read`` or ``write``, or usercopy's ``exposure`` or ``overwrite``."""
    size: int | None
    """Bytes that were to be copied; of UBSAN, the index."""
    room: int | None
    """Bytes that there are."""
    what: str | None
    """The field, the object or the array's type."""
    place: str | None
    """``file:line`` of the access."""

    @property
    def no_end(self) -> bool:
        """Whether a string without an end was met; its memory may hold something else by now."""
        by = self.by or ""
        return by in _READ_ALONE or (self.access == "read" and by.startswith("str"))

    @property
    def words(self) -> str:
        """What was tried, in words."""
        if self.checker == "UBSAN":
            index = f"index {self.size}" if self.size is not None else "an index"
            return f"{index} is outside of the array" + (f" {self.what}" if self.what else "")
        length = f"{self.size} bytes" if self.size is not None else "more"
        if self.checker == "usercopy":
            way = "to the user from" if self.access == "exposure" else "from the user to"
            return f"{length} were to be copied {way} {self.what}, over its bounds"
        if self.checker == "check_copy_size":
            return f"{length} were to be copied from or to the user, of a buffer of {self.room}"
        what = f"the field {self.what}" if self.what else "a buffer"
        room = f", which has {self.room}" if self.room is not None else ", which has less"
        way = "read from" if self.access == "read" else "written to"
        return f"{length} were to be {way} {what}{room}" + (f", by {self.by}" if self.by else "")


def parse(text: str) -> tuple[str, dict[str, str | None]] | None:
    """The checker and what its words hold.

    >>> parse("memcpy: detected buffer overflow: 80 byte write of buffer size 32")[1]["room"]
    '32'
    """
    for checker, pattern in _REPORTS:
        match = pattern.search(text)
        if match is not None:
            return checker, match.groupdict()
    return None


def collect(log: Log, symptom: Symptom) -> BoundsReport | Missing:
    """Find the report in the head of what brought the machine down."""
    report = symptom.report
    nothing = Missing(Why.NOT_APPLICABLE, "no check of bounds stopped the machine")
    if report is None:
        return nothing
    head = log.lines[report.first_line : report.first_line + _AFTER]
    warned = any(_PANIC in line.text for line in head)
    first = max(0, report.first_line - (_WARNED_BEFORE if warned else _BEFORE))
    lines = log.lines[first : report.first_line + _AFTER]
    for number, line in enumerate(lines):
        found = parse(line.text)
        if found is None or first + number in log.user:
            continue
        checker, words = found
        size = words.get("size")
        what = words.get("what")
        if what in _NO_ADDRESS:
            return nothing
        index = next((m for x in lines[number:] if (m := _INDEX.search(x.text))), None)
        if index is not None and checker == "UBSAN":
            size, what = index["index"], index["type"]
        room = words.get("room")
        return BoundsReport(
            checker=checker,
            text=line,
            by=words.get("by"),
            access=words.get("access"),
            size=int(size) if size is not None else None,
            room=int(room) if room is not None else None,
            what=what,
            place=words.get("place"),
        )
    return nothing
