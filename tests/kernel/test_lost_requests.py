"""What becomes of a request, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, function

from oopsight.kernel.lost_requests import ENDS, KEEPS, LOOKS, brings, given, gotten
from oopsight.kernel.machine_code import Expression

END = "call mutex_unlock"
# 1: mov rbx,[r12]; cmp r12,rbx; je 2f; mov [rbx],rbx; mov [rbx+8],rbx; cmp [rbx+0x10],1; je 1b;
# mov rdi,rbx; END; jmp 1b; 2: ret
TAKES = "53 4989fc 498b1c24 4939dc 7417 48891b 48895b08 807b1001"
SKIPPING = (f"{TAKES} 74ea 4889df", END, "ebe0 5b c3")
# The same without a way round: nop; nop in place of the jump.
WHOLE = (f"{TAKES} 9090 4889df", END, "ebe0 5b c3")
LOAD = START + 4


def does(target: int | None, register: str) -> str:
    named = {"mutex_unlock": ENDS, "helper": LOOKS}
    return named.get(NAMES.get(target or 0, ""), KEEPS) if register == "rdi" else LOOKS


def test_one_that_was_taken_off_a_list_and_is_skipped() -> None:
    fate = gotten(function(*SKIPPING), LOAD, does)
    assert fate is not None
    assert fate.ended
    assert fate.lost == fate.untied == (LOAD,)
    whole = gotten(function(*WHOLE), LOAD, does)
    assert whole is not None
    assert (whole.ended, whole.lost) == (True, ())


@pytest.mark.parametrize(
    ("code", "lost"),
    [
        # cmp [rdi],0; je 1f; jmp END; 1: ret
        (("803f00 7405", "jmp mutex_unlock", "c3"), (START + 10,)),
        # test rdi,rdi; je 1f; jmp END; 1: ret: there was none
        (("4885ff 7405", "jmp mutex_unlock", "c3"), ()),
    ],
)
def test_one_that_is_handed_over(code: tuple[str, ...], lost: tuple[int, ...]) -> None:
    fate = given(function(*code), "rdi", does)
    assert fate is not None
    assert fate.ended
    assert (fate.lost, fate.untied) == (lost, ())


def test_where_it_is_kept() -> None:
    # mov [rsi+0x18],rdi; ret: one; lea rax,[rdi+0x48]; mov [rsi+0x18],rax; ret: a list
    one = given(function("48897e18 c3"), "rdi", does)
    listed = given(function("488d4748 48894618 c3"), "rdi", does)
    assert one is not None
    assert listed is not None
    assert one.kept
    assert one.alone == {Expression("rsi", 0x18)}
    assert (listed.kept, listed.alone) == (True, frozenset())
    handed = given(function("call complete", "c3"), "rdi", does)
    assert handed is not None
    assert (handed.kept, handed.lost) == (True, ())
    looked_at = given(function("call helper", "c3"), "rdi", does)
    assert looked_at is not None
    assert (looked_at.kept, looked_at.lost) == (False, (START + 5,))


def test_one_of_which_the_device_was_told() -> None:
    # The same with mov eax,[rbx+0x10]; test eax,eax; je 3f; mov rdi,rbx; END; jmp 1b;
    # 3: mov [r12+0x20],eax; jmp 1b; 2: ret
    told = TAKES.replace("7417", "741f").replace("807b1001", "8b4310 85c0 740a 4889df")
    fate = gotten(function(told, END, "ebdf 4189442420 ebd8 5b c3"), LOAD, does)
    assert fate is not None
    assert fate.lost == (LOAD,)
    assert fate.untied == ()


def test_what_can_bring_one() -> None:
    rows = function("488b07 8b07 4889f8", "call helper", "c3").code.values()
    assert [brings(row) for row in rows] == [True, False, False, True, False]


# 1: mov rbx,[r12+0x28]; test rbx,rbx; je 2f; mov rax,[rbx]; mov [r12+0x28],rax; mov [rbx],0;
# cmp [rbx+0x10],1; je 1b; mov rdi,rbx; END; jmp 1b; 2: ret
POPPED = "53 4989fc 498b5c2428 4885db 741f 488b03 4989442428 48c70300000000 807b1001"


def test_the_first_of_a_chain_whose_head_leads_on_to_the_next() -> None:
    fate = gotten(function(f"{POPPED} 74e1 4889df", END, "ebd7 5b c3"), LOAD, does)
    assert fate is not None
    assert fate.untied == (LOAD,)


@pytest.mark.parametrize(
    ("number", "told"),
    # cmp [rdi],0; je 1f; END; xor eax,eax; ret; 1: mov eax,9 or 0; ret
    [("09", True), ("00", False)],
)
def test_who_answers_otherwise_has_told_its_caller(number: str, told: bool) -> None:
    code = function("53 803f00 7409", END, f"31c0 5b c3 b8{number}000000 5b c3")
    fate = given(code, "rdi", does)
    assert fate is not None
    assert [fate.is_told(at) for at in fate.lost] == [told]
