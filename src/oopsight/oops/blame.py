"""The function and the source file to blame, from a report's stack."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence

from oopsight.kinds import Kind
from oopsight.oops.facts import Frame, Skipped
from oopsight.plumbing import base_name, file_serves, why_plumbing, why_serves

# Where the kernel calls, through a pointer, what a driver, a file system or a protocol registered:
# whatever is called there is the entry of the subsystem at work. By kind of call.
DISPATCHERS = {
    "ioctl": (r"(?:vfs|do_vfs|do_compat|compat)_ioctl|\w*[sS][yY][sS]C?_ioctl|ksys_ioctl"),
    "reading and writing": (
        r"_*vfs_(?:read|write|readv|writev|iter_\w+)|new_sync_(?:read|write)|"
        r"call_(?:read|write)_iter|do_(?:loop|iter)_readv_writev|do_iter_(?:read|write)|"
        r"do_readv_writev|_*kernel_(?:read|write)|do_sync_(?:read|write)|"
        r"aio_(?:read|write)|io_(?:read|write)"
    ),
    "files of proc, sysfs and debugfs": (
        r"proc_reg_(?!open)\w+|pde_\w+|seq_read(?:_iter)?|traverse|full_proxy_(?!open)\w+|"
        r"simple_attr_(?:read|write)|(?:dev|kobj|module|param)_attr_(?:show|store)|sysfs_kf_\w+|"
        r"kernfs_fop_(?:read|write)_iter|kernfs_seq_show|proc_sys_call_handler|misc_open|chrdev_open"
    ),
    "opening and closing": (
        r"do_dentry_open|vfs_open|_*fput|filp_close|vfs_fsync(?:_range)?|vfs_fallocate|"
        r"vfs_mmap|call_mmap|mmap_file|vfs_poll"
    ),
    "a fault on mapped memory": r"_*do_fault|_*do_(?:read|cow|shared)_fault",
    "a timer that expired": r"call_timer_fn|expire_timers",
    "deferred work": (
        r"process_one_work|task_work_run|tasklet_(?:hi_)?action(?:_common)?|rcu_do_batch|"
        r"rcu_core|irq_work_single|hrtimer_run_softirq"
    ),
    "packets that arrived": (
        r"_*netif_receive_skb(?:_\w+)?|deliver_skb|_*napi_poll|net_rx_action|process_backlog"
    ),
    "messages to the kernel's networking": (
        r"rtnetlink_rcv_msg|genl_(?:family_)?rcv_msg(?:_\w+)?|nfnetlink_rcv_msg|xfrm_user_rcv_msg"
    ),
    "bringing devices and modules up": r"do_one_initcall|really_probe|call_driver_probe",
}
_SYSTEM_CALL = (
    r"(?:__(?:x64|ia32|arm64|arm|riscv|s390x?|se|do)_(?:compat_)?)?(?:compat_)?"
    r"(?:sys|SyS|SYSC)_|ksys_"
)
_ALLOCATES = (r"alloc|(?:^|_)(?:mem)?dup(?:_|$)", "allocates for its caller, as its name says")
_LOCKS = (r"(?:^|_)(?:lock|wait)_(?!release|unlock)\w", "waits for its caller, as its name says")
_RUNS_TIMERS = "schedules tasks, timers and deferred work"
_COMPATIBLE = re.compile(r"(?:^|_)compat_")
_SYS = re.compile(
    r"__(?:x64|ia32|arm64|riscv|s390x?|ia32_compat|x64_compat|arm64_compat)_(?:compat_)?sys_(\w+)$"
)
_CALL = re.compile(r"(?:(?:compat_)?(?:SyS|SYSC)_|__(?:se|do)_(?:compat_)?sys_|ksys_)(\w+)$")
# Frames that may stand in for nobody better: the report's own machinery never does.
_OWN = (
    "reports the crash",
    "checks memory accesses for all code",
    "checks the use of locks for all code",
    "enters the kernel on an exception, interrupt or system call",
    "waits, sleeps or wakes for its caller",
)


@functools.cache
def _dispatcher() -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(DISPATCHERS.values()) + r")\Z")


@functools.cache
def _system_call() -> re.Pattern[str]:
    return re.compile(_SYSTEM_CALL)


def is_entry(name: str) -> bool:
    """Whether a function is known by name as a way into the kernel or on to a subsystem."""
    return bool(_dispatcher().match(name) or _system_call().match(name))


def title_name(function: str) -> str:
    """A function as titles name it: a system call's wrappers are the call.

    >>> title_name("__x64_sys_mount"), title_name("SyS_mount")
    ('sys_mount', 'mount')
    """
    name = base_name(function)
    match = _SYS.match(name)
    if match:
        return f"sys_{match[1]}"
    match = _CALL.match(name)
    return match[1] if match else name


def _found(frame: Frame) -> str:
    return title_name(frame.function)


def called(frames: Sequence[Frame]) -> list[Frame]:
    """The calls in progress, without the leftovers and the inlined."""
    return [frame for frame in frames if frame.reliable and not frame.inline]


def innermost(
    frames: Sequence[Frame], also: Callable[[str], str | None] | None = None
) -> tuple[str | None, tuple[Skipped, ...]]:
    """The first frame from the fault outwards that can be to blame, and those passed over."""
    skipped: list[Skipped] = []
    for frame in called(frames):
        reason = why_serves(frame.function) or (also(frame.function) if also else None)
        if reason is None:
            return _found(frame), tuple(skipped)
        if not skipped or skipped[-1].function != frame.function:
            skipped.append(Skipped(frame.function, reason))
    return None, tuple(skipped)


def by_its_name(kind: Kind) -> Callable[[str], str | None] | None:
    """What a function's own name says of the part it has in a report of this kind, if it matters.

    Leaked memory is lost by whoever asked an allocator for it, under whatever name a subsystem
    wraps the allocator; a task hangs in whoever asked for the lock.
    """
    words = {Kind.MEMORY_LEAK: _ALLOCATES, Kind.HUNG_TASK: _LOCKS}.get(kind)
    if words is None:
        return None
    pattern, reason = words
    return lambda function: reason if re.search(pattern, base_name(function)) else None


def last_resort(frames: Sequence[Frame]) -> str | None:
    """Where all frames serve any caller: the first that is not the report's own."""
    for frame in called(frames):
        if why_serves(frame.function) not in _OWN:
            return _found(frame)
    return None


def outermost(frames: Sequence[Frame]) -> str | None:
    """The operation a stalled CPU was at: what a dispatcher called, or the system call."""
    path = called(frames)
    is_dispatcher = _dispatcher().match
    for inner, outer in itertools.pairwise(path):
        name = base_name(inner.function)
        if not is_dispatcher(base_name(outer.function)) or is_dispatcher(name):
            continue
        if why_plumbing(name) == _RUNS_TIMERS:
            # Another CPU's line between the two: what runs others' work is no entry.
            continue
        if why_serves(name) or _COMPATIBLE.search(name) or _system_call().match(name):
            # A wrapper for 32-bit callers, or a lock that the dispatcher itself takes.
            position = path.index(inner)
            below = path[position - 1] if position else None
            if _COMPATIBLE.search(name) and below and not why_serves(below.function):
                return _found(below)
            continue
        return _found(inner)
    for frame in path:
        if _system_call().match(base_name(frame.function)):
            return _found(frame)
    return None


def thread_of(frames: Sequence[Frame]) -> str | None:
    """What a kernel thread runs, or the soft interrupt that a CPU is in."""
    path = called(frames)
    for inner, outer in itertools.pairwise(path):
        if outer.function in ("kthread", "kernel_thread_helper"):
            name = base_name(inner.function)
            if name not in ("worker_thread", "smpboot_thread_fn") and not why_serves(name):
                return _found(inner)
    return next(
        (f.function for f in path if f.function in ("__do_softirq", "handle_softirqs")), None
    )


def guilty_file(frames: Sequence[Frame]) -> str | None:
    """The first source file from the fault outwards that is not plumbing."""
    known = [frame for frame in frames if frame.file and frame.reliable]
    for frame in known:
        if frame.file and not file_serves(frame.file):
            return frame.file
    return None
