from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    log,
    module,
    modules,
    owner,
    slab_object,
    track,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.double_free import double_free
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.refused_object import RefusedObject
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.given_twice import GivenTwice

decided = functools.partial(double_free, refused=ABSENT, users=ABSENT)
STOPPED = fault(None, exception="invalid_op", operand=None)


def trace() -> Backtrace:
    made = backtrace(kfree=Role.FAULT, up_release=Role.CALLER)
    plumbing = "allocates or frees memory for its caller"
    return replace(made, frames=(replace(made.frames[0], plumbing=plumbing), *made.frames[1:]))


def flow(state: str) -> DataFlow:
    slab = slab_object(state)
    bad = owner(slab.address, "slab", slab=slab)
    step = flow_step("loaded", "up_release", slab.address, "up")
    return data_flow(way(step), subject="argument", checker="kfree", bad=bad)


def test_the_allocator_stopped_at_a_free_object() -> None:
    answer = decided(
        STOPPED,
        trace(),
        flow("free"),
        log("kernel BUG at mm/slub.c:1"),
        ABSENT,
        ABSENT,
        doers=ABSENT,
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "up_release"
    assert all(step.because for step in answer.chain)


@pytest.mark.parametrize(
    ("before", "certainty"),
    [("up_release", Certainty.SHOWN), ("up_commit", Certainty.POSSIBLE)],
)
def test_by_the_record_the_same_function_freed_it_twice_or_another(
    before: str, certainty: Certainty
) -> None:
    slab = slab_object("free", tracks=(track("freed", before, "up"),))
    given = replace(flow("free"), bad=owner(slab.address, "slab", slab=slab))
    made = trace()
    frames = (made.frames[0], replace(made.frames[1], module="up"))
    answer = decided(
        STOPPED, replace(made, frames=frames), given, ABSENT, ABSENT, ABSENT, doers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is certainty
    assert Certainty.SHOWN in (answer.certainty, answer.cause_certainty)


def test_who_freed_first_what_an_object_kept_a_pointer_to_is_open() -> None:
    holder = slab_object("allocated")
    step = flow_step("loaded", "up_release", 0xFFFF888000040000, "up")
    kept = way(step, held_in=owner(int(holder.address) + 8, "slab", slab=holder))
    said = log("kernel BUG at mm/slub.c:1")
    answer = decided(
        STOPPED, trace(), replace(flow("free"), ways=(kept,)), said, ABSENT, ABSENT, doers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_a_helper_that_frees_for_its_caller_on_some_ways_comes_first() -> None:
    told = Doers("up", (), (), (), twice_given=(GivenTwice("up_install", "up_release"),))
    answer = decided(
        STOPPED, trace(), flow("free"), log("kernel BUG at mm/slub.c:1"), ABSENT, ABSENT, told
    )
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["up_install", "up_release"]
    assert answer.certainty is Certainty.POSSIBLE
    # Also where its caller is told to give the same back twice: it does so by the helper.
    twice = replace(told, again=("up_release",))
    answer = decided(STOPPED, trace(), flow("free"), ABSENT, ABSENT, ABSENT, twice)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["up_install", "up_release"]
    # Whether what another caller has is freed twice is another matter.
    told = replace(told, twice_given=(GivenTwice("up_install", "up_write"),))
    answer = decided(STOPPED, trace(), flow("free"), ABSENT, ABSENT, ABSENT, told)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "up_release"


def test_who_else_has_the_helper_free_it_and_keeps_the_pointer() -> None:
    told = Doers("up", (), (), (), kept_after=(GivenTwice("up_release", "up_resize"),))
    answer = decided(STOPPED, trace(), flow("free"), ABSENT, ABSENT, ABSENT, told)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["up_resize", "up_release"]


def test_a_helper_that_left_no_frame_is_blamed_first() -> None:
    made = replace(flow("free"), checker="up_done", checker_module="up")
    answer = decided(STOPPED, trace(), made, ABSENT, ABSENT, ABSENT, doers=ABSENT)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["up_done", "up_release"]


def test_of_what_the_kernel_frees_itself_the_handler_had_it_before() -> None:
    """A packet filter frees a packet, and has its caller drop it."""
    inner = backtrace(kmem_cache_free=Role.FAULT, ip_local_out=Role.CALLER)
    plumbing = "allocates or frees memory for its caller"
    path = replace(inner, frames=(replace(inner.frames[0], plumbing=plumbing), inner.frames[1]))
    slab = slab_object("free")
    made = data_flow(
        way(flow_step("passed", "ip_local_out", slab.address)),
        subject="argument",
        checker="nf_hook_slow",
        bad=owner(slab.address, "slab", slab=slab),
    )
    loaded = modules(module("wall", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"))
    answer = decided(STOPPED, path, made, ABSENT, ABSENT, loaded, doers=ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    hook = TrackFrame(Address(0xFFFFFFFFC0400010), "wall_hook", "wall", None)
    answer = decided(
        STOPPED, path, replace(made, called_back=(hook,)), ABSENT, ABSENT, loaded, doers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("wall", "wall_hook")
    # Called by what has returned itself, it only may have had the object.
    answer = decided(
        STOPPED, path, replace(made, called_within=(hook,)), ABSENT, ABSENT, loaded, doers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.culprits[0].function == "wall_hook"
    # Who had handed it to the kernel further out comes after it.
    frames = (*path.frames, replace(path.frames[1], index=2, function="agg_xmit", module="agg"))
    answer = decided(
        STOPPED,
        replace(path, frames=frames),
        replace(made, called_within=(hook,)),
        ABSENT,
        ABSENT,
        loaded,
        doers=ABSENT,
    )
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits] == ["wall_hook", "ip_local_out", "agg_xmit"]


def test_who_jumped_on_to_the_allocator_freed_it() -> None:
    inner = backtrace(kfree=Role.FAULT, deactivate_locked_super=Role.CALLER)
    plumbing = "allocates or frees memory for its caller"
    path = replace(inner, frames=(replace(inner.frames[0], plumbing=plumbing), inner.frames[1]))
    slab = slab_object("free")
    made = data_flow(
        way(flow_step("loaded", "toy_kill_sb", slab.address, "toyfs")),
        subject="argument",
        checker="kfree",
        bad=owner(slab.address, "slab", slab=slab),
    )
    answer = decided(STOPPED, path, made, ABSENT, ABSENT, ABSENT, doers=ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "toy_kill_sb"
    assert answer.summary.startswith("toy_kill_sb [toyfs] freed")


def test_an_object_in_use_was_not_freed_twice() -> None:
    assert isinstance(
        decided(STOPPED, trace(), flow("allocated"), ABSENT, ABSENT, ABSENT, doers=ABSENT),
        Clear,
    )


def test_where_the_object_cannot_be_read_it_is_only_possible() -> None:
    made = replace(flow("free"), bad=owner(0xFFFF888000040000, "unknown"))
    answer = decided(STOPPED, trace(), made, ABSENT, ABSENT, ABSENT, doers=ABSENT)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_an_argument_that_cannot_be_followed_leaves_it_open() -> None:
    assert isinstance(
        decided(STOPPED, trace(), ABSENT, ABSENT, ABSENT, ABSENT, doers=ABSENT), Undecided
    )


def test_a_fault_elsewhere_is_clear() -> None:
    assert isinstance(
        decided(fault(), backtrace(), flow("free"), ABSENT, ABSENT, ABSENT, doers=ABSENT), Clear
    )


def test_who_leaves_the_object_with_others_that_have_it_freed_again() -> None:
    refused = RefusedObject(
        slab_object("free"), "up", "up_disconnect", None, ("up_connect",), "hub_unregister"
    )
    names = ["up_connect", "up_disconnect"]
    said = log("kernel BUG at mm/slub.c:1")
    args = (STOPPED, trace())
    answer = double_free(*args, ABSENT, said, ABSENT, ABSENT, ABSENT, refused, ABSENT)
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits[:2]] == names
    assert "hub_unregister" in answer.culprits[0].why
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.cause_certainty is Certainty.INFERRED
    assert all(step.because for step in answer.chain)
    # Where the trace is known, it comes first as well.
    answer = double_free(*args, flow("free"), said, ABSENT, ABSENT, ABSENT, refused, ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "up_connect"


def test_a_packet_of_which_a_piece_is_free() -> None:
    path = backtrace(skb_release_data=Role.FAULT, kfree_skb=Role.CALLER, notify=Role.CALLER)
    frames = tuple(
        replace(f, module="drv" if f.function == "notify" else None) for f in path.frames
    )
    path = replace(path, frames=frames)
    piece = replace(slab_object("free"), cache="skbuff_small_head")
    users = ObjectUsers("freed", "by hand", piece, None, ())
    answer = decided(fault(), path, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, users=users)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "notify"
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert "use_after_free" in answer.refines
    # The kernel was at something else with it.
    sends = replace(frames[1], function="dev_queue_xmit")
    other = replace(path, frames=(frames[0], sends, frames[2]))
    answer = decided(fault(), other, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, users=users)
    assert isinstance(answer, Clear)


def test_an_area_of_vmalloc_that_is_there_no_more() -> None:
    said = log("Trying to vfree() nonexistent vm area (00000000a77379aa)")
    address = 0xFFFFD0A54045E000
    step = flow_step("loaded", "up_release", address, "up")
    hole = owner(address, "vmalloc-hole")
    given = data_flow(way(step), subject="argument", checker="__vunmap", bad=hole)
    answer = decided(STOPPED, trace(), given, said, ABSENT, ABSENT, doers=ABSENT)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "up_release"
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert "warning" in answer.refines
    # Who leaves the pointer comes before who frees by it now.
    field = FieldDoers(0, None, "up", (), (), (), (), at_times=("up_resize",))
    told = Doers("up", (field,), (), ())
    answer = decided(STOPPED, trace(), given, said, ABSENT, ABSENT, doers=told)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["up_resize", "up_release"]
    # Inside an area that is there it is a wrong address, and elsewhere the line is of before.
    inside = replace(given, bad=owner(address, "vmalloc"))
    answer = decided(STOPPED, trace(), inside, said, ABSENT, ABSENT, doers=ABSENT)
    assert not isinstance(answer, Finding)
    later = backtrace(up_read=Role.FAULT)
    answer = decided(STOPPED, later, given, said, ABSENT, ABSENT, doers=ABSENT)
    assert not isinstance(answer, Finding)
