"""Where code goes on by a number that it has read."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.branches import branch, comes_back


@pytest.mark.parametrize(
    ("code", "number", "taken"),
    [
        ("8b07 85c0 7500", 0, False),  # mov eax, [rdi]; test eax, eax; jne
        ("8b07 85c0 7500", 7, True),
        ("8b07 a804 7400", 4, False),  # test al, 4; je
        ("8b07 a804 7400", 3, True),
        ("833f05 7e00", 5, True),  # cmp dword ptr [rdi], 5; jle
        ("833f05 7e00", 0xFFFFFFFF, True),
        ("833f05 7f00", 6, True),  # jg
        ("833f05 7600", 0xFFFFFFFF, False),  # jbe
        ("803f00 7500", 1, True),  # cmp byte ptr [rdi], 0; jne
        ("486307 4885c0 7800", 0x80000000, True),  # movsxd rax, [rdi]; test rax, rax; js
        ("0fb607 84c0 7500", 0, False),  # movzx eax, byte ptr [rdi]; test al, al; jne
        ("8b07 4889fe 85c0 7500", 1, True),  # what lies between leaves both alone
    ],
)
def test_a_number_decides_the_next_jump(code: str, number: int, taken: bool) -> None:
    made = function(code, "c3")
    jump = next(at for at, row in made.code.items() if row.mnemonic[0] == "j")
    # The jump leads to what follows it: whether it is taken is told by where it is set to go.
    raw = bytes.fromhex(code.replace(" ", ""))[:-1] + b"\x01"
    made = function(raw.hex(), "90 c3")
    found = branch(made, made.code[START], number)
    assert found == (jump, jump + (3 if taken else 2))


@pytest.mark.parametrize(
    "code",
    [
        "8b07 89c8 85c0 7501",  # another number was put into the register
        "8b07 39c8 7501",  # compared with what is not known
        "8b07 85c0 83c101 7501",  # the flags are of something else
        "390f 7501",  # cmp [rdi], ecx
        "3b0f 7501",  # cmp ecx, [rdi]
    ],
)
def test_what_is_not_known_decides_nothing(code: str) -> None:
    made = function(code, "90 c3")
    assert branch(made, made.code[START], 0) is None


def test_a_way_back_that_a_decided_jump_closes() -> None:
    # 1: call helper; mov eax, [rdi]; test eax, eax; jne 1b; ret
    made = function("call helper", "8b07 85c0 75f5 c3")
    jump = START + 9
    assert comes_back(made, START, {})
    assert comes_back(made, START, {jump: START})
    assert not comes_back(made, START, {jump: jump + 2})
