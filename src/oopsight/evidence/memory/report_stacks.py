"""The stacks that a report in the log holds, and the same as it is in the dump."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.oops import CrashReport
from oopsight.oops.facts import Frame as TextFrame
from oopsight.oops.trace import frame
from oopsight.plumbing import why_plumbing
from oopsight.session import Session

_MOST_FRAMES = 32
# Whom the kernel runs to report: its frames on the dump's stack say that the panic is the report's.
_REPORTERS = (
    "object_err",
    "slab_err",
    "slab_bug",
    "check_bytes_and_report",
    "kfence_report_error",
    "kasan_report",
    "kasan_report_invalid_free",
    "free_debug_processing",
    "free_to_partial_list",
    "check_object",
    "alloc_debug_processing",
    "alloc_single_from_partial",
    "alloc_single_from_new_slab",
    "validate_slab",
)


def stack_of(
    session: Session, modules: Modules | None, report: CrashReport, role: str
) -> Iterator[TrackFrame]:
    """A stack of the report, by its role there: ``crash``, ``allocated`` or ``freed``."""
    frames = next((stack.frames for stack in report.stacks if stack.role == role), ())
    for one in [f for f in frames if f.reliable and not f.inline][:_MOST_FRAMES]:
        reason = why_plumbing(one.function, one.file, one.module)
        pc = Address(_address(session, modules, one))
        yield TrackFrame(pc, one.function, one.module, reason)


def with_caller(
    session: Session,
    modules: Modules | None,
    lines: tuple[LogPointer, ...],
    role: str,
    frames: tuple[TrackFrame, ...],
) -> tuple[TrackFrame, ...]:
    """The caller that SLUB names before the stack, of which it leaves out a frame too many."""
    for line in lines:
        head = _head(role).search(line.text)
        caller = frame(f" {head['place']}") if head is not None else None
        if caller is None:
            continue
        if any(one.function == caller.function for one in frames):
            return frames
        reason = why_plumbing(caller.function, caller.file, caller.module)
        pc = Address(_address(session, modules, caller))
        return TrackFrame(pc, caller.function, caller.module, reason), *frames
    return frames


@functools.cache
def _head(role: str) -> re.Pattern[str]:
    return re.compile(rf"{role.capitalize()} in (?P<place>\S+(?: \[[\w-]+\])?) age=")


def _address(session: Session, modules: Modules | None, one: TextFrame) -> int:
    """Where the text's function and offset are; 0 where that is not known."""
    try:
        symbol = session.prog.symbol(one.function)
    except LookupError:
        return 0
    owner = modules.owner(symbol.address) if modules is not None else None
    if (owner.name if owner is not None else None) != one.module:
        return 0
    at: int = symbol.address + (one.offset or 0)
    return at


def of_dump(backtrace: Backtrace) -> tuple[TrackFrame, ...]:
    """The stack as it is in the dump, where the machine stopped for this very report.

    It has the functions too that jumped on to another and left no frame.
    """
    if not any(one.function.partition(".")[0] in _REPORTERS for one in backtrace.frames):
        return ()
    return tuple(
        TrackFrame(one.pc, one.function, one.module, one.plumbing)
        for one in backtrace.crash_path
        if not one.inline
    )
