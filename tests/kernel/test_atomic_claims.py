"""Bits that are used as locks: where a function gets one, and where it keeps it."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.atomic_claims import (
    Claimed,
    Kept,
    always_keeps,
    claims,
    frees,
    kept,
    looked_for,
    sets,
)
from oopsight.kernel.machine_code import Expression

BIT_9 = Claimed(Expression("rdi", 0x11), 2)


@pytest.mark.parametrize(
    ("code", "what", "got"),
    [
        ("f0480fba6f1009 7301 c3 c3", BIT_9, 0xA),  # lock bts [rdi + 0x10], 9; jae
        ("f0480fba6f1009 7201 c3 c3", BIT_9, 9),  # jb
        ("f0480fba6f1009 0f92c0 84c0 7401 c3 c3", BIT_9, 0xF),  # setb al; test al, al; je
        ("f0480fba6f1009 0f92c0 84c0 7501 c3 c3", BIT_9, 0xE),
        ("f00fb17708 7401 c3 c3", Claimed(Expression("rdi", 8), -1), 8),  # lock cmpxchg; je
        ("874708 85c0 7501 c3 c3", Claimed(Expression("rdi", 8), -1), 7),  # xchg; test; jne
    ],
)
def test_where_a_claim_is_got(code: str, what: Claimed, got: int) -> None:
    (found,) = claims(function(code))
    assert (found.what, found.got) == (what, {START + got})


@pytest.mark.parametrize(
    ("code", "freed"),
    [
        ("f0806711fd c3", True),  # lock and byte ptr [rdi + 0x11], ~2
        ("f0806711fb c3", False),
        ("f0806710fd c3", False),
        ("f0480fba771009 c3", True),  # lock btr [rdi + 0x10], 9
        ("816710fffdffff c3", True),  # and dword ptr [rdi + 0x10], ~0x200
        ("c6471100 c3", True),  # mov byte ptr [rdi + 0x11], 0
        ("f0804f1102 c3", False),  # or
    ],
)
def test_what_makes_it_free(code: str, *, freed: bool) -> None:
    assert bool(frees(function(code), BIT_9)) is freed


# if (test_and_set_bit()) return; if (esi) return; clear_bit()
KEEPS = "f0480fba6f1009 7210 85f6 750c f0806711fd 90 90 90 90 90 90 c3 c3"


def test_a_way_that_keeps_it() -> None:
    code = function(KEEPS)
    (claim,) = claims(code)
    given = frees(code, claim.what)
    found = kept(code, claim.got, given)
    assert found == Kept(START + 9, START + 0x19)
    assert not always_keeps(code, claim.got, given)
    # All that it does is to claim it.
    assert kept(code, claim.got, set()) is None
    assert always_keeps(code, claim.got, set())


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("f390 488b4710 f6c402 75f4 c3", [BIT_9]),  # test ah, 2; jne
        ("f390 488b4710 a802 75f6 c3", [Claimed(Expression("rdi", 0x10), 2)]),
        ("f390 f6471102 75f8 c3", [BIT_9]),  # test byte ptr [rdi + 0x11], 2; jne
        ("f390 480fba671009 72f7 c3", [BIT_9]),  # bt qword ptr [rdi + 0x10], 9; jb
        ("f390 f6471103 75f8 c3", []),  # either of two
        ("f390 837f1000 75f8 c3", []),  # cmp
    ],
)
def test_a_bit_that_a_loop_looks_for(code: str, what: list[Claimed]) -> None:
    loop = function(code)
    assert list(looked_for(loop, [at for at in loop.code if at != START])) == what


@pytest.mark.parametrize(
    ("code", "at"),
    [
        ("f0804f1102 c3", {5}),  # lock or byte ptr [rdi + 0x11], 2
        ("f0480fba6f1009 7310 c3", {7}),  # lock bts qword ptr [rdi + 0x10], 9
        ("f0804f1101 c3", set()),
        ("f0806711fd c3", set()),
    ],
)
def test_where_a_bit_is_set(code: str, at: set[int]) -> None:
    assert sets(function(code), BIT_9) == {START + one for one in at}
