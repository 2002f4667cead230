"""The function and the source file to blame, from a report's stack."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oopsight.oops.facts import Frame, Skipped
from oopsight.plumbing import base_name, file_serves, why_serves

# Calls through a pointer made for any driver or file system: what is called is at work.
_DISPATCH = re.compile(
    r"(?:__|new_sync_|do_|ksys_)?(?:vfs_(?:read|write|ioctl|readv|"
    r"writev|iter_\w+|fsync\w*|poll)|sync_(?:read|write))$"
    r"|do_vfs_ioctl$|(?:SyS|compat_SyS|SYSC|__se_sys|__x64_sys|"
    r"__ia32_compat_sys|__ia32_sys|__arm64_sys|sys)_(?:ioctl|read|"
    r"write)$|do_(?:loop_|iter_|)(?:readv|writev|read|write)\w*$|"
    r"do_iter_\w+$|_*fput$"
    r"|do_dentry_open$|vfs_open$|(?:_*sock_(?:send|recv)msg\w*)$|"
    r"process_one_work$|call_timer_fn$|task_work_run$"
)
_SYSTEM_CALL = re.compile(
    r"(?:__(?:x64|ia32|arm64|s390x?|se|do)_(?:compat_)?)?(?:compat_)?[sS]y[sS]C?_|SYSC_"
)


def innermost(frames: Sequence[Frame]) -> tuple[str | None, tuple[Skipped, ...]]:
    """The first frame from the fault outwards that can be to blame, and those passed over."""
    skipped: list[Skipped] = []
    for frame in frames:
        if not frame.reliable or frame.inline:
            continue
        reason = why_serves(frame.function)
        if reason is None:
            return base_name(frame.function), tuple(skipped)
        skipped.append(Skipped(frame.function, reason))
    return None, tuple(skipped)


def outermost(frames: Sequence[Frame]) -> tuple[str | None, tuple[Skipped, ...]]:
    """The operation a stalled CPU was at: what a dispatcher called, or the system call."""
    called = [frame for frame in frames if frame.reliable and not frame.inline]
    for position in range(len(called) - 1, 0, -1):
        if _DISPATCH.match(called[position].function):
            inner = [f for f in reversed(called[:position]) if not _DISPATCH.match(f.function)]
            for frame in inner:
                if why_serves(frame.function) is None:
                    return base_name(frame.function), ()
            break
    for frame in reversed(called):
        if frame.function == "__do_softirq":
            return frame.function, ()
        if _SYSTEM_CALL.match(frame.function):
            return base_name(frame.function), ()
    return innermost(frames)


def guilty_file(frames: Sequence[Frame]) -> str | None:
    """The first source file from the fault outwards that is not plumbing."""
    for frame in frames:
        if frame.file and frame.reliable and not file_serves(frame.file):
            return frame.file
    return None
