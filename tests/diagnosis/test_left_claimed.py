"""A bit that was left set, as one does with a lock."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, task

from oopsight.diagnosis import Certainty
from oopsight.diagnosis.left_claimed import left_claimed
from oopsight.evidence.hangs.left_claims import ClaimLeak, LeftClaim, LeftClaims
from oopsight.evidence.pointers import BytesPointer, ModulePointer

LEFT = LeftClaim(
    task(1),
    "claim",
    ModulePointer("drv", loaded=True, base=LOCK_A),
    "bit 0 of chip",
    BytesPointer(LOCK_A, "01"),
    (ClaimLeak("run", "run+0x16", "run+0x9"), ClaimLeak("stop", "stop+0x4", None)),
)


def test_who_can_have_left_it() -> None:
    found = left_claimed(LeftClaims((LEFT,)))
    assert found is not None
    assert [c.function for c in found.culprits] == ["run", "stop"]
    assert found.certainty is Certainty.POSSIBLE
    assert found.title == "bit 0 of chip was left claimed by run or stop"
    assert all(step.because for step in found.chain)
    assert "run [drv] has it from run+0x9 on, and can return at run+0x16" in found.chain[2].claim
    assert "stop [drv] makes it free for others, and can return" in found.chain[3].claim


def test_nobody_waits_so() -> None:
    assert left_claimed(ABSENT) is None
    assert left_claimed(LeftClaims(())) is None
