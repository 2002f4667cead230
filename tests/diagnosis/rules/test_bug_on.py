"""A BUG() in a driver, and one of the kernel's own that a driver ran into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_facts import ABSENT, backtrace, fault, flow_step, log, way
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Undecided
from oopsight.diagnosis.rules.bug_on import bug_on
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.bug_site import BugSite
from oopsight.evidence.crash.called_before import CalledBefore
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.uneven_switches import UnevenSwitches
from oopsight.evidence.modules.warned_object import WarnedObject
from oopsight.evidence.pointers import RegisterPointer
from oopsight.kernel.conditions import Condition
from oopsight.kinds import Kind

BUG = symptom(Kind.BUG, "kernel BUG at net/core/skbuff.c:120!")
TRAP = fault(None, exception="invalid_op")
SITE = BugSite(
    "drv.c:15",
    warning=False,
    condition=Condition("esi < (unsigned) edi", ("rsi", "rdi")),
    values=(RegisterPointer("rsi", Address(8)), RegisterPointer("rdi", Address(9))),
)


def decided(
    *facts: Any,
    writers: Any = ABSENT,
    warned: Any = ABSENT,
    switches: Any = ABSENT,
    before: Any = ABSENT,
) -> Any:
    return bug_on(*facts, writers, ABSENT, warned, switches, before)


def trace(**of_modules: str) -> Backtrace:
    made = backtrace(skb_panic=Role.FAULT, append=Role.CALLER, export=Role.CALLER)
    frames: list[Any] = [
        replace(
            f,
            module=of_modules.get(f.function),
            plumbing="buffers" if f.function == "skb_panic" else None,
        )
        for f in made.frames
    ]
    return replace(made, frames=tuple(frames), exception="invalid_op")


DRIVER = trace(append="drv", export="drv")


def test_the_module_that_called_the_kernels_check_is_suspect() -> None:
    explained = log("skbuff: skb_over_panic: text:1 len:900")
    found = decided(TRAP, DRIVER, BUG, ABSENT, explained)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [
        ("drv", "append"),
        ("drv", "export"),
    ]
    # What was checked may have been spoilt by another before.
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    assert "skb_over_panic" in found.chain[1].claim
    assert found.depth is Depth.SYMPTOM
    assert all(step.because for step in found.chain)


def test_place_comparison_and_values_are_told() -> None:
    found = decided(TRAP, DRIVER, BUG, SITE, ABSENT)
    assert isinstance(found, Finding)
    assert "drv.c:15" in found.summary
    assert "rsi = 0x8 (8), rdi = 0x9 (9)" in found.chain[1].claim


def test_clear_and_undecided() -> None:
    assert isinstance(decided(fault(), DRIVER, BUG, SITE, ABSENT), Clear)
    assert isinstance(decided(TRAP, DRIVER, BUG, replace(SITE, warning=True), ABSENT), Clear)
    assert isinstance(decided(TRAP, DRIVER, symptom(Kind.WARNING), SITE, ABSENT), Clear)
    nobody = replace(DRIVER, frames=DRIVER.frames[:1])
    assert isinstance(decided(TRAP, nobody, BUG, SITE, ABSENT), Undecided)


def test_a_check_of_what_another_module_asked_for_is_that_modules() -> None:
    named = trace(skb_panic="pool", append="crypt", export="crypt")
    frames = tuple(replace(f, plumbing=None, calls_by_name=True) for f in named.frames)
    found = decided(TRAP, replace(named, frames=frames), BUG, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.module for c in found.culprits] == ["crypt", "crypt"]
    assert found.certainty is Certainty.POSSIBLE
    # Through a pointer, the module with the check is the driver of the other.
    frames = tuple(replace(f, calls_by_name=False) for f in frames)
    found = decided(TRAP, replace(named, frames=frames), BUG, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [c.module for c in found.culprits] == ["pool"]
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)


def test_who_writes_what_was_checked_comes_before_who_checks() -> None:
    made = backtrace(stop=Role.FAULT)
    (frame,) = made.frames
    path = replace(made, frames=(replace(frame, module="drv"),), exception="invalid_op")
    trap = replace(TRAP, frame=replace(TRAP.frame, index=frame.index))
    writers = StateWriters("drv", way(flow_step("loaded", "stop", 1, "drv")), ("reset",))
    found = decided(trap, path, BUG, SITE, ABSENT, writers=writers)
    assert isinstance(found, Finding)
    assert [one.function for one in found.culprits] == ["reset", "stop"]
    assert (found.certainty, found.cause_certainty) == (Certainty.POSSIBLE, Certainty.INFERRED)
    # One of two numbers came with the call.
    found = decided(trap, path, BUG, SITE, ABSENT, writers=replace(writers, alone=False))
    assert [one.function for one in found.culprits] == ["stop", "reset"]
    assert found.certainty is Certainty.POSSIBLE


def test_who_called_what_counts_for_others_once_too_often() -> None:
    made = backtrace(drop=Role.FAULT, cancel=Role.CALLER)
    frames = tuple(replace(frame, module="drv") for frame in made.frames)
    path = replace(made, frames=frames, exception="invalid_op")
    trap = replace(TRAP, frame=replace(TRAP.frame, index=frames[0].index))
    count = way(flow_step("loaded", "drop", -1, "drv"))
    writers = StateWriters("drv", count, ("begin",), counted_too_far=True)
    found = decided(trap, path, BUG, SITE, ABSENT, writers=writers)
    assert isinstance(found, Finding)
    assert [one.function for one in found.culprits] == ["cancel", "drop", "begin"]
    assert "once too often" in found.culprits[0].why
    assert found.certainty is Certainty.POSSIBLE


def test_who_sets_what_it_checks_comes_before_who_cannot_have() -> None:
    made = backtrace(claim=Role.FAULT, fire=Role.CALLER)
    frames = tuple(replace(frame, module="drv") for frame in made.frames)
    path = replace(made, frames=frames, exception="invalid_op")
    trap = replace(TRAP, frame=replace(TRAP.frame, index=frames[0].index))
    flags = way(flow_step("loaded", "claim", 8, "drv"))
    writers = StateWriters("drv", flags, ("done", "fire"), sets_it_itself=True)
    found = decided(trap, path, BUG, SITE, ABSENT, writers=writers)
    assert isinstance(found, Finding)
    assert [one.function for one in found.culprits] == ["fire", "claim", "done"]
    # Its caller does nothing with that.
    writers = replace(writers, functions=("done",))
    found = decided(trap, path, BUG, SITE, ABSENT, writers=writers)
    assert isinstance(found, Finding)
    assert [one.function for one in found.culprits] == ["claim", "fire", "done"]


def test_who_should_have_set_up_what_the_kernel_checks_comes_first() -> None:
    warned = WarnedObject("drv", None, ("open",), "makes objects and initialises no timer")
    found = decided(TRAP, DRIVER, BUG, ABSENT, ABSENT, warned=warned)
    assert [c.function for c in found.culprits] == ["open", "append", "export"]
    other = replace(warned, module="other")
    found = decided(TRAP, DRIVER, BUG, ABSENT, ABSENT, warned=other)
    assert [c.function for c in found.culprits] == ["append", "export"]


def test_who_switches_on_without_having_switched_off_comes_first() -> None:
    switches = UnevenSwitches("crypt", "napi_enable", ("change_mtu",))
    found = decided(TRAP, trace(append="crypt"), BUG, ABSENT, ABSENT, switches=switches)
    assert isinstance(found, Finding)
    assert [one.function for one in found.culprits][:2] == ["change_mtu", "append"]
    assert found.certainty is Certainty.POSSIBLE


def test_whom_the_kernel_had_called_before_its_check_comes_first() -> None:
    handler = TrackFrame(Address(1 << 63), "drv_evict", "drv", None)
    before = CalledBefore((handler,))
    found = decided(TRAP, trace(), BUG, ABSENT, ABSENT, before=before)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits][:2] == [
        ("drv", "drv_evict"), (None, "append"),
    ]  # fmt: skip
    assert found.chain[-1].claim == "before its check it had called drv_evict [drv]"
    # A module on the stack is nearer.
    found = decided(TRAP, DRIVER, BUG, ABSENT, ABSENT, before=before)
    assert [one.function for one in found.culprits] == ["append", "export"]


def test_who_leaves_on_what_the_modules_own_check_finds_on() -> None:
    switches = UnevenSwitches("tank", "add_timer", ("set_interval",))
    own = trace(skb_panic="tank", append="tank")
    found = decided(TRAP, own, BUG, ABSENT, ABSENT, switches=switches)
    assert isinstance(found, Finding)
    assert found.culprits[0].function == "set_interval"
