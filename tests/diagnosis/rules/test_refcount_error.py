from __future__ import annotations

from dataclasses import replace

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
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.refcount_error import refcount_error
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers
from oopsight.evidence.modules.file_givers import FileGivers, GivesFiles
from oopsight.evidence.modules.given_twice import GivenTwice
from oopsight.kinds import Kind
from oopsight.oops.facts import CrashReport, Frame, Stack

LINES = log("refcount_t: underflow; use-after-free.", "WARNING: CPU: 0 PID: 7 at lib/refcount.c:28")
SATURATED = log("refcount_t: saturated; leaking memory.", *(one.text for one in LINES.lines[1:]))
SYMPTOM = Symptom(Kind.REFCOUNT, "refcount bug", "log", LINES.lines[1], None)


def test_the_put_on_the_stack_is_blamed() -> None:
    trace = backtrace(refcount_warn_saturate=Role.FAULT, tun_put=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="counts references"), *trace.frames[1:])
    trace = replace(trace, frames=frames)
    answer = refcount_error(
        SYMPTOM, fault(None), trace, ABSENT, LINES, ABSENT, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "tun_put"
    assert "more often than it was got" in answer.summary


def test_where_the_kernel_lived_on_the_log_s_trace_is_read() -> None:
    frames = (Frame("refcount_warn_saturate", 1, 2), Frame("tun_put", 1, 2, module="tun"))
    report = CrashReport(
        Kind.REFCOUNT, "refcount bug", "WARNING: ", 1, stacks=(Stack("crash", frames),)
    )
    symptom = replace(SYMPTOM, report=report)
    answer = refcount_error(
        symptom, fault(), backtrace(), ABSENT, LINES, ABSENT, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("tun", "tun_put")


def test_who_handed_the_object_to_the_module_s_own_put_comes_first() -> None:
    trace = backtrace(refcount_warn_saturate=Role.FAULT, dom_put=Role.CALLER, dom_drop=Role.CALLER)
    frames = [replace(frame, module="dom") for frame in trace.frames[1:]]
    trace = replace(trace, frames=(replace(trace.frames[0], plumbing="counts references"), *frames))
    passed = flow_step("passed", "dom_drop", 0xFFFFFFFFC0403000, "dom")
    read = flow_step("loaded", "dom_drop", 0xFFFFFFFFC0403000, "dom")
    flow = data_flow(way(passed, read), subject="argument")
    answer = refcount_error(
        SYMPTOM, fault(None), trace, flow, LINES, ABSENT, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits[:2]] == ["dom_drop", "dom_put"]
    assert "dom_put [dom] did the put or get that was reported" in answer.summary
    # What read the object itself put it of its own accord.
    flow = data_flow(way(replace(read, function="dom_put")), subject="argument")
    answer = refcount_error(
        SYMPTOM, fault(None), trace, flow, LINES, ABSENT, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "dom_put"


def test_any_other_warning_is_clear() -> None:
    symptom = replace(SYMPTOM, kind=Kind.WARNING)
    assert isinstance(
        refcount_error(
            symptom, fault(), backtrace(), ABSENT, log("hello"), ABSENT, doers=ABSENT, givers=ABSENT
        ),
        Clear,
    )


def test_where_only_the_kernel_is_named_another_module_may_have_put_it_before() -> None:
    trace = backtrace(refcount_warn_saturate=Role.FAULT, sock_wfree=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="counts references"), *trace.frames[1:])
    trace = replace(trace, frames=frames)
    loaded = modules(module("nic", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"))
    answer = refcount_error(
        SYMPTOM, fault(None), trace, ABSENT, SATURATED, loaded, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    answer = refcount_error(
        SYMPTOM, fault(None), trace, ABSENT, SATURATED, modules(), doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.SHOWN
    # Nor is it shown where the modules cannot be read.
    answer = refcount_error(
        SYMPTOM, fault(None), trace, ABSENT, SATURATED, ABSENT, doers=ABSENT, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE


def test_a_put_too_many_may_be_a_get_too_few() -> None:
    for lines in (LINES, log("refcount_t: addition on 0; use-after-free.")):
        answer = refcount_error(
            SYMPTOM, fault(None), backtrace(), ABSENT, lines, modules(), doers=ABSENT, givers=ABSENT
        )
        assert isinstance(answer, Finding)
        assert answer.certainty is Certainty.POSSIBLE


def test_a_file_that_nobody_had_is_named_for_who_gives_files_and_puts_them() -> None:
    lines = log("VFS: Close: file count is 0 (f_op=dma_buf_fops)", "kernel BUG at fs/open.c:1526!")
    bases = [0xFFFFFFFFC0400000, 0xFFFFFFFFC0420000]
    loaded = modules(*(module(n, b, b + 0x1000, "O") for n, b in zip("ab", bases, strict=True)))
    givers = FileGivers(
        lines.lines[0],
        (
            GivesFiles(loaded.loaded[1].pointer, ("b_export", "b_drop"), both=True),
            GivesFiles(loaded.loaded[0].pointer, ("a_drop",), both=False),
        ),
    )
    symptom = Symptom(Kind.BUG, "kernel BUG in filp_flush", "log", lines.lines[1], None)
    answer = refcount_error(
        symptom, fault(), backtrace(), ABSENT, lines, loaded, doers=ABSENT, givers=givers
    )
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits] == ["b_export", "b_drop", "a_drop"]
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, Certainty.SHOWN)
    assert answer.culprits[0].why != answer.culprits[1].why


def test_who_puts_what_a_variable_holds_comes_before_who_stored_it_there() -> None:
    trace = backtrace(refcount_warn_saturate=Role.FAULT, hub_poll=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="counts references"), *trace.frames[1:])
    trace = replace(trace, frames=frames)
    step = flow_step("loaded", "hub_poll", 0xFFFFFFFFC0403000, "hub")
    field = FieldDoers(0, None, "hub", (), (), (), ("hub_store",), puts=("hub_poll",))
    doers = Doers("hub", (field,), (), ())

    def first(held: Owner) -> str | None:
        flow = data_flow(way(step, held_in=held), subject="argument")
        answer = refcount_error(
            SYMPTOM, fault(None), trace, flow, LINES, ABSENT, doers=doers, givers=ABSENT
        )
        assert isinstance(answer, Finding)
        return answer.culprits[0].function

    assert first(owner(0xFFFFFFFFC0403000, "module", module="hub")) == "hub_poll"
    # What ends with its object may keep the pointer until then.
    one = slab_object()
    assert first(owner(int(one.address) + 8, "slab", slab=one)) == "hub_store"


def test_a_get_from_zero_may_follow_a_put_too_many_of_a_helper() -> None:
    doers = Doers("hub", (), (), (), twice_given=(GivenTwice("hub_fill", "hub_run"),))
    trace = backtrace(refcount_warn_saturate=Role.FAULT, hub_look_up=Role.CALLER)
    frames = (replace(trace.frames[0], plumbing="counts references"), *trace.frames[1:])
    trace = replace(trace, frames=frames)
    lines = log("refcount_t: addition on 0; use-after-free.")
    answer = refcount_error(
        SYMPTOM, fault(None), trace, ABSENT, lines, ABSENT, doers=doers, givers=ABSENT
    )
    assert isinstance(answer, Finding)
    assert [one.function for one in answer.culprits] == ["hub_fill", "hub_look_up"]
    assert answer.certainty is Certainty.POSSIBLE
