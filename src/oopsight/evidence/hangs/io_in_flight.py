"""I/O that does not come back: requests that block drivers have, and who waits for them."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.waiting import Wait, Waits
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Memory, TaskPointer
from oopsight.kernel.bio_disks import disk_of_bio, disk_of_buffer, disk_of_page
from oopsight.kernel.block_requests import requests_in_flight, served
from oopsight.kernel.names import Names
from oopsight.kinds import Kind
from oopsight.session import Session
from oopsight.text import printable

_STALLS = (Kind.HUNG_TASK, Kind.PANIC_OTHER, Kind.WORKQUEUE_LOCKUP)
_IO = ("io", "page", "writeback", "bit")
# Functions in which a task waits for a block device, whatever for.
_WAITING = (
    *("io_schedule*", "submit_bio_wait", "blk_execute_rq*", "blk_mq_get_tag", "bio_await*"),
    *("blk_mq_freeze_queue_wait*", "rq_qos_wait"),
)
_MOST_DISKS = 16
_MOST = 64
"""Requests that are kept, the oldest first."""
_OPERATIONS = {0: "read", 1: "write", 2: "flush", 3: "discard", 5: "secure erase", 9: "zeroing"}
_OPERATION_MASK = 0xFF


@dataclass(frozen=True)
class Request:
    """A request that a driver was handed and has not completed."""

    disk: str
    driver: str | None
    """The module of the driver; ``None`` where it is built in."""
    function: str
    """The driver's function that takes requests."""
    operation: str
    sector: int
    bytes: int
    tag: int
    queue: int | None
    """The number of the hardware queue."""
    seconds: float | None
    """Since it was issued, or else created."""
    tasks: tuple[TaskPointer, ...]
    """Those that wait for this very request."""
    because: tuple[Memory, ...]
    listed: bool = False
    """Whether it is on a list of the driver's, by the member that is there for it."""


@dataclass(frozen=True)
class BioDisk:
    """A disk without requests that a task waits for: its driver takes bios as they come."""

    disk: str
    driver: str
    """The module."""
    function: str
    """Of the driver, that takes bios."""
    task: TaskPointer
    because: tuple[Memory, ...]


@dataclass(frozen=True)
class IoInFlight:
    """All requests in flight, the oldest first."""

    requests: tuple[Request, ...]
    count: int
    """All of them, also those that are not kept."""
    bio_disks: tuple[BioDisk, ...] = ()


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules | Missing
) -> IoInFlight | Missing:
    """Read the tags of all disks, if anybody waits for I/O."""
    if symptom.kind not in _STALLS:
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from I/O")
    waiting = [w for w in waits.waits if waits_for_io(w)] if isinstance(waits, Waits) else []
    if not waiting:
        return Missing(Why.NOT_APPLICABLE, "nobody waits for I/O")
    owner = modules if isinstance(modules, Modules) else None
    words = {wait.task.address: _words(session.prog, wait) for wait in waiting}
    now = _now(session.prog)
    names = Names(session.prog)
    found = []
    for disk, request in requests_in_flight(session.prog):
        for_whom = served(request)
        tasks = tuple(w.task for w in waiting if for_whom & words[w.task.address])
        found.append(_request(disk, request, now, names, owner, tasks))
    kept = [request for request in found if request is not None]
    kept.sort(key=lambda request: (-(request.seconds or 0), not request.tasks))
    asked = [(wait, words[wait.task.address]) for wait in waiting]
    disks = (_bio_disk(session.prog, owner, names, *one) for one in asked[:_MOST_DISKS])
    return IoInFlight(
        tuple(kept[:_MOST]), len(found), tuple(one for one in disks if one is not None)
    )


def _bio_disk(
    prog: Any, modules: Modules | None, names: Names, wait: Wait, words: set[int]
) -> BioDisk | None:
    """The disk that a task waits for, if the driver of it takes bios and is a module."""
    from drgn import FaultError, cast
    from drgn.helpers.linux.block import disk_name

    try:
        disk = _disk(prog, wait, words)
        if disk is None or modules is None:
            return None
        operations = cast("struct block_device_operations *", disk.fops.read_())
        taker = operations.submit_bio.value_()
        owner = modules.owner(taker) if taker else None
        if owner is None:
            return None
        return BioDisk(
            printable(disk_name(disk)),
            owner.name,
            names.code(taker)[0],
            wait.task,
            (memory_of(disk, "fops"), memory_of(operations, "submit_bio")),
        )
    except (FaultError, LookupError, AttributeError, ValueError):
        return None


def _disk(prog: Any, wait: Wait, words: set[int]) -> Any:
    lock = wait.lock
    if lock is not None and lock.address is not None:
        if lock.kind in ("page", "writeback"):
            return disk_of_page(prog, int(lock.address))
        if lock.kind == "bit":
            return disk_of_buffer(prog, int(lock.address))
    return disk_of_bio(prog, sorted(words))


def waits_for_io(wait: Wait) -> bool:
    """Whether a task waits for a block device, for all its stack tells."""
    kind = wait.lock.kind if wait.lock is not None else None
    return wait.victim and (kind in _IO or wait.stack.inside(*_WAITING) is not None)


def _words(prog: Any, wait: Wait) -> set[int]:
    """What the stack of a task holds from its innermost call on, and what it waits for."""
    import struct

    from drgn import FaultError, Object

    from oopsight.evidence.hangs.waiting.scan import stack_size

    found = {int(wait.lock.address)} if wait.lock is not None and wait.lock.address else set()
    try:
        bottom = Object(prog, "struct task_struct *", wait.task.address).stack.value_()
        start, end = int(wait.stack.calls[0].sp), bottom + stack_size(prog)
        if bottom <= start < end:
            data = prog.read(start, (end - start) & ~7)
            found.update(struct.unpack(f"<{len(data) // 8}Q", data))
    except (FaultError, IndexError):
        pass
    return found


def _now(prog: Any) -> int | None:
    """Nanoseconds since boot at the last tick."""
    from drgn import FaultError
    from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

    try:
        return int(ktime_get_coarse_ns(prog))
    except (FaultError, LookupError, AttributeError):
        return None


def _request(
    disk: Any,
    request: Any,
    now: int | None,
    names: Names,
    modules: Modules | None,
    tasks: tuple[TaskPointer, ...],
) -> Request | None:
    from drgn import FaultError, cast
    from drgn.helpers.linux.block import disk_name

    try:
        # Without its ``const``: what proves it is named by the plain type.
        operations = cast("struct blk_mq_ops *", request.q.mq_ops.read_())
        handler = operations.queue_rq.value_()
        owner = modules.owner(handler) if modules is not None else None
        operation = request.cmd_flags.value_() & _OPERATION_MASK
        return Request(
            disk=printable(disk_name(disk)),
            driver=owner.name if owner is not None else None,
            function=names.code(handler)[0],
            operation=_OPERATIONS.get(operation, f"operation {operation}"),
            sector=request.member_("__sector").value_(),
            bytes=request.member_("__data_len").value_(),
            tag=request.tag.value_(),
            queue=request.mq_hctx.queue_num.value_() if request.mq_hctx else None,
            seconds=_age(request, now),
            tasks=tasks,
            because=(
                memory_of(request, "state"),
                memory_of(request, "tag"),
                memory_of(operations, "queue_rq"),
            ),
            listed=_listed(request),
        )
    except (FaultError, LookupError, AttributeError):
        return None


def _listed(request: Any) -> bool:
    """Whether others are in a list with it; one that was taken off points to itself or nowhere."""
    from drgn import FaultError

    try:
        entry = request.queuelist
        following = entry.next.value_()
        return bool(following != entry.address_ and entry.next.prev.value_() == entry.address_)
    except (FaultError, LookupError, AttributeError):
        return False


def _age(request: Any, now: int | None) -> float | None:
    """Since it was issued; only with statistics on is that kept, else from its creation."""
    for member in ("io_start_time_ns", "start_time_ns"):
        try:
            started = request.member_(member).value_()
        except LookupError:
            continue
        if started and now is not None and now >= started:
            return float(round((now - started) / 1e9, 3))
    return None
