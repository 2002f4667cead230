"""Code that calls panic() of its own accord.

Finds
    The function that called panic(), where it is none of the kernel's that other rules know.

Why it happens
    A cluster's fencing, a driver's watchdog or a check without a way out stops the machine.

How it is decided
    No exception interrupted kernel code; the innermost function above panic() that does not act for
    any caller called it. A module's function that does so means to.

When it is wrong
    The kernel's own functions call panic() for others' mistakes; without a module the verdict says
    only who called. Where a function of the same module had called the one that panicked, either
    may have decided to: who is to blame is *possible* then.

Example
    ``hbdisk_fence()`` panics with "fencing this node".

Look next
    The panic's message in ``log``; the caller's source.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step
from oopsight.diagnosis.places import culprits, title_of
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

_PANICS = ("panic", "vpanic", "nmi_panic")
_MESSAGE = "Kernel panic - not syncing: "
_KNOWN = (
    "sysrq_handle_crash",
    "do_exit",
    "mount_root",
    "mount_block_root",
    "mount_root_generic",
    "prepare_namespace",
    "kernel_init",
    "out_of_memory",
    "unknown_nmi_error",
    "io_check_error",
    "pci_serr_error",
)
"""Callers whose reasons other rules know."""


def panic_called(symptom: Symptom, backtrace: Backtrace, log: Log | Missing) -> Finding | Clear:
    """Decide who called panic(), where that is the whole story."""
    if symptom.kind is not Kind.PANIC_OTHER or backtrace.interrupted:
        return Clear("panic() was called for a crash, not of somebody's own accord")
    if not any(f.function in _PANICS for f in backtrace.frames if f.role is Role.PANIC_PATH):
        return Clear("panic() is not on the stack")
    frames = [f for f in backtrace.crash_path if not f.inline]
    caller = next((f for f in frames if f.plumbing is None), None)
    if caller is None or any(f.function.partition(".")[0] in _KNOWN for f in frames):
        return Clear("panic() was called by a function of the kernel whose reasons are known")
    itself = frames[_first_caller(frames)].index == caller.index
    if caller.module is None and not itself:
        return Clear("who called panic() is not on the stack that could be unwound")
    message = log.find(_MESSAGE) if isinstance(log, Log) else None
    said = f": {message.text.partition(_MESSAGE)[2]}" if message is not None else ""
    because: list[Pointer] = [caller.pointer, *((message,) if message is not None else ())]
    blamed = [f for f in frames if f.plumbing is None and f.module == caller.module]
    # The kernel's own functions between may have panicked for a crash that is not told.
    own = caller.module is not None and itself
    established = Certainty.SHOWN if own else Certainty.POSSIBLE
    # Whoever called it in its module may have meant it to.
    alone = len(blamed) == 1
    return Finding(
        title=f"{title_of(caller)} called panic(){said}",
        summary=f"{title_of(caller)} stopped the machine of its own accord{said}.",
        certainty=established if alone else Certainty.POSSIBLE,
        cause_certainty=None if alone else established,
        depth=Depth.ROOT_CAUSE if own else Depth.SYMPTOM,
        chain=(Step(f"panic() was called by {title_of(caller)}{said}", tuple(because)),),
        culprits=culprits(blamed, "called panic()"),
        advice=(f"Find out what made {title_of(caller)} give up.",),
    )


def _first_caller(frames: list[Frame]) -> int:
    """The innermost frame that is not the crash being reported."""
    reports = "reports the crash"
    return next((i for i, f in enumerate(frames) if f.plumbing != reports), 0)
