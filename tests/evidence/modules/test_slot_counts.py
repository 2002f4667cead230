"""Who frees an entry of a table and does not count it out."""

from __future__ import annotations

from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.slot_counts import leaving_counted

SLOTS, COUNT, TAKEN = 8, 0, 0x40
RACK = Value("argument", 1)


def use(*changes: int, pointers: tuple[tuple[int, Value], ...] = ()) -> FieldUse:
    known = frozenset(changes)
    return FieldUse(
        (), (), False, changes=known, narrow=known, tables=frozenset({SLOTS}), pointers=pointers
    )


def found(**uses: FieldUse) -> tuple[str, ...]:
    return leaving_counted(uses, dict.fromkeys(uses, SLOTS))


def test_the_one_that_leaves_the_number_alone() -> None:
    moved = use(TAKEN, pointers=((SLOTS, Value("loaded", SLOTS, RACK)),))
    assert found(pop=use(COUNT), clear=use(COUNT), take=moved) == ("take",)
    # Two do not agree on what counts.
    assert found(pop=use(COUNT), take=moved) == ()
    assert found(pop=use(COUNT), clear=use(TAKEN), take=use()) == ()


def test_who_puts_another_in_its_place() -> None:
    new = use(pointers=((SLOTS, Value("returned", 7, None, "kzalloc")),))
    assert found(pop=use(COUNT), clear=use(COUNT), swap=new) == ()


def test_what_is_no_table() -> None:
    uses = {"pop": use(COUNT), "clear": use(COUNT), "take": use()}
    assert leaving_counted(uses, dict.fromkeys(uses, 0x20)) == ()
