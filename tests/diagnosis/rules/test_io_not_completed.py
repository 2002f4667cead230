"""Requests that a block driver has and does not complete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, module, modules
from handmade_waits import LOCK_A, LOCK_B, call, lock, memory, stack, symptom, task, waits

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Undecided
from oopsight.diagnosis.rules.io_not_completed import io_not_completed
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.io_in_flight import BioDisk, IoInFlight, Request
from oopsight.evidence.hangs.lost_requests import Driver, LostRequest, LostRequests
from oopsight.evidence.hangs.skipped_parts import SkippedPart, SkippedParts
from oopsight.evidence.hangs.unended_io import UnendedIo, UnendedIos
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kinds import Kind

HUNG = symptom(Kind.HUNG_TASK)
PAGE = Lock("page", LOCK_A, None, because=(memory(LOCK_A),))
WRITER = Wait(stack(3, call(3, "file_write_and_wait_range", None)), PAGE, 9.0)
REQUEST = Request(
    disk="rvd0",
    driver="rvdisk",
    function="rvd_queue_rq",
    operation="write",
    sector=1026,
    bytes=4096,
    tag=7,
    queue=0,
    seconds=8.5,
    tasks=(task(3),),
    because=(memory(LOCK_B),),
)
FOREIGN = modules(module("rvdisk", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0010000, "OE"))
DRIVER = FOREIGN.loaded[0].pointer
OURS = modules(module("rvdisk", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0010000))


def judged(
    what: Symptom,
    waiting: Waits | Missing,
    io: IoInFlight | Missing,
    loaded: Modules | Missing,
    *functions: tuple[str, str],
    lost: LostRequests | Missing = ABSENT,
    parts: SkippedParts | Missing = ABSENT,
) -> Finding | Clear | Undecided:
    told = UnendedIos((UnendedIo(DRIVER, functions),))
    return io_not_completed(what, waiting, io, loaded, told, lost, parts)


def test_a_driver_from_outside_that_keeps_a_request_is_to_blame_not_the_file_system() -> None:
    found = judged(HUNG, waits(WRITER), IoInFlight((REQUEST,), 1), FOREIGN)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.function) for c in found.culprits] == [("rvdisk", "rvd_queue_rq")]
    assert "sector 1026 of rvd0" in found.chain[1].claim
    assert all(step.because for step in found.chain)


def test_behind_a_driver_of_the_kernel_the_device_is_suspected_and_no_module_blamed() -> None:
    found = judged(HUNG, waits(WRITER), IoInFlight((REQUEST,), 1), OURS)
    assert isinstance(found, Finding)
    assert found.culprits == ()
    assert found.depth is Depth.MECHANISM
    assert "the device" in found.advice[0]


def test_a_disk_that_is_a_file_on_another_passes_the_blame_on() -> None:
    worker = Wait(stack(4, call(3, "lo_rw_aio", "loop")), Lock("io", None, None), 9.0, work=None)
    loop = replace(REQUEST, disk="loop0", driver="loop", function="loop_queue_rq", seconds=9.0)
    below = replace(REQUEST, tasks=(task(4),))
    found = judged(HUNG, waits(WRITER, worker), IoInFlight((loop, below), 2), FOREIGN)
    assert isinstance(found, Finding)
    assert found.culprits[0].module == "rvdisk"


def test_a_request_that_nobody_is_known_to_wait_for_is_only_possible() -> None:
    loose = replace(REQUEST, tasks=())
    found = judged(HUNG, waits(WRITER), IoInFlight((loose, loose), 2), FOREIGN)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_a_request_of_just_now_keeps_nobody() -> None:
    young = replace(REQUEST, seconds=0.2)
    found = judged(HUNG, waits(WRITER), IoInFlight((young,), 1), FOREIGN)
    assert isinstance(found, Clear)


def test_a_slow_request_is_no_reason_for_who_has_waited_much_longer() -> None:
    stuck = Wait(stack(8, call(3, "reset")), lock(LOCK_B, kind="completion"), 600.0)
    assert isinstance(judged(HUNG, waits(stuck, WRITER), IoInFlight((REQUEST,), 1), FOREIGN), Clear)


def test_a_lock_whose_holder_waits_for_something_else_is_not_explained() -> None:
    io = IoInFlight((REQUEST,), 1)
    behind = Wait(stack(5, call(3, "f")), lock(LOCK_A, 3), 9.0)
    found = judged(HUNG, waits(WRITER, behind), io, FOREIGN)
    assert isinstance(found, Finding)
    assert "lock_held" in found.refines
    holder = Wait(stack(6, call(3, "g")), Lock("event", LOCK_B, "q"), 9.0)
    other = Wait(stack(7, call(3, "h")), lock(LOCK_A, 6), 9.0)
    found = judged(HUNG, waits(WRITER, holder, other), io, FOREIGN)
    assert isinstance(found, Finding)
    assert "lock_held" not in found.refines


def test_clear_and_undecided() -> None:
    io = IoInFlight((REQUEST,), 1)
    other = Wait(stack(3, call(3, "f")), lock(LOCK_A), 9.0)
    assert isinstance(judged(symptom(Kind.OOM), ABSENT, ABSENT, ABSENT), Clear)
    assert isinstance(judged(HUNG, ABSENT, io, FOREIGN), Undecided)
    assert isinstance(judged(HUNG, waits(WRITER), ABSENT, FOREIGN), Clear)
    assert isinstance(judged(HUNG, waits(other), io, FOREIGN), Clear)
    circle = Wait(stack(1, call(3, "g")), lock(LOCK_A, 1), 9.0)
    assert isinstance(judged(HUNG, waits(WRITER, circle), io, FOREIGN), Clear)


def test_who_ends_io_on_some_ways_only_comes_before_who_takes_it() -> None:
    io = IoInFlight((REQUEST,), 1)
    found = judged(HUNG, waits(WRITER), io, FOREIGN, ("rvd_done", "rvd_done+0x40"))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["rvd_done", "rvd_queue_rq"]
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert DRIVER in found.chain[-1].because


def test_a_disk_without_requests_is_known_by_who_waits_for_it() -> None:
    disk = BioDisk("rvd0", "rvdisk", "rvd_submit_bio", task(3), (memory(LOCK_B),))
    io = IoInFlight((), 0, (disk,))
    found = judged(HUNG, waits(WRITER), io, FOREIGN, ("rvd_copy", "rvd_copy+0x40"))
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["rvd_copy", "rvd_submit_bio"]
    assert found.certainty is Certainty.POSSIBLE
    other = replace(disk, task=task(9))
    assert isinstance(judged(HUNG, waits(WRITER), IoInFlight((), 0, (other,)), FOREIGN), Clear)


def test_who_leaves_a_part_out_comes_first() -> None:
    disk = BioDisk("rvd0", "rvdisk", "rvd_submit_bio", task(3), (memory(LOCK_B),))
    part = SkippedPart(DRIVER, "rvd_mirror", "rvd_mirror+0x4a", "rvd_put")
    for io in (IoInFlight((), 0, (disk,)), IoInFlight((REQUEST,), 1)):
        found = judged(HUNG, waits(WRITER), io, FOREIGN, parts=SkippedParts((part,)))
        assert isinstance(found, Finding)
        assert found.culprits[0].function == "rvd_mirror"
        assert len(found.culprits) == 2
        assert "can go on at rvd_mirror+0x4a without" in found.chain[-1].claim
        assert found.certainty is Certainty.POSSIBLE


def blamed(
    *requests: Request, told: tuple[tuple[str, str], ...] = (), **code: Any
) -> tuple[list[str | None], Certainty]:
    module = ModulePointer("rvdisk", loaded=True, base=LOCK_A)
    values = {"losers": (), "enders": ("irq",), "hands_on": True, "keeps_one": False}
    driver = Driver(module, **{**values, **code})
    io = IoInFlight(requests, len(requests))
    found = judged(HUNG, waits(WRITER), io, FOREIGN, *told, lost=LostRequests((driver,)))
    assert isinstance(found, Finding)
    assert all(step.because for step in found.chain)
    return [c.function for c in found.culprits], found.certainty


def test_who_takes_a_request_off_a_list_and_does_not_end_it_comes_first() -> None:
    one = LostRequest("work", "work+0x45", untied=True)
    queue = "rvd_queue_rq"
    alone = {"losers": (one,), "enders": ("work",)}
    assert blamed(REQUEST, **alone) == (["work", queue], Certainty.INFERRED)
    # Another ends requests as well.
    assert blamed(REQUEST, losers=(one,)) == (["work", queue], Certainty.POSSIBLE)
    loose = replace(one, untied=False)
    assert blamed(REQUEST, losers=(loose,)) == (["work", queue], Certainty.POSSIBLE)
    ways = (("done", "done+0x9"),)
    names = ["work", "done", queue]
    assert blamed(REQUEST, **alone, told=ways) == (names, Certainty.INFERRED)
    names = ["done", "work", queue]
    assert blamed(REQUEST, losers=(loose,), told=ways) == (names, Certainty.POSSIBLE)
    listed = replace(REQUEST, listed=True)
    assert blamed(listed, losers=(one,)) == ([queue, "irq"], Certainty.POSSIBLE)


def test_who_hands_requests_on_may_have_done_its_part() -> None:
    queue = "rvd_queue_rq"
    assert blamed(REQUEST) == (["irq", queue], Certainty.POSSIBLE)
    assert blamed(REQUEST, enders=("irq", "work")) == ([queue, "irq", "work"], Certainty.POSSIBLE)
    assert blamed(REQUEST, hands_on=False) == ([queue], Certainty.POSSIBLE)
    assert blamed(REQUEST, hands_on=False, enders=()) == ([queue], Certainty.INFERRED)
    second = replace(REQUEST, tag=8)
    assert blamed(REQUEST, keeps_one=True)[1] is Certainty.POSSIBLE
    assert blamed(REQUEST, second, keeps_one=True) == ([queue, "irq"], Certainty.INFERRED)
