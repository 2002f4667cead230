"""Whether the loop is at fault that a CPU was caught in, or the state that it loops on."""

from __future__ import annotations

from handmade_facts import ABSENT
from handmade_waits import LOCK_A, call, stack

from oopsight.cheap import replace
from oopsight.diagnosis.loops import caught_in
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.unset_ends import Unset
from oopsight.evidence.pointers import BytesPointer, ModulePointer

MODULE = ModulePointer("drv", loaded=True, base=LOCK_A)
FIELD = BytesPointer(LOCK_A, "07000000")
LOOP = call(3, "account", in_loop=True)
STACK = stack(1, LOOP, state="R")
STATE = LoopState(
    STACK.task,
    "account",
    MODULE,
    by_itself=False,
    stands_still=False,
    fields=(FIELD,),
    names=("ring+0x10",),
    replaces=("shrink",),
    advances=("put",),
)


def names(state: LoopState) -> list[str | None]:
    return [c.function for c in caught_in(STACK, LOOP, ABSENT, LoopStates((state,))).culprits]


def test_who_else_changes_what_ends_the_loop_comes_first() -> None:
    found = caught_in(STACK, LOOP, ABSENT, LoopStates((STATE,)))
    assert names(STATE) == ["shrink", "put", "account"]
    assert not found.sure
    (step,) = found.steps
    assert "ends by ring+0x10, which in drv shrink() and put() can change" in step.claim
    assert FIELD in step.because


def test_a_loop_that_stands_still_is_to_blame_itself() -> None:
    assert names(replace(STATE, stands_still=True)) == ["account", "shrink", "put"]


def test_of_many_that_only_go_on_none_is_named() -> None:
    many = ("put", "get", "peek")
    assert names(replace(STATE, advances=many)) == ["shrink", "account"]
    assert names(replace(STATE, replaces=(), advances=(*many, "fill"))) == ["account"]


def test_at_zeros_who_fills_memory_with_zeros_comes_first() -> None:
    zero = BytesPointer(LOCK_A, "0000")
    wiped = replace(STATE, zeros=(zero,), wipes=("redact",))
    assert names(wiped) == ["redact", "shrink", "put", "account"]
    found = caught_in(STACK, LOOP, ABSENT, LoopStates((wiped,)))
    assert "redact" not in found.steps[0].claim
    assert "which is zero; in drv, redact() can fill memory" in found.steps[1].claim
    assert zero in found.steps[1].because
    assert names(replace(wiped, advances=("put", "get", "peek"))) == ["redact", "shrink", "account"]


def test_one_that_ends_by_itself_is_sure() -> None:
    alone = replace(STATE, by_itself=True, fields=(), names=(), replaces=(), advances=())
    found = caught_in(STACK, LOOP, ABSENT, LoopStates((alone,)))
    assert found.sure
    assert not found.steps
    assert caught_in(STACK, LOOP, ABSENT, ABSENT).sure
    # Nobody else changes it: it stays first, but others may have made what it reads.
    nobody = replace(STATE, replaces=(), advances=())
    assert names(nobody) == ["account"]
    assert not caught_in(STACK, LOOP, ABSENT, LoopStates((nobody,))).sure


def test_where_nothing_loops() -> None:
    plain = call(3, "write", in_loop=False)
    found = caught_in(stack(1, plain), plain, ABSENT, ABSENT)
    assert not found.sure
    assert found.culprits[0].why == "it was caught here"


def test_one_that_steps_over_its_end_is_to_blame_unless_another_misled_it() -> None:
    pairs = replace(STATE, stride=2)
    assert names(pairs) == ["account", "shrink", "put"]
    (step,) = caught_in(STACK, LOOP, ABSENT, LoopStates((pairs,))).steps
    assert step.claim.endswith(
        "it goes on by 2 at once, and does not look whether it is past the end"
    )
    assert names(replace(pairs, uneven=("put",))) == ["put", "shrink", "account"]


def test_a_number_that_a_caller_gave_may_be_his_mistake() -> None:
    alone = replace(STATE, by_itself=True, fields=(), names=(), replaces=(), advances=())
    given = LoopStates((replace(alone, given=True),))
    assert not caught_in(STACK, LOOP, ABSENT, given).sure


def test_who_called_for_more_turns_than_anybody_means_comes_first() -> None:
    outer = call(5, "report")
    whole = stack(1, LOOP, outer, state="R")
    alone = replace(STATE, by_itself=True, fields=(), names=(), replaces=(), advances=())
    alone = replace(alone, task=whole.task, given=True, remaining=0xF0000000)
    found = caught_in(whole, LOOP, ABSENT, LoopStates((alone,)))
    assert [c.function for c in found.culprits] == ["report", "account"]
    assert "account would go round 4026531840 times more, for what report" in found.steps[0].claim
    few = LoopStates((replace(alone, remaining=1000),))
    assert caught_in(whole, LOOP, ABSENT, few).culprits[0].function == "account"


def test_who_leaves_the_field_unset_that_it_ends_by_comes_first() -> None:
    zero = BytesPointer(LOCK_A, "00000000")
    alone = replace(STATE, stands_still=True, fields=(zero,), replaces=(), advances=())
    unset = replace(alone, unset=Unset(("ft_alloc",), as_others=False))
    assert names(unset) == ["ft_alloc", "account"]
    found = caught_in(STACK, LOOP, ABSENT, LoopStates((unset,)))
    assert "ft_alloc() can make such objects and leave zero there" in found.steps[1].claim
    assert zero in found.steps[1].because
    # Others change it later.
    assert names(replace(unset, replaces=("shrink",)))[0] == "account"
    unlike = replace(STATE, fields=(zero,), unset=Unset(("ft_resize",), as_others=True))
    assert names(unlike) == ["ft_resize", "shrink", "put", "account"]


def test_who_leaves_a_bit_set_that_the_loop_looks_for() -> None:
    kept = replace(STATE, keeps=("sample",), stands_still=True)
    assert names(kept) == ["sample", "account", "shrink", "put"]


def test_who_fills_what_the_loop_has_found_and_does_not_count() -> None:
    assert names(replace(STATE, fills=("import",)))[:2] == ["import", "shrink"]


def test_one_that_counts_in_too_few_bits_is_to_blame_itself() -> None:
    narrow = replace(STATE, narrow=(255, 256))
    assert names(narrow) == ["account", "shrink", "put"]
    step = caught_in(STACK, LOOP, ABSENT, LoopStates((narrow,))).steps[-1]
    assert step.claim == "account counts to 255 at most, begins anew then, and is to count to 256"


def test_one_that_goes_on_by_a_zero_that_nobody_wrote_is_to_blame_itself() -> None:
    assert names(replace(STATE, zeros=(BytesPointer(LOCK_A, "0000"),)))[0] == "account"
