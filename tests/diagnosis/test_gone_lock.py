"""A lock in memory that was given back."""

from __future__ import annotations

from handmade_facts import ABSENT, slab_object
from handmade_waits import call, stack, task

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty
from oopsight.diagnosis.gone_lock import gone_lock_finding
from oopsight.evidence import Address
from oopsight.evidence.hangs.gone_lock import GoneLock
from oopsight.evidence.pointers import BytesPointer

AT = Address(0xFFFF888000090020)
WAITER = stack(7, call(2, "__mutex_lock", None, plumbing="locks"), call(4, "smb_echo", "smb"))
FREED = GoneLock(
    address=AT,
    waiter=WAITER,
    memory=BytesPointer(AT, "6b" * 16),
    slab=slab_object("free", poisoned=True),
    owner=None,
    inside=None,
    module="smb",
    handler=None,
    suspects=("smb_logoff",),
)
LEFT = replace(
    FREED,
    waiter=stack(0, call(1, "complete", None, plumbing="wakes"), call(9, "halt", None)),
    slab=None,
    owner=task(9, "ipmievd"),
    module="mbox",
    handler="mbox_answer",
    suspects=("mbox_exchange",),
)


def test_the_only_function_that_frees_is_blamed_before_who_waits() -> None:
    found = gone_lock_finding(FREED, ABSENT)
    assert [c.function for c in found.culprits] == ["smb_logoff", "smb_echo"]
    assert found.certainty is Certainty.POSSIBLE
    assert found.cause_certainty is Certainty.INFERRED
    assert "pattern of freed objects" in found.chain[1].claim
    assert all(step.because for step in found.chain)
    several = gone_lock_finding(replace(FREED, suspects=("smb_logoff", "smb_drop")), ABSENT)
    assert several.certainty is Certainty.POSSIBLE


def test_what_a_function_left_on_its_stack() -> None:
    found = gone_lock_finding(LEFT, ABSENT)
    assert [c.function for c in found.culprits] == ["mbox_exchange", "mbox_answer"]
    assert found.certainty is Certainty.POSSIBLE
    assert "ipmievd" in found.chain[1].claim
    assert "halt" not in found.chain[0].claim
