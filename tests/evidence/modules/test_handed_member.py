"""A member that was handed to the kernel and had never been set up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_driver import Driver

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handed_member import Member, handed_member, leaving_unfinished

SLAB = made.slab_object(size=512)
MEMBER = SLAB.address + 0x40
CALL = 0xFFFFFFFFC0000010
GIVEN = Value("inner", 0x20, Value("argument", 1))
USES = {
    "pace_stop": FieldUse(
        (),
        (),
        counts=False,
        handed=(Handed(CALL, "hrtimer_cancel", own=False, arguments=(GIVEN,)),),
    )
}


def ways(text: str = "[rdi + 0x30]", **changes: Any) -> tuple[Way, ...]:
    read = made.flow_step("loaded", "hrtimer_active", 0)
    read = replace(read, instruction=replace(read.instruction, text=f"mov rdx, qword ptr {text}"))
    passed = made.flow_step("passed", "pace_stop", MEMBER, "pace")
    passed = replace(passed, instruction=replace(passed.instruction, address=CALL))
    held = made.owner(MEMBER + 0x30, "slab", slab=SLAB, offset=0x70)
    return (
        made.way(read, **{"held_in": held, "function": "hrtimer_active", **changes}),
        made.way(passed, module=None, function="qdisc_put", ended="lost"),
    )


def test_where_it_is_and_where_in_it_the_null_was() -> None:
    # From the object, and from what the function had a pointer to.
    assert handed_member(ways(), "pace", USES) == Member(frozenset({0x40, 0x20}), 0x30)
    # The object is not known.
    assert handed_member(ways(held_in=None), "pace", USES) == Member(frozenset({0x20}), 0x30)


@pytest.mark.parametrize("other", [ways()[:1], ways(module="pace"), ways(ended="lost")])
def test_what_was_not_handed_to_the_kernel(other: tuple[Way, ...]) -> None:
    assert handed_member(other, "pace", USES) is None


def test_another_modules() -> None:
    assert handed_member(ways(), "other", USES) is None


@pytest.mark.parametrize(
    ("changes", "sets"),
    [
        ({"set_up": frozenset([0x40])}, True),
        # What is in it, as the wait queue of a completion.
        ({"set_up": frozenset([0x48])}, True),
        ({"sets": frozenset([0x70])}, True),
        ({"set_up": frozenset([0x80]), "sets": frozenset([0x40])}, False),
    ],
)
def test_who_sets_it_up(changes: dict[str, Any], *, sets: bool) -> None:
    member = Member(frozenset({0x40}), 0x30)
    assert member.set_by(FieldUse((), (), counts=False, **changes)) is sets


def test_who_returns_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    # lea rdi, [rdi + 0x40]; the kernel sets it up
    sets = ("488d7f40", "call qdisc_watchdog_init", "c3")
    driver = Driver(early=("85f6 7401 c3", *sets), always=sets, other=("c3",))
    use = FieldUse((), (), counts=False, set_up=frozenset([0x40]))
    uses = {"early": use, "always": use, "other": FieldUse((), (), counts=False)}
    member = Member(frozenset({0x40}), 0x30)
    assert leaving_unfinished(driver.ownership(), member, uses) == ("early",)
