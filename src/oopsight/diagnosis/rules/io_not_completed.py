"""I/O that never comes back.

Finds
    Requests that a block driver was handed and has not completed, and the tasks that wait for them:
    for a page to be read or written, for a buffer, for a commit of the journal.

Why it happens
    The driver loses a completion, or the device, its controller or the host of a virtual machine
    does not answer. The file system above waits, and is innocent.

How it is decided
    A task waits for I/O. The tags of blk-mq are read for requests that were started and not
    completed; one whose pages, bio or completion the waiting task waits for is its request. A disk
    without such tags is known by the page, buffer or bio in question, and its driver by the
    function that takes its bios. Functions of the driver that end I/O on some ways only come
    before the one that takes it; before these, where the last of several parts ends it, one that
    counts the parts and on some way hands out fewer.

    Of a driver from outside the kernel's tree the code is read. A function that ends requests, or
    bios, but on one way neither ends nor keeps one that it has taken off a list, comes first; then
    one that was handed it, and the one that takes them from the kernel, if it answers the same as
    where it ends or keeps them. Where the
    function that is handed requests ends none itself and none such is found, the verdict is only
    *possible*: the only one that ends them comes first, unless the request is on a list still, or
    is kept where there is room for but one; with several in flight that is what happened.

When it is wrong
    The driver may have handed the request on properly and the device not answer: the dump shows
    who has it last, not who lost it. A disk may be slow rather than stuck; see the seconds.

Example
    ``rvdisk`` was handed 24 writes of ``rvd0`` and completed only the last of each batch; four
    ``dd`` and ``jbd2/rvd0-8`` hang in ``folio_wait_writeback()``.

Look next
    ``dev -d``; the driver's function that takes requests, and the one that ends them.
"""

from __future__ import annotations

from typing import NamedTuple

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.awaited import skipped_step, skipping
from oopsight.diagnosis.stalls import distinct, victims_step, waits_step, who
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.io_in_flight import BioDisk, IoInFlight, Request, waits_for_io
from oopsight.evidence.hangs.lost_requests import Driver, LostRequest, LostRequests
from oopsight.evidence.hangs.skipped_parts import SkippedParts
from oopsight.evidence.hangs.unended_io import UnendedIos
from oopsight.evidence.hangs.waiting import Wait, Waits, hung
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

_GENERAL = ("hung_task", "deliberate_panic")
_LOCKS = ("lock_held", "workqueue_stall")
_MOST_FUNCTIONS = 3
_MOST_LOSERS = 3
_LONG = 1.0
"""Seconds in which even a slow disk has answered."""


class _Code(NamedTuple):
    """What the code of drivers tells."""

    ways: UnendedIos
    parts: SkippedParts
    lost: LostRequests


def io_not_completed(
    symptom: Symptom,
    waits: Waits | Missing,
    io: IoInFlight | Missing,
    modules: Modules | Missing,
    unended: UnendedIos | Missing,
    lost: LostRequests | Missing,
    parts: SkippedParts | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a block driver keeps tasks waiting."""
    if symptom.kind not in (Kind.HUNG_TASK, Kind.PANIC_OTHER):
        return Clear(f"no hung task was reported, but {symptom.kind}")
    if isinstance(waits, Missing):
        return absent(waits)
    if not hung(symptom, waits):
        return Clear("nobody had waited for long")
    if isinstance(io, Missing):
        return Clear(io.detail)
    if waits.cycles():
        return Clear("the tasks wait in a circle")
    # Who has waited much longer does so for something else than a slow request of just now.
    long = max(_LONG, max((w.seconds or 0.0 for w in waits.victims), default=0.0) / 2)
    waiting = [w for w in waits.victims if waits_for_io(w) and (w.seconds or 0) >= long]
    late = [r for r in io.requests if (r.seconds or 0) >= long]
    told = _Code(
        unended if isinstance(unended, UnendedIos) else UnendedIos(()),
        parts if isinstance(parts, SkippedParts) else SkippedParts(()),
        lost if isinstance(lost, LostRequests) else LostRequests(()),
    )
    if waiting and late:
        return _found(late, waiting, waits, modules, told)
    disks = [one for one in io.bio_disks if any(one.task == wait.task for wait in waiting)]
    if not disks:
        return Clear("no request that somebody waits for is in flight for long")
    return _of_bios(disks[0], waiting, waits, told)


def _of_bios(disk: BioDisk, waiting: list[Wait], waits: Waits, told: _Code) -> Finding:
    """Of a disk without requests: what its driver was handed is known by who waits."""
    first = next(wait for wait in waiting if wait.task == disk.task)
    behind = victims_step(waits.victims, {first.task.address})
    code = told.lost.of(disk.driver)
    losers = code.losers[:_MOST_LOSERS] if code is not None else ()
    return Finding(
        title=f"{disk.disk}: {disk.driver} has not ended what {who(first)} waits for",
        summary=f"{who(first)} waits for I/O of {disk.disk}; {disk.driver} takes its bios.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=(
            waits_step(first),
            Step(f"{disk.disk} hands its bios to {disk.function} [{disk.driver}]", disk.because),
            *(_loses(code, one) for one in losers if code is not None),
            *_unended_steps(disk.driver, told),
            *((behind,) if behind else ()),
        ),
        culprits=distinct(
            [
                *_losing(losers, _unending(disk.driver, told, disk.disk), disk),
                Culprit(disk.driver, disk.function, None, disk.disk, "is handed its bios"),
            ]
        ),
        advice=(f"Find out on which way {disk.driver} does not call bio_endio().",),
        refines=(*_GENERAL, *_LOCKS) if _explains(waits) else _GENERAL,
    )


def _unended_steps(driver: str | None, told: _Code) -> list[Step]:
    module = next((one.module for one in told.ways.drivers if one.module.name == driver), None)
    skips = [skipped_step(one) for one in told.parts.of(driver)[:_MOST_FUNCTIONS]]
    return skips + [
        Step(f"{name} can return at {at} without ending what it was handed", (module,))
        for name, at in told.ways.of(driver)[:_MOST_FUNCTIONS]
        if module is not None
    ]


def _unending(driver: str | None, told: _Code, disk: str) -> list[Culprit]:
    skips = [skipping(one, disk) for one in told.parts.of(driver)[:_MOST_FUNCTIONS]]
    return skips + [
        Culprit(driver, name, None, disk, f"can return at {at} without ending what it was handed")
        for name, at in told.ways.of(driver)[:_MOST_FUNCTIONS]
    ]


def _found(
    late: list[Request],
    waiting: list[Wait],
    waits: Waits,
    modules: Modules | Missing,
    told: _Code,
) -> Finding:
    # A disk that is a file on another one is innocent: its own worker waits for the other.
    lowest = [r for r in late if not _passes_on(r, late, waits)] or late
    awaited = [r for r in lowest if r.tasks]
    request = (awaited or lowest)[0]
    same = [r for r in late if r.disk == request.disk]
    tasks = {task.address for task in request.tasks}
    first = next((w for w in waiting if w.task.address in tasks), waiting[0])
    driver = request.driver or "the kernel's own driver"
    foreign = _foreign(request, modules)
    code = told.lost.of(request.driver) if foreign else None
    # One that takes requests off a list has not lost those that are on it.
    losers = code.losers[:_MOST_LOSERS] if code is not None and not request.listed else ()
    count = f"{len(same)} request{'s' * (len(same) != 1)}"
    steps = [
        waits_step(first),
        Step(_tells(request, driver), request.because),
        *([_others(same)] if len(same) > 1 else []),
        *(_loses(code, one) for one in losers if code is not None),
        *(_unended_steps(request.driver, told) if foreign else []),
    ]
    behind = victims_step(waits.victims, {first.task.address})
    steps += [behind] if behind else []
    losing = _unending(request.driver, told, request.disk) if foreign else []
    sure = _sure(code, losers, losing, same)
    return Finding(
        title=f"{request.disk}: {driver} has not completed {count}, for {request.seconds:.0f} s",
        summary=f"{who(first)} waits for I/O of {request.disk}; {driver} was handed {count} "
        f"which neither it nor the device has completed.",
        certainty=Certainty.INFERRED if awaited and sure else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if awaited and not sure else None,
        depth=Depth.ROOT_CAUSE if foreign else Depth.MECHANISM,
        chain=tuple(steps),
        culprits=_culprits(request, code, losers, losing, same) if foreign else (),
        advice=(
            f"Find out how {driver} lost them: where it ends requests, and on which interrupt."
            if foreign
            else f"Look at what is behind {request.disk}: the device, its controller, its host.",
        ),
        refines=(*_GENERAL, *_LOCKS) if _explains(waits) else _GENERAL,
    )


def _sure(
    code: Driver | None,
    losers: tuple[LostRequest, ...],
    losing: list[Culprit],
    same: list[Request],
) -> bool:
    """Whether the code tells who of the driver's functions did it."""
    if len(losers) == 1 and losers[0].untied:
        return code is None or set(code.enders) <= {losers[0].function}
    if losers or losing:
        return False
    # Of several that end requests, another may have lost it.
    alone = code is None or not (code.hands_on or code.enders)
    return alone or (code is not None and _overwrites(code, same))


def _overwrites(code: Driver, same: list[Request]) -> bool:
    """Whether the function that is handed requests has kept but the last of several."""
    return code.keeps_one and len(same) > 1


def _culprits(
    request: Request,
    code: Driver | None,
    losers: tuple[LostRequest, ...],
    losing: list[Culprit],
    same: list[Request],
) -> tuple[Culprit, ...]:
    """Those of the driver's functions that can have lost it, most suspect first.

    Who hands requests on by a list has done its part, once they are on it no more.
    """
    thing = request.disk
    count = f"{len(same)} request{'s' * (len(same) != 1)}"
    why = f"was handed {count} of {request.disk} and has not completed {_them(same)}"
    taking = Culprit(request.driver, request.function, None, thing, why)
    found = _losing(losers, losing, request)
    others = code.enders if code is not None and code.hands_on and not found else ()
    ending = [
        Culprit(request.driver, name, None, thing, "ends requests, and has not ended this one")
        for name in others[:_MOST_LOSERS]
    ]
    first = code is not None and (code.keeps_one or request.listed or len(others) > 1)
    return distinct([*found, *([taking, *ending] if first else [*ending, taking])])


def _losing(
    losers: tuple[LostRequest, ...], losing: list[Culprit], of: Request | BioDisk
) -> list[Culprit]:
    """First who has taken one off a list, last who only may have."""
    found = [
        Culprit(of.driver, one.function, None, of.disk, f"can lose what it has at {one.at}")
        for one in losers
    ]
    return [*found, *losing] if any(one.untied for one in losers) else [*losing, *found]


def _loses(code: Driver, one: LostRequest) -> Step:
    untied = " it has taken off a list" if one.untied else " it has"
    return Step(
        f"{one.function} [{code.module.name}] ends what it gets, but can come to {one.at} with one"
        f" that{untied} and has neither ended nor kept",
        (code.module,),
    )


def _explains(waits: Waits) -> bool:
    """Whether all who hold what others wait for wait for I/O themselves."""
    ends = [waits.chain(wait)[0] for wait in waits.victims]
    return all(waits_for_io(chain[-1]) for chain in ends if len(chain) > 1)


def _passes_on(request: Request, late: list[Request], waits: Waits) -> bool:
    """Whether the driver's own code waits for a request of another disk."""
    for other in late:
        if other.disk == request.disk or request.driver is None:
            continue
        for task in other.tasks:
            wait = waits.of(task.address)
            item = wait.work.module if wait is not None and wait.work is not None else None
            calls = wait.stack.calls if wait is not None else ()
            if request.driver in {item, *(call.module for call in calls)}:
                return True
    return False


def _foreign(request: Request, modules: Modules | Missing) -> bool:
    """Whether the driver is from outside the kernel's tree: less tried than the devices."""
    if request.driver is None or isinstance(modules, Missing):
        return False
    return any(m.name == request.driver and "O" in m.taints for m in modules.loaded)


def _them(requests: list[Request]) -> str:
    return "it" if len(requests) == 1 else "them"


def _tells(request: Request, driver: str) -> str:
    whom = [f"{task.comm} (pid {task.pid})" for task in request.tasks[:1]]
    awaited = f", for which {whom[0]} waits," if whom else ""
    return (
        f"a {request.operation} of {request.bytes} bytes at sector {request.sector} of "
        f"{request.disk}{awaited} was handed to {request.function} [{driver}] "
        f"{request.seconds:.1f} s before and has not been completed (tag {request.tag})"
    )


def _others(requests: list[Request]) -> Step:
    because: list[Pointer] = [memory for r in requests[1:4] for memory in r.because[:1]]
    oldest = max(r.seconds or 0 for r in requests)
    return Step(
        f"{len(requests)} requests of {requests[0].disk} are in flight, the oldest for "
        f"{oldest:.1f} s",
        tuple(because),
    )
