"""Who takes an object out of one place and leaves the pointer in another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.second_copy import SecondCopy, half_undone, second_copies

LEAD, SLOTS, LINK = 0xA0, 0x20, 0x18
DEVICE, CLIP = Value("argument", 1), Value("argument", 2)


def use(**changes: Any) -> FieldUse:
    return FieldUse(**{"frees": (), "stores": (), "counts": False, **changes})


# It puts the clip into a free slot, and makes it the lead.
ALLOW = use(
    sets=frozenset([LEAD, SLOTS]),
    pointers=((SLOTS, CLIP), (LEAD, CLIP)),
    written=((SLOTS, DEVICE), (LEAD, DEVICE)),
)
DROP = use(cleared=((SLOTS, 0x40),), sets=frozenset([SLOTS]))
SHOW = use()


def keys_of(uses: dict[str, FieldUse]) -> FieldKeys:
    step = made.flow_step("loaded", "show", 0x1000, "drv")
    text = f"mov rdi, qword ptr [rdi + {LEAD:#x}]"
    step = replace(step, instruction=replace(step.instruction, text=text))
    way = made.way(step, value=0x1000, module="drv", ended="loaded")
    return FieldKeys(way, uses)


def found(**uses: FieldUse) -> tuple[SecondCopy, ...]:
    every = {"show": SHOW, **uses}
    return second_copies(every, keys_of(every))


def test_who_clears_the_other_field_alone() -> None:
    assert found(allow=ALLOW, drop=DROP) == (SecondCopy("allow", "drop"),)


def test_who_takes_it_off_the_list_alone() -> None:
    add = replace(ALLOW, pointers=((LEAD, CLIP),), put_in=((CLIP, LINK),))
    assert found(add=add, remove=use(taken_off=((CLIP, LINK),))) == (SecondCopy("add", "remove"),)
    # Off another list.
    assert found(add=add, remove=use(taken_off=((CLIP, LINK + 16),))) == ()


@pytest.mark.parametrize(
    "drop",
    [
        replace(DROP, sets=frozenset([SLOTS, LEAD])),
        replace(DROP, checks=frozenset([LEAD])),
        replace(DROP, handed=(Handed(8, "allow", own=True, arguments=()),)),
    ],
)
def test_who_looks_at_the_field_as_well_leaves_nothing(drop: FieldUse) -> None:
    assert found(allow=ALLOW, drop=drop) == ()


def test_what_is_stored_once_has_no_second_place() -> None:
    assert found(allow=replace(ALLOW, pointers=((LEAD, CLIP),)), drop=DROP) == ()


USERS, LOAD = 0x70, 0x6C
LINKS = use(
    stores=(Stored(LEAD, "value", None, given=True),),
    sets=frozenset([LEAD]),
    raises=frozenset([USERS, LOAD]),
)
UNLINKS = use(lowers=frozenset([USERS, LOAD]))


@pytest.mark.parametrize(
    ("links", "unlinks", "leaves"),
    [
        (LINKS, UNLINKS, True),
        (LINKS, replace(UNLINKS, sets=frozenset([LEAD])), False),
        (LINKS, replace(UNLINKS, checks=frozenset([LEAD])), False),
        # It undoes a part, as others may count in the same place.
        (LINKS, use(lowers=frozenset([USERS])), False),
        (replace(LINKS, raises=frozenset()), UNLINKS, False),
        # What it stores there is its own.
        (replace(LINKS, stores=(Stored(LEAD, "fresh", "kzalloc"),)), UNLINKS, False),
    ],
)
def test_who_undoes_what_was_counted_and_leaves_the_pointer(
    links: FieldUse, unlinks: FieldUse, leaves: bool
) -> None:
    uses = {"show": SHOW, "link": links, "unlink": unlinks}
    expected = (SecondCopy("link", "unlink"),) if leaves else ()
    assert half_undone(uses, keys_of(uses)) == expected
