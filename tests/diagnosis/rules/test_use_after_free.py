from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    frame,
    list_report,
    log,
    module,
    modules,
    owner,
    slab_object,
    track,
    users,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.use_after_free import use_after_free
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.second_copy import SecondCopy
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.asked_provider import AskedProvider
from oopsight.evidence.use_after_free.gone_area import GoneArea
from oopsight.evidence.use_after_free.handed_back import HandedBack
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.evidence.use_after_free.lost_memory import LostMemory
from oopsight.evidence.use_after_free.out_of_section import OutOfSection
from oopsight.evidence.use_after_free.slot_copies import SlotCopies
from oopsight.evidence.use_after_free.taking_out import TakingOut

POISON = 0x6B6B6B6B6B6B6B6B
FAULT = fault(None, exception="general_protection")
STEP = flow_step("loaded", "run_timers", POISON)


def flow(**changes: Any) -> Any:
    bad = owner(POISON, "poison", detail="freed slab memory (POISON_FREE) +0x0")
    return data_flow(way(STEP), **{"bad": bad, **changes})


def judged(**facts: Any) -> Any:
    """The rule's answer where freed memory was met; what is not given is absent."""
    known = dict.fromkeys(
        (
            "report",
            "users",
            "lost",
            "memory",
            "gone",
            "left",
            "modules",
            "doers",
            "footprints",
            "prints",
            "copies",
            "section",
            "log",
            "handed",
            "asked",
            "area",
        ),
        ABSENT,
    )
    met = {"fault": FAULT, "backtrace": backtrace(), "flow": flow()}
    return use_after_free(**{**known, **met, **facts})


def test_whoever_the_allocator_recorded_is_blamed() -> None:
    one = slab_object("free", poisoned=True, tracks=(track("freed", "release", "wdt"),))
    answer = judged(users=users(one))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.SHOWN
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("wdt", "release")
    assert "wild_pointer" in answer.refines


def test_who_left_the_read_section_comes_before_who_freed_it() -> None:
    one = slab_object("free", poisoned=True, tracks=(track("freed", "qf_free", "qf"),))
    section = OutOfSection(
        "qf", "qf_read", False, "qf.c:9", frame(1, "qf_read", Role.CALLER, "qf").pointer
    )
    answer = judged(users=users(one), section=section)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["qf_read", "qf_free"]
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.cause_certainty is Certainty.SHOWN
    assert any("goes on with what it got in a read section" in step.claim for step in answer.chain)
    answer = judged(users=users(one), section=replace(section, helper=True, function="qf_find"))
    assert answer.culprits[0].why.startswith("returns what it got in a read section")


def test_who_had_been_told_that_it_goes_comes_first() -> None:
    one = slab_object("free", poisoned=True, tracks=(track("freed", "zone_drop", "zone"),))
    asked = AskedProvider("hub", "hub_unsubscribe", "zone_drop")
    answer = judged(users=users(one), asked=asked)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["hub_unsubscribe", "zone_drop"]
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    assert "hub_unsubscribe [hub] had been told" in answer.summary


def test_an_area_of_vmalloc_that_is_gone_as_it_is_copied() -> None:
    (line,) = log("usercopy: Kernel memory exposure attempt detected from vmalloc 'no area'").lines
    area = GoneArea(line, "rec", ("rec_resize", "rec_remove"))
    answer = judged(flow=ABSENT, area=area)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["rec_resize", "rec_remove"]
    assert answer.certainty is Certainty.POSSIBLE
    assert line in answer.chain[1].because
    assert {"buffer_overflow", "bug_on"} <= set(answer.refines)


def test_who_met_what_another_had_freed_is_no_culprit() -> None:
    one = slab_object("free", poisoned=True, tracks=(track("freed", "release", "wdt"),))
    path = backtrace(poll=Role.FAULT)
    met = data_flow(way(flow_step("loaded", "poll", POISON, "bus")), bad=flow().bad)
    answer = judged(backtrace=path, flow=met, users=users(one))
    assert isinstance(answer, Finding)
    assert {culprit.module for culprit in answer.culprits} == {"wdt"}


def test_a_record_of_whoever_called_the_one_that_freed_names_nobody_for_sure() -> None:
    """A function that jumps to kfree() at its end leaves its caller's address."""
    record = replace(track("freed", "bus_run", "bus"), handed_on=True)
    one = slab_object("free", poisoned=True, tracks=(record,))
    answer = judged(users=users(one))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    known = replace(record, by=track("freed", "sink_event", "sink").caller)
    named = slab_object("free", poisoned=True, tracks=(known,))
    answer = judged(users=users(named))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.SHOWN
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("sink", "sink_event")


def test_who_may_have_jumped_on_to_the_allocator_comes_before_who_called_it() -> None:
    record = replace(track("freed", "unregister_bus"), handed_on=True)
    freed = users(slab_object("free", poisoned=True, tracks=(record,)))
    jumping = replace(freed.modules[0], jumps=("mod_disconnect",))
    answer = judged(users=replace(freed, modules=(jumping,)))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.culprits[0].function == "mod_disconnect"
    assert "lacks who freed it" in answer.culprits[0].why


def test_what_the_kernel_frees_for_a_driver_is_the_drivers_mistake() -> None:
    """devres frees what a driver's probe allocated, with the driver's timer in it."""
    records = (track("allocated", "watch_probe", "watch"), track("freed", "unbind_cleanup"))
    one = slab_object("free", poisoned=True, tracks=records)
    answer = judged(users=users(one))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert [(one.module, one.function) for one in answer.culprits] == [("watch", "watch_probe")]


def test_who_used_what_the_kernel_had_freed_comes_first() -> None:
    records = (track("allocated", "alloc_skb_with"), track("freed", "net_tx_action"))
    one = slab_object("free", poisoned=True, tracks=records)
    path = backtrace(nic_poll=Role.FAULT)
    met = data_flow(way(flow_step("loaded", "nic_poll", POISON, "nic")), bad=flow().bad)
    answer = judged(backtrace=path, flow=met, users=users(one))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert {one.module for one in answer.culprits} == {"nic"}


def test_who_had_just_allocated_it_called_whoever_freed_it() -> None:
    one = slab_object("free", poisoned=True)
    got = way(flow_step("returned", "nic_rx", 0x1000, "nic"), returned_by="__netdev_alloc_skb")
    met = data_flow(way(flow_step("loaded", "nic_rx", POISON, "nic")), got, bad=flow().bad)
    answer = judged(flow=met, users=users(one))
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("nic", "nic_rx")


def test_a_record_of_rcu_alone_names_nobody() -> None:
    record = track("freed", "rcu_do_batch")
    frames = tuple(replace(frame, plumbing="schedules") for frame in record.frames)
    one = slab_object(
        "free", poisoned=True, tracks=(replace(record, caller=frames[0], frames=frames),)
    )
    two = replace(users(one).modules[0], frees=("mod_free", "mod_drop"))
    used = replace(users(one), modules=(two,))
    answer = judged(users=used)
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_who_kept_what_others_count_the_users_of_comes_before_its_owner() -> None:
    """A device's owner gives back the last reference; a watcher had kept a bare pointer."""
    owned, freed = track("allocated", "port_add", "port"), track("freed", "port_remove", "port")
    put = replace(owned.frames[0], function="kobject_put", module=None, plumbing="counts")
    counted = replace(freed, caller=put, frames=(put, *freed.frames))
    path = backtrace(watch_poll=Role.FAULT)
    met = data_flow(way(flow_step("loaded", "watch_poll", POISON, "watch")), bad=flow().bad)
    one = slab_object("free", poisoned=True, tracks=(owned, counted))
    answer = judged(backtrace=path, flow=met, users=users(one))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert [culprit.module for culprit in answer.culprits] == ["watch", "port"]
    # Memory that is freed by its owner's own doing has no users that count.
    plain = slab_object("free", poisoned=True, tracks=(owned, freed))
    answer = judged(backtrace=path, flow=met, users=users(plain))
    assert isinstance(answer, Finding)
    assert (answer.certainty, answer.culprits[0].module) == (Certainty.SHOWN, "port")
    # The kernel called its release function, which jumped on to the allocator: it has no frame.
    called = track("freed", "put_last")
    jumped = replace(called, handed_on=True, by=track("freed", "port_free", "port").caller)
    one = slab_object("free", poisoned=True, tracks=(owned, jumped))
    answer = judged(backtrace=path, flow=met, users=users(one))
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("port", "port_free")


LOST = LostMemory(
    kind="free page",
    address=Address(0xFFFF888002000070),
    module="desc",
    kept="desc_current",
    pointer=BytesPointer(Address(0xFFFFFFFFC0400100), "00" * 8),
    other=None,
    other_variable=None,
    other_pointer=None,
    frees=("desc_resize",),
)


def lost(**changes: Any) -> Finding:
    memory = replace(LOST, **changes)
    answer = judged(flow=data_flow(way(STEP)), lost=memory)
    assert isinstance(answer, Finding)
    return answer


def test_a_free_page_that_is_used_was_given_back_by_whoever_can() -> None:
    answer = lost()
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.cause_certainty is Certainty.INFERRED
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("desc", "desc_resize")
    assert LOST.pointer in [pointer for step in answer.chain for pointer in step.because]


def test_who_freed_a_page_is_taken_from_the_page_allocators_record() -> None:
    answer = lost(records=(track("freed", "desc_shrink", "desc"),), frees=("one", "two"))
    assert (answer.certainty, answer.culprits[0].function) == (Certainty.INFERRED, "desc_shrink")
    assert "the page was freed by process 7" in answer.chain[-1].claim


def test_a_page_that_another_has_is_only_possibly_given_back() -> None:
    held = BytesPointer(Address(0xFFFFFFFFC0500100), "00" * 8)
    answer = lost(
        kind="page of another", other="cmdlog", other_variable="cmdlog_page", other_pointer=held
    )
    assert answer.certainty is Certainty.POSSIBLE
    assert "cmdlog" in answer.summary
    assert {culprit.module for culprit in answer.culprits} == {"desc", None}
    assert held in [pointer for step in answer.chain for pointer in step.because]


def test_a_vmalloc_area_that_is_gone_is_only_possibly_given_back() -> None:
    assert lost(kind="vmalloc area").certainty is Certainty.POSSIBLE
    assert lost(frees=("one", "two")).certainty is Certainty.POSSIBLE


def test_without_a_record_the_only_function_that_frees_is_blamed() -> None:
    answer = judged(flow=data_flow(way(STEP)), users=users(slab_object("free")))
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.cause_certainty is Certainty.INFERRED
    assert answer.culprits[0].function == "mod_free"
    assert "only function" in answer.culprits[0].why


def test_who_leaves_it_in_two_places_of_a_table_comes_first() -> None:
    copies = SlotCopies("mod", "mod_slots", None, ("mod_move",), ("mod_free",))
    answer = judged(flow=data_flow(way(STEP)), users=users(slab_object("free")), copies=copies)
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits][:2] == ["mod_move", "mod_free"]
    assert "mod_move [mod] leaves such in two places of a table" in answer.summary
    assert answer.certainty is Certainty.POSSIBLE


def test_who_leaves_a_member_with_others_comes_first() -> None:
    freed = users(slab_object("free"))
    can = replace(freed.modules[0], frees=("mod_close", "mod_shift", "mod_retire"))
    told = replace(can, takes_out=TakingOut(0x30, ("mod_close",), ("mod_retire",)))
    answer = judged(flow=data_flow(way(STEP)), users=replace(freed, modules=(told,)))
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits[:3]] == ["mod_retire", "mod_shift", "mod_close"]
    assert "as mod_close does" in answer.culprits[0].why
    assert answer.certainty is Certainty.POSSIBLE
    vain = replace(can, gives_up=("mod_shift",))
    answer = judged(flow=data_flow(way(STEP)), users=replace(freed, modules=(vain,)))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "mod_shift"
    hasty = replace(can, hurries=("mod_close",))
    answer = judged(flow=data_flow(way(STEP)), users=replace(freed, modules=(hasty,)))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "mod_close"
    assert "does not wait for the function that runs" in answer.culprits[0].why
    # Readers are waited for.
    told = replace(can, waits=("mod_close", "mod_shift"))
    answer = judged(flow=data_flow(way(STEP)), users=replace(freed, modules=(told,)))
    assert isinstance(answer, Finding)
    named = [one.function for one in answer.culprits if one.function in can.frees]
    assert named == ["mod_retire", "mod_close", "mod_shift"]


def test_who_sets_up_again_what_may_be_pending_comes_first_where_all_take_it_out() -> None:
    freed = users(slab_object("free"))
    can = replace(freed.modules[0], frees=("mod_close",), sets_again=("mod_restart",))
    told = replace(can, takes_out=TakingOut(0, ("mod_close",), ()))
    answer = judged(flow=data_flow(way(STEP)), users=replace(freed, modules=(told,)))
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits[:2]] == ["mod_restart", "mod_close"]
    assert "mod_restart [mod] sets up what others may have already" in answer.summary


def test_what_was_put_too_often_was_freed_by_its_count() -> None:
    freed = users(slab_object("free"))
    put = fault(None, exception="invalid_op", function="refcount_warn_saturate")
    said = log("refcount_t: underflow; use-after-free.")
    assert isinstance(judged(fault=put, users=freed, log=said), Clear)
    said = log("refcount_t: addition on 0; use-after-free.")
    assert isinstance(judged(fault=put, users=freed, log=said), Finding)


def test_who_gives_it_back_and_uses_it_then_comes_before_the_only_function_that_frees() -> None:
    """The last reference is given back by the user, and a callback of the module frees it."""
    path = backtrace(mutex_lock=Role.FAULT, mod_remove=Role.CALLER)
    met = data_flow(way(flow_step("loaded", "mod_remove", POISON, "mod")), bad=flow().bad)
    field = FieldDoers(0, None, "mod", (), (), (), ())
    known = Doers("mod", (field,), ("mod_free",), (), gives_back=("mod_remove",))
    freed = users(slab_object("free"))
    answer = judged(backtrace=path, flow=met, users=freed, doers=known)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "mod_remove"
    assert "mod_free" in [one.function for one in answer.culprits]
    assert answer.certainty is Certainty.POSSIBLE
    answer = judged(backtrace=path, flow=met, users=freed, doers=replace(known, gives_back=()))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "mod_free"


def test_who_takes_it_out_of_one_place_only_comes_first() -> None:
    freed = users(slab_object("free"))
    field = FieldDoers(0, freed.object.address, "mod", (), (), (), ())
    field = replace(field, second_copies=(SecondCopy("mod_allow", "mod_drop"),))
    known = Doers("mod", (field,), ("mod_free",), ())
    answer = judged(flow=data_flow(way(STEP)), users=freed, doers=known)
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits][:2] == ["mod_drop", "mod_free"]
    assert "mod_drop [mod] takes such out of one place" in answer.summary
    assert answer.certainty is Certainty.POSSIBLE


def test_the_pattern_alone_names_no_freeing_function() -> None:
    answer = judged()
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert [c.function for c in answer.culprits] == ["f", "g"] or answer.culprits


def test_memory_that_is_allocated_is_clear() -> None:
    assert isinstance(
        judged(flow=data_flow(way(STEP))),
        Clear,
    )


def test_who_has_just_allocated_what_a_list_led_to_is_suspected_last() -> None:
    """It frees such objects as well, where something fails."""
    one = users(slab_object())
    (use,) = one.modules
    both = replace(use, frees=("mod_new", "mod_delete"))
    again = replace(
        one, question="listed", role="its memory was still on the list", modules=(both,)
    )
    frames = (frame(0, "list_check", Role.FAULT), frame(1, "mod_new", Role.CALLER, "mod"))
    path = replace(backtrace(f=Role.FAULT), frames=frames)
    step = flow_step("returned", "mod_new", 0xFFFF888000090000, "mod")
    flow = data_flow(way(step, returned_by="kmalloc_trace", ended="returned"), subject="argument")
    found = judged(fault=fault(), backtrace=path, flow=flow, users=again)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "mod_delete"
    assert found.certainty is Certainty.POSSIBLE


def test_whoever_makes_such_objects_is_suspected_before_whom_they_are_handed_to() -> None:
    one = users(slab_object("free"))
    (use,) = one.modules
    maker = replace(use, module="maker", frees=("maker_drop",), allocates=True, because=None)
    user = replace(use, allocates=False, because=None)
    both = replace(one, modules=(user, maker))
    found = judged(flow=data_flow(way(STEP)), users=both)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["maker_drop"]
    assert found.certainty is Certainty.POSSIBLE
    assert [i.module for i in found.innocent] == ["mod"]


def test_who_leaves_it_where_it_can_be_looked_up_comes_first() -> None:
    left = LeftBehind("drv", "idr_find()", False, ("drv_ban",), "idr_remove()")
    found = judged(left=left)
    assert isinstance(found, Finding)
    assert (found.culprits[0].module, found.culprits[0].function) == ("drv", "drv_ban")
    assert "idr_remove()" in found.culprits[0].why
    assert found.certainty is Certainty.POSSIBLE


def test_an_entry_that_was_left_on_a_stack() -> None:
    left = LeftBehind("drv", "struct wait_queue_head.head", True, ("drv_wait",), None)
    found = judged(flow=data_flow(way(STEP)), left=left)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "drv_wait"
    assert "bad_function_pointer" in found.refines
    assert found.certainty is Certainty.POSSIBLE
    # As the list check met it, with the entry itself.
    report = list_report("list_add corruption. prev->next should be next (ffff888003400000), but "
                         "was 0000000000000000. (prev=ffffc90000493bb0).")  # fmt: skip
    met = replace(left, entry=owner(0xFFFFC90000493BB0, "stack", detail="another's stack"))
    found = judged(flow=data_flow(way(STEP)), report=report, left=met)
    assert isinstance(found, Finding)
    assert "0xffffc90000493bb0 on another's stack" in found.summary


def test_a_module_that_frees_nothing_is_no_sure_culprit() -> None:
    one = users(slab_object("free"))
    (use,) = one.modules
    idle = replace(one, modules=(replace(use, frees=()),))
    found = judged(flow=data_flow(way(STEP)), users=idle)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_whoever_has_the_memory_now_is_not_to_blame() -> None:
    known = users(slab_object())
    now = replace(known.modules[0], module="log", frees=("log_drop",))
    both = replace(known, question="refilled", modules=(now, *known.modules), has_it="log")
    loaded = modules(module("mod", 0x1000, 0x2000, "O"), module("log", 0x3000, 0x4000, "O"))
    answer = judged(users=both, modules=loaded)
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("mod", "mod_free")
    assert answer.certainty is Certainty.POSSIBLE
    ((name, why),) = ((one.module, one.why) for one in answer.innocent)
    assert name == "log"
    assert why.startswith("has the memory now")
    # Where nobody else can have freed it, it may have done so itself.
    answer = judged(users=replace(both, modules=(now,)), modules=loaded)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].module == "log"


def test_who_tells_the_kernel_that_it_is_done() -> None:
    known = users(slab_object())
    lent = replace(known.modules[0], lent=True)
    answer = judged(users=replace(known, question="refilled", modules=(lent,)))
    assert isinstance(answer, Finding)
    assert answer.culprits[0].why.startswith("tells the kernel that it is done")
    # The kernel's modules on the way use it for whoever calls them.
    met = data_flow(way(flow_step("loaded", "uio_event_notify", 7, "uio")), bad=flow().bad)
    answer = judged(users=replace(known, question="refilled", modules=(lent,)), flow=met)
    assert isinstance(answer, Finding)
    assert {culprit.module for culprit in answer.culprits} == {"mod"}


def test_the_kernel_went_on_with_what_a_driver_had_given_up() -> None:
    met = {
        "flow": data_flow(way(flow_step("loaded", "dequeue_skb", 0)), bad=owner(0, "null")),
        "fault": fault(0),
        "handed": HandedBack("packet", "uplink", ("uplink_xmit",)),
    }
    answer = judged(**met)
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].function, answer.certainty) == ("uplink_xmit", Certainty.POSSIBLE)
    assert "null_dereference" in answer.refines
    assert isinstance(judged(**{**met, "handed": ABSENT}), Clear)


def test_a_destroyed_workqueue_may_not_be_free_yet() -> None:
    one = slab_object()
    role = "queue_work_on was handed it as a workqueue, and it had been destroyed"
    dead = replace(users(one), question="freed", role=role)
    answer = judged(users=dead, flow=data_flow(way(flow_step("loaded", "tick", 0))))
    assert isinstance(answer, Finding)
    assert any(step.claim.endswith(role) and "free list" not in step.claim for step in answer.chain)
