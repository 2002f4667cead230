"""A warning that panics, with and without the guilty module's frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, backtrace, log
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.warning import warning
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.called_before import CalledBefore
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.exhaustion.left_objects import LeftObjects
from oopsight.evidence.exhaustion.losers import Losers
from oopsight.evidence.exhaustion.loss_signs import Loser
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.module_transition import ModuleTransition
from oopsight.evidence.modules.warned_object import WarnedObject
from oopsight.evidence.pointers import Memory, ModulePointer
from oopsight.evidence.use_after_free.handed_back import HandedBack
from oopsight.kinds import Kind
from oopsight.oops import CrashReport

PANIC = "Kernel panic - not syncing: kernel: panic_on_warn set ..."
HEADLINE = "WARNING: CPU: 0 PID: 128 at fs/proc/generic.c:734 remove_proc_entry+0x140/0x1b0"
TRACE = backtrace(remove_proc_entry=Role.FAULT, delete_module=Role.CALLER)
LEAVING = ModuleTransition(
    "drv",
    "exit",
    ("drv_files", "drv_exit"),
    Memory("struct module", Address(1 << 63), "state", Address(1 << 63), "02000000"),
)


def decided(
    *facts: Any,
    writers: Any = ABSENT,
    warned: Any = ABSENT,
    left: Any = ABSENT,
    switches: Any = ABSENT,
    handed: Any = ABSENT,
    called: Any = ABSENT,
) -> Any:
    return warning(*facts, writers, ABSENT, warned, left, switches, handed, called)


def reported(*before: str) -> tuple[Symptom, Log]:
    lines = log(*before, HEADLINE, PANIC)
    instant = tuple(replace(line, seconds=5.0) for line in lines.lines)
    made = replace(lines, lines=instant)
    return replace(symptom(Kind.WARNING), headline=instant[len(before)]), made


def test_a_module_that_left_no_frame_is_found_by_its_state() -> None:
    first, lines = reported("name 'drv_mode'")
    kernel = replace(TRACE, frames=tuple(replace(f, plumbing="x") for f in TRACE.frames))
    found = decided(first, kernel, lines, ABSENT, LEAVING)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_files", "drv_exit"]
    assert "name 'drv_mode'" in found.chain[1].claim
    assert all(step.because for step in found.chain)


def test_a_frame_of_a_module_goes_first() -> None:
    first, lines = reported()
    frames = (TRACE.frames[0], replace(TRACE.frames[1], module="other"))
    found = decided(first, replace(TRACE, frames=frames), lines, ABSENT, LEAVING)
    assert isinstance(found, Finding)
    assert found.culprits[0].module == "other"


def test_whom_the_kernel_had_called_before_its_check_comes_first() -> None:
    first, lines = reported()
    before = CalledBefore((TrackFrame(Address(1 << 63), "drv_evict", "drv", None),))
    found = decided(first, TRACE, lines, ABSENT, ABSENT, called=before)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "drv_evict"
    assert found.certainty is Certainty.POSSIBLE


BY_MODULE = replace(
    TRACE, frames=(TRACE.frames[0], replace(TRACE.frames[1], function="drv_stop", module="drv"))
)


def test_a_number_or_name_that_the_kernel_was_called_with_tells_of_the_call() -> None:
    first, lines = reported()
    told = WarnedObject("drv", "17")
    found = decided(first, BY_MODULE, lines, ABSENT, ABSENT, warned=told)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert any("drv_stop [drv], with 17" in step.claim for step in found.chain)
    assert [c.function for c in found.culprits] == ["drv_stop"]
    # What others of the module give back as well may have been given back before.
    again = decided(first, BY_MODULE, lines, ABSENT, ABSENT, warned=replace(told, given_back=True))
    assert isinstance(again, Finding)
    assert again.certainty is Certainty.POSSIBLE


def test_whoever_set_an_object_up_comes_before_who_came_upon_it() -> None:
    first, lines = reported()
    setters = WarnedObject("drv", None, ("drv_create",), "sets such a device up")
    found = decided(first, BY_MODULE, lines, ABSENT, ABSENT, warned=setters)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert found.cause_certainty is Certainty.INFERRED
    assert [c.function for c in found.culprits] == ["drv_create", "drv_stop"]
    # An object whose state is wrong, of which nothing more is known.
    found = decided(first, BY_MODULE, lines, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE


def test_a_handler_that_the_warning_names_had_returned() -> None:
    named = "timer: drv_expire.cold+0x0/0x100 [drv] preempt leak: 00000101 -> 00000102"
    first, lines = reported(named)
    kernel = replace(TRACE, frames=tuple(replace(f, plumbing="x") for f in TRACE.frames))
    found = decided(first, kernel, lines, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "drv_expire")]
    # Whoever is on the stack knows more of it.
    frames = (TRACE.frames[0], replace(TRACE.frames[1], module="other"))
    found = decided(first, replace(TRACE, frames=frames), lines, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert found.culprits[0].module == "other"


def test_a_warning_that_followed_another_report_is_what_the_machine_died_of() -> None:
    slub = "BUG flow_entry (Tainted: G OE): Objects remaining in flow_entry on shutdown()"
    lines = log(slub, HEADLINE, PANIC)
    kinds = (Kind.MEMORY_CORRUPTION, Kind.WARNING)
    reports = tuple(CrashReport(kind, "t", "h", at) for at, kind in enumerate(kinds))
    lines = replace(lines, crashes=reports)
    first = replace(symptom(Kind.MEMORY_CORRUPTION), headline=lines.lines[0])
    path = backtrace(__warn=Role.PANIC_PATH, kmem_cache_destroy=Role.FAULT, f=Role.CALLER)
    found = decided(first, path, lines, ABSENT, LEAVING)
    assert isinstance(found, Finding)
    assert any(slub in step.claim for step in found.chain)
    assert lines.lines[1] in found.chain[0].because
    assert isinstance(decided(first, TRACE, lines, ABSENT, LEAVING), Clear)


def test_who_destroys_a_cache_has_mostly_not_lost_what_is_in_it() -> None:
    first, lines = reported()
    module = ModulePointer("drv", loaded=True, base=None)
    loser = Loser("drv_void", "takes entries off a list, and does not free them")
    left = LeftObjects(
        "drv_order", lines.lines[0], Losers(module, (loser,), ("new",), (), linked=False)
    )
    found = decided(first, TRACE, lines, ABSENT, LEAVING, left=left)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_void", "drv_files", "drv_exit"]
    assert found.certainty is Certainty.POSSIBLE
    assert found.kind is Kind.WARNING
    # Nothing is known of the code.
    left = replace(left, losers=None)
    found = decided(first, TRACE, lines, ABSENT, LEAVING, left=left)
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["drv_files", "drv_exit"]
    assert found.certainty is Certainty.POSSIBLE


def test_clear_and_undecided() -> None:
    first, lines = reported()
    assert isinstance(decided(symptom(Kind.BUG), TRACE, lines, ABSENT, ABSENT), Clear)
    assert isinstance(decided(first, TRACE, log(HEADLINE), ABSENT, ABSENT), Clear)
    nobody = replace(TRACE, frames=())
    assert isinstance(decided(first, nobody, lines, ABSENT, ABSENT), Undecided)


def test_who_ended_a_request_and_answers_that_it_did_not_comes_first() -> None:
    said, lines = reported()
    handed = HandedBack("request", "slots", ("slots_queue",))
    answer = decided(said, TRACE, lines, ABSENT, ABSENT, handed=handed)
    assert isinstance(answer, Finding)
    assert (answer.culprits[0].function, answer.certainty) == ("slots_queue", Certainty.POSSIBLE)
