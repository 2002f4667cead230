"""Who frees outright what others give back by its count."""

from __future__ import annotations

from typing import Any

import pytest

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.past_count import past_count

TABLE = Value("number", 0xFFFFFFFFC0A02040)
BUCKET = Value("loaded", 0xFFFFFFFFC0A02080)
FILE = Value("argument", 1)
HELD = Value("loaded", 8, Value("loaded", 200, FILE))


def use(**changes: Any) -> FieldUse:
    return FieldUse(**{"frees": (), "stores": (), "counts": False, **changes})


def looked_up(by: str, number: int, *, own: bool = False) -> tuple[Handed, Value]:
    result = Value("returned", number, None, by)
    return Handed(8, by, own, (TABLE, Value("argument", 1)), result), result


LOADS, FOUND = looked_up("xa_load", 5)
ERASES, TAKEN = looked_up("xa_erase", 9)
GETS = use(handed=(LOADS,), taken=(FOUND,))
RELEASES = use(put=((16, HELD),), freed=((24, HELD), (32, Value("loaded", 200, FILE))))


def test_who_frees_what_others_count() -> None:
    drops = use(handed=(ERASES,), freed=((16, TAKEN),))
    assert past_count({"get": GETS, "drop": drops, "release": RELEASES}) == ("drop",)


@pytest.mark.parametrize("by", ["_put_tuning", "tuning_put"])
def test_who_gives_a_reference_back_before_it_frees_does_not(by: str) -> None:
    drops = use(handed=(ERASES,), freed=((16, TAKEN),), put=((12, TAKEN),))
    helper = use(put=((4, FILE),), freed=((8, FILE),))
    hands = use(handed=(ERASES, Handed(16, by, True, (TAKEN,))))
    assert past_count({"get": GETS, "drop": drops}) == ()
    assert past_count({"get": GETS, "cut": hands, by: helper}) == ()


def test_a_helper_without_the_count_is_its_callers_mistake() -> None:
    hands = use(handed=(ERASES, Handed(16, "destroy", True, (TAKEN,))))
    assert past_count({"get": GETS, "cut": hands, "destroy": use(freed=((8, FILE),))}) == ("cut",)


def test_the_same_table_of_lists_and_the_same_way_from_a_file() -> None:
    walks = use(freed=((16, BUCKET),))
    assert past_count({"get": use(taken=(BUCKET,)), "clear": walks}) == ("clear",)
    closes = use(freed=((24, HELD),))
    assert past_count({"release": RELEASES, "close": closes}) == ("close",)
    # That far in what it is handed itself may lie anything.
    near = Value("loaded", 8, FILE)
    assert past_count({"get": use(taken=(near,)), "clear": use(freed=((16, near),))}) == ()


def test_another_table_and_what_is_new_are_of_another_kind() -> None:
    other = Value("returned", 9, None, "xa_erase")
    erases = Handed(8, "xa_erase", False, (Value("number", 0xFFFFFFFFC0A03000),), other)
    drops = use(handed=(erases,), freed=((16, other),))
    new = Value("returned", 3, None, "kmalloc_trace")
    makes = use(handed=(Handed(4, "kmalloc_trace", False, (TABLE,), new),), freed=((16, new),))
    assert past_count({"get": GETS, "drop": drops, "make": makes}) == ()
