"""Whether a function gives up what it was handed, and returns as if it had not."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, function

from oopsight.kernel.given_up import gives_up_and_returns
from oopsight.kernel.machine_code import Expression
from oopsight.kernel.pointer_fate import FREES, KEEPS, RETURNS

DOES = {"kfree_skb": FREES, "up": RETURNS}
HANDED = Expression("rdi", 0)
BUSY = 0x10


def does(target: int | None, _: str) -> str:
    return DOES.get(NAMES.get(target or 0, ""), KEEPS)


def busy(*parts: str, value: Expression = HANDED) -> bool:
    return gives_up_and_returns(function(*parts), value, does, lambda number: number == BUSY)


# push rbx; mov rbx,rdi; test esi,esi
BEGIN = "53 4889fb 85f6"
FREE = ("4889df", "call kfree_skb")
ANSWER = "b810000000 5b c3"  # mov eax,16; pop rbx; ret


def test_who_frees_it_and_answers_busy() -> None:
    assert busy(BEGIN, *FREE, ANSWER)
    # The number is kept in another register: mov ebp,16; …; mov eax,ebp
    assert busy("55 53 4889fb bd10000000", *FREE, "89e8 5b 5d c3")


def test_who_answers_busy_on_another_way() -> None:
    # if esi is zero: free it, return 0; else return 16
    assert not busy(BEGIN, "750c", *FREE, "31c0 5b c3", ANSWER)
    assert not busy(BEGIN, *FREE, "31c0 5b c3")
    assert not busy(BEGIN, "4889f7", "call kfree_skb", ANSWER)  # another object


def test_a_return_may_be_a_jump() -> None:
    assert busy(BEGIN, *FREE, "b810000000 5b", "jmp up")


@pytest.mark.parametrize(("answer", "left"), [("89d8", True), ("31c0", False)])
def test_an_answer_that_is_not_known_may_be_an_error(answer: str, left: bool) -> None:
    # push rbx; mov rdi,[rsi]; mov ebx,edx; call; mov eax,ebx or xor eax,eax
    code = function("53 488b3e 89d3", "call kfree_skb", f"{answer} 5b c3")
    handed = Expression("[rsi]", 0)
    assert gives_up_and_returns(code, handed, does, lambda number: number != 0) is left
