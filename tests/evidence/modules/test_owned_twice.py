"""Who makes two owners of one object, by what the code does with two fields."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.counting import Copied
from oopsight.evidence.modules.field_code import FieldUse, Freed, Stored
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.owned_twice import OwnedTwice, copied_along, owned_twice

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


@pytest.mark.parametrize(
    ("changes", "copies"),
    [
        ({"copied": Copied(to=0, source=0x8, size=40, brought=True)}, True),  # exports it
        ({"copied": Copied(to=0x8, source=0, size=40, brought=True)}, True),  # brings it back
        ({"copied": Copied(to=0x40, source=0x20, size=40, brought=True)}, False),  # not that part
        ({"copied": Copied(to=0, source=0x18, size=8, brought=True)}, False),  # a pointer alone
        # Each has its own afterwards, or the reference is counted.
        ({"copied": Copied(0, 0x8, 40), "pointers": ((0x10, Value("returned", 1)),)}, False),
        ({"copied": Copied(0, 0x8, 40), "zeroes": frozenset([0x10])}, False),
        ({"copied": Copied(0, 0x8, 40), "counts": True}, False),
    ],
)
def test_who_copies_the_pointer_along_with_the_rest(changes: dict[str, Any], copies: bool) -> None:
    known = {**changes, "copied": frozenset([changes["copied"]])}
    uses = {"digest_final": freeing(PREPARED), "digest_export": use(**known)}
    freed = made.flow_step("loaded", "digest_final", 0)
    way = replace(
        made.way(freed), function="digest_final", held_in=made.owner(0, "slab", offset=PREPARED)
    )
    found = copied_along(uses, FieldKeys(way, uses))
    assert found == (("digest_export",) if copies else ())
