"""Who keeps a share of what another waits for."""

from __future__ import annotations

import pytest
from handmade_code import START, linked

from oopsight.evidence.hangs.kept_shares import Share, moves_of, wanted
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression
from oopsight.kernel.shares import keeping, spread

STARTS = {"take": START, "give": START + 0x100, "cross": START + 0x200, "crew": START + 0x300}
SEATS = Share(Expression("rdi", 8), -1)
SLOTS = Share(Expression("rdi", 8), 0)


def code(**parts: str) -> dict[str, Function]:
    return linked(STARTS, **parts)


TAKE = "836f0801 c3"  # seats--
GIVE = "83470801 c3"
# take(ferry); if (error) return; give(ferry)
CROSS = "53 4889fb; call take; 85ed 7508; 4889df; call give; 5b c3"
# while (!try(ferry)); give(ferry)
CREW = "53 4889fb; call take; 85c0 74f7; 4889df; call give; 5b c3"


def keepers(share: Share, **parts: str) -> list[str]:
    return [name for name, _, _ in keeping(spread(code(**parts), *moves_of(share)))]


def test_who_can_return_with_one() -> None:
    assert keepers(SEATS, take=TAKE, give=GIVE, cross=CROSS) == ["cross"]
    whole = CROSS.replace("85ed 7508", "85ed 9090")
    assert not keepers(SEATS, take=TAKE, give=GIVE, cross=whole)


def test_a_slot_in_a_map() -> None:
    taken, given = "480fab7708 c3", "480fb37708 c3"  # bts, btr [rdi + 8], rsi
    assert keepers(SLOTS, take=taken, give=given, cross=CROSS) == ["cross"]


def test_who_did_not_get_one_keeps_none() -> None:
    # if (!seats) return 0; seats--; return 1
    attempt = "837f0800 740a; 836f0801; b801000000 c3; 31c0 c3"
    # if (!try(ferry)) return; give(ferry)
    tries = "53 4889fb; call take; 85c0 7408; 4889df; call give; 5b c3"
    assert not keepers(SEATS, take=attempt, give=GIVE, cross=tries)


@pytest.mark.parametrize(
    ("own", "found"),
    [(TAKE, [SEATS]), ("836f0801 83470801 c3", [])],
    ids=["takes", "takes and gives"],
)
def test_what_is_waited_for(own: str, found: list[Share]) -> None:
    whole = code(take=own, give=GIVE, crew=CREW)
    assert wanted(whole["crew"], whole) == found
