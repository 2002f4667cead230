"""Entries of a function's own frame that it puts on a list and leaves there."""

from __future__ import annotations

from handmade_code import NAMES, START, function

from oopsight.kernel.frame_entries import added, arguments_added, left_on_return


def adds(target: int | None) -> frozenset[str]:
    return frozenset(["rdi"] if NAMES.get(target or 0) == "helper" else [])


def removes(target: int | None) -> bool:
    return NAMES.get(target or 0) == "complete"


def leaves(*parts: str) -> bool | None:
    code = function(*parts)
    sites = added(code, adds)
    return left_on_return(code, sites, removes) if sites else None


OWN = ("4883ec20 488d7c2408", "call helper")  # helper([rsp + 8])


def test_a_way_that_takes_it_off_and_one_that_does_not() -> None:
    end = "4883c420 c3"
    assert leaves(*OWN, end)
    assert leaves(*OWN, "call complete", end) is False
    assert leaves(*OWN, "85c0 7405", "call complete", end)
    # Whatever is on the stack, that function does not put on any list.
    assert leaves("4883ec20 488d7c2408", "call complete", end) is None


def test_a_store_of_its_address() -> None:
    assert leaves("4883ec20 488d442408 488907 4883c420 c3")  # [rdi] = rsp + 8
    assert leaves("4883ec20 488d442408 48890424 4883c420 c3") is None  # into its own frame


def test_a_frame_that_is_aligned_anew() -> None:
    # push rbp; mov rbp, rsp; and rsp, -16; sub rsp, 0x20; rdi = rsp; helper(); leave; ret
    assert leaves("55 4889e5 4883e4f0 4883ec20 4889e7", "call helper", "c9 c3")


def test_what_it_is_handed_is_not_its_own() -> None:
    # It calls helper() with its second argument.
    code = function("4889f7", "call helper", "c3")
    assert added(code, adds) == ()
    assert arguments_added(code, adds) == {"rsi"}
    assert START in code.code
