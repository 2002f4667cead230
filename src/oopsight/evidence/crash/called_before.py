"""Functions of modules that the kernel had called, and that had returned, before its own check.

``op->evict_inode(inode); …; BUG_ON(inode->i_state != …)``: what a handler is to leave in order the
kernel checks behind it, when it is off the stack. The calls through pointers on the way to the
check, in the functions that are still on the stack, tell whom it had called.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.ways import Namer
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_NEAR = 3
"""Frames in which the check still has to do with what was called."""


@dataclass(frozen=True)
class CalledBefore:
    """The handlers, those of the innermost function on the stack first."""

    handlers: tuple[TrackFrame, ...]


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> CalledBefore | Missing:
    """Look at the kernel's functions on the stack, where a check of one failed."""
    if fault.exception != INVALID_OPCODE or fault.module is not None:
        return Missing(Why.NOT_APPLICABLE, "no check of the kernel's own failed")
    follower = Follower(
        session, Namer(session, modules, backtrace), calls(session, backtrace, None)
    )
    found = follower.called_back(_NEAR)
    if not found:
        return Missing(Why.NOT_APPLICABLE, "it had called no function of a module before")
    return CalledBefore(found)
