"""Objects that lack what their makers put into them."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import Mark, Wiped
from oopsight.evidence.use_after_free.unmade import clears, lacks

DONE, BANK = Mark(0x58, 8, 0xFFFFFFFFC0466320), Mark(0x30, 8, 0xFFFFFFFFC0468400)
EMPTY = dict.fromkeys(range(0, 0x80, 8), 0)


@pytest.mark.parametrize(
    ("words", "made", "number"),
    [
        (EMPTY, [(DONE, BANK)], 2),
        (EMPTY | {0x30: BANK.value}, [(DONE, BANK)], None),  # it is one of these
        (EMPTY, [(DONE,)], None),  # one field tells nothing
        (EMPTY, [(DONE, BANK), ()], None),  # another maker leaves them alone
        (EMPTY, [(BANK, Mark(0x38, 8, 1))], None),  # nobody sets the field in question
        (EMPTY, [(DONE, BANK), (DONE, BANK)], 2),
    ],
)
def test_an_object_of_which_nothing_is_left(
    words: dict[int, int], made: list[tuple[Mark, ...]], number: int | None
) -> None:
    assert lacks(words, made, DONE.offset) == number


def test_what_is_cleared_while_it_is_in_use_may_be_theirs() -> None:
    uses = {"write": FieldUse((), (), counts=False, zeroes=frozenset([0x58]))}
    assert not clears(uses, {"write"}, 0x58)
    assert clears(uses | {"stop": uses["write"]}, {"write"}, 0x58)
    wipes = FieldUse((), (), counts=False, wipes=(Wiped(64, None),))
    assert clears(uses | {"reset": wipes}, {"write"}, 0x58)
