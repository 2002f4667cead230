"""Who makes two owners of one object, by what the code does with two fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Freed, Stored
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.owned_twice import OwnedTwice, owned_twice

KEY, PREPARED = 0xC0, 0x18
FROM = Value("argument", 2)
POINTER = Value("loaded", PREPARED, FROM)


def use(**changes: Any) -> FieldUse:
    return FieldUse(**{"frees": (), "stores": (), "counts": False, **changes})


def freeing(key: int) -> FieldUse:
    return use(frees=(Freed(key, cleared=False, whole=False),))


def copying(**changes: Any) -> FieldUse:
    stores = (Stored(KEY, "value", None),)
    written = ((KEY, Value("argument", 1)),)
    known = {"sets": frozenset([KEY]), "pointers": ((KEY, POINTER),), "written": written}
    return use(**{"stores": stores, **known, **changes})


USES = {
    "lock_take": copying(),
    "lock_forget": freeing(PREPARED),
    "lock_destroy": freeing(KEY),
    "lock_show": use(),
}


def found(key: int, reader: str, **changed: FieldUse) -> tuple[OwnedTwice, ...]:
    step = made.flow_step("loaded", reader, 0x1000, "lock")
    text = f"mov rdi, qword ptr [rdi + {key:#x}]"
    step = replace(step, instruction=replace(step.instruction, text=text))
    way = made.way(step, value=0x1000, module="lock", ended="loaded")
    uses = {**USES, **changed}
    return owned_twice(uses, FieldKeys(way, uses))


def test_of_either_field_the_other_is_told() -> None:
    assert found(KEY, "lock_show") == (OwnedTwice("lock_take", "lock_forget"),)
    assert found(PREPARED, "lock_show") == (OwnedTwice("lock_take", "lock_destroy"),)


@pytest.mark.parametrize(
    "changes",
    [
        # It takes the pointer away, or a reference.
        {"written": ((KEY, Value("argument", 1)), (PREPARED, FROM))},
        {"counts": True},
        {"handed": (Handed(8, "kobject_get", own=False, arguments=(POINTER,)),)},
        # It was no field of another object.
        {"pointers": ((KEY, FROM),)},
    ],
)
def test_who_hands_over_makes_no_second_owner(changes: dict[str, Any]) -> None:
    assert found(KEY, "lock_show", lock_take=copying(**changes)) == ()


def test_who_only_borrows_is_no_owner() -> None:
    assert found(KEY, "lock_show", lock_destroy=use()) == ()
    # Another takes it out of the first field.
    assert found(KEY, "lock_show", lock_show=use(zeroes=frozenset([PREPARED]))) == ()
