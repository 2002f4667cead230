"""A bit that is used as a lock: who has it, and who keeps it."""

from __future__ import annotations

from handmade_code import START, linked

from oopsight.evidence.hangs.left_claims import ClaimLeak, holders_of, leaks_of
from oopsight.kernel.atomic_claims import Claimed
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression

BUSY = Claimed(Expression("rdi", 0x10), 1)
STARTS = {"claim": START, "release": START + 0x100, "run": START + 0x200, "stop": START + 0x300}


def code(**parts: str) -> dict[str, Function]:
    return linked(STARTS, **parts)


CLAIM = "f0480fba6f1000 72f8 c3"  # while (test_and_set_bit(0, &chip->flags));
RELEASE = "f0806710fe c3"
# claim(chip); if (error) return; release(chip)
RUN = "53 4889fb; call claim; 85ed 7508; 4889df; call release; 5b c3"


def leaks(**parts: str) -> list[ClaimLeak]:
    return leaks_of(holders_of(code(**parts), BUSY), lambda _: False)


def test_who_can_return_with_it() -> None:
    (found,) = leaks(claim=CLAIM, release=RELEASE, run=RUN)
    assert found == ClaimLeak("run", "run+0x16", "run+0x9")
    # The others claim it for those that call them, and make it free for them.
    known = holders_of(code(claim=CLAIM, release=RELEASE, run=RUN), BUSY)
    assert known["claim"].taken
    assert not known["claim"].given


def test_who_gives_it_back_on_all_ways() -> None:
    whole = RUN.replace("85ed 7508", "85ed 9090")
    assert not leaks(claim=CLAIM, release=RELEASE, run=whole)


def test_who_makes_it_free_for_others_and_does_not() -> None:
    # if (broken) { chip->errors++; return; } release(chip)
    stop = "85f6 7409; 83471801; c3; 90 90 90 90; f0806710fe c3"
    (found,) = leaks(claim=CLAIM, stop=stop)
    assert (found.function, found.taken_at) == ("stop", None)


def test_who_sets_a_bit_that_is_looked_for() -> None:
    # set_bit(); if (error) return; clear_bit()
    start = "f0804f1001; 85f6 7405; f0806710fe; c3"
    (found,) = leaks_of(holders_of(code(run=start), BUSY, looked_for=True), lambda _: False)
    assert found == ClaimLeak("run", "run+0xe", "run+0x5")
    assert not leaks(run=start)
