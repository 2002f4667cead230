"""Whether a function returns as if it had filled a variable that it was handed."""

from __future__ import annotations

import pytest
from handmade_code import ADDRESSES, START, function

from oopsight.kernel.code_locks import Function
from oopsight.kernel.skipped_store import SET, ZERO
from oopsight.kernel.unfilled_variable import NOT_NEGATIVE, promised, unfilled


def returns(target: int | None) -> bool:
    return target == ADDRESSES["up"]


def leaves(*parts: str, promise: str = ZERO) -> bool:
    """For the variable whose address is in rsi."""
    return unfilled(function(*parts), "rsi", promise, returns)


STORE = "48893e 31c0 c3"  # [rsi] = rdi; return 0


def test_a_way_that_returns_zero_and_has_not_filled_it() -> None:
    assert not leaves(STORE)
    # if (!rdi) return 0;
    assert leaves("4885ff 7503 31c0 c3", STORE)
    # if (!rdi) return -ENOENT;
    assert not leaves("4885ff 7506 b8feffffff c3", STORE)
    # The same, with true for success.
    assert not leaves("4885ff 7503 31c0 c3 48893e b801000000 c3", promise=SET)
    assert leaves("4885ff 7506 b801000000 c3", STORE, promise=NOT_NEGATIVE)


def test_a_jump_to_another_function_for_a_return() -> None:
    assert leaves("4885ff 7507 31c0", "jmp up", STORE)
    assert not leaves("4885ff 7507 31c0", "jmp helper", STORE)


def test_who_gets_the_pointer_may_fill_it() -> None:
    assert leaves("53 31f6", "call helper", "31c0 5b c3")
    assert not leaves("53", "call helper", "31c0 5b c3")
    assert not leaves("48897708 31c0 c3")


def test_what_another_has_returned() -> None:
    # eax = helper(); if (eax) go on; return eax
    assert leaves("4889f3 31f6", "call helper", "85c0 7501 c3 31c0 48893b c3")
    assert not leaves("4889f3 31f6", "call helper", "85c0 7401 c3 31c0 48893b c3")


def test_a_part_of_the_function_that_lies_elsewhere() -> None:
    # if (!rdi) go to the cold part, which returns 0
    code = bytes.fromhex("4885ff 0f84 f7 0f 00 00 48893e 31c0 c3".replace(" ", ""))
    cold = (START + 0x1000, bytes.fromhex("31c0c3"))
    whole = Function(
        code, START, lambda _: None, part_at=lambda at: cold if at == cold[0] else None
    )
    assert unfilled(whole, "rsi", ZERO, returns)
    assert whole.followed
    assert not Function(code, START, lambda _: None).followed


@pytest.mark.parametrize(
    ("looks", "promise"),
    [
        ("85c0 7501", ZERO),  # if (eax) return
        ("84c0 7401", SET),  # if (!al) return
        ("85c0 7801", NOT_NEGATIVE),  # if (eax < 0) return
        ("85db 7501", None),
    ],
)
def test_what_the_caller_took_for_success(looks: str, promise: str | None) -> None:
    jump = looks.replace("01", "04")
    caller = function("4889e6", "call helper", f"{jump} 488b0424 c3")
    assert promised(caller, START + 3, START + 12) == promise
