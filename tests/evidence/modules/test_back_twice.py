"""Who gives back more than was taken."""

from __future__ import annotations

import pytest
from handmade_fields import use

from oopsight.evidence.modules.back_twice import getting_unheld, giving_back_twice
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_ways import Ways

FIRST = Value("argument", 1)
SEAT = Value("returned", 3, None, "seat_find")
LISTED = Value("loaded", 0x40, FIRST)


def ways(*onwards: tuple[int, ...]) -> Ways:
    """Of instructions one behind the other, at 0 and so on: where each goes on."""
    return Ways({at: list(to) for at, to in enumerate(onwards)}, {})


def calls(*made: tuple[str, Value], taken_off: tuple[tuple[Value, int], ...] = ()) -> FieldUse:
    """A function that makes calls one after the other."""
    handed = tuple(Handed(at, name, False, (what,) * 3) for at, (name, what) in enumerate(made))
    return FieldUse(
        (),
        (),
        counts=False,
        handed=handed,
        put=tuple((at, what) for at, (name, what) in enumerate(made) if "put" in name),
        freed=tuple((at, what) for at, (name, what) in enumerate(made) if name == "kfree"),
        taken_off=taken_off,
        ways=ways(*((at + 1,) for at in range(len(made))), ()),
    )


@pytest.mark.parametrize(
    ("one", "does"),
    [
        (calls(("put_device", SEAT), ("put_device", SEAT)), True),
        (calls(("kobject_put", FIRST), ("kfree", FIRST)), True),
        (calls(("device_unregister", FIRST), ("kfree", FIRST)), True),
        (calls(("kfree", SEAT), ("kfree", SEAT)), True),
        (calls(("put_device", SEAT), ("put_device", FIRST)), False),
        # What was got, or what a list had a reference for as well, is given back twice by right.
        (calls(("get_device", SEAT), ("put_device", SEAT), ("put_device", SEAT)), False),
        (calls(("put_device", SEAT), ("put_device", SEAT), taken_off=((SEAT, 0),)), False),
        (calls(("list_del", SEAT), ("put_device", SEAT), ("put_device", SEAT)), False),
    ],
)
def test_the_same_is_given_back_on_one_way(one: FieldUse, does: bool) -> None:
    assert giving_back_twice({"seat_tune": one}) == (("seat_tune",) if does else ())


def test_on_two_ways_that_do_not_meet() -> None:
    one = calls(("put_device", SEAT), ("put_device", SEAT))
    apart = FieldUse((), (), False, handed=one.handed, put=one.put, ways=ways((), ()))
    assert giving_back_twice({"seat_tune": apart}) == ()


def test_what_is_had_anew_in_between_is_another() -> None:
    got = Handed(1, "seat_find", False, (FIRST,), SEAT)
    one = calls(("put_device", SEAT), ("", FIRST), ("put_device", SEAT))
    handed = (one.handed[0], got, one.handed[2])
    anew = FieldUse((), (), False, handed=handed, put=one.put, ways=one.ways)
    assert giving_back_twice({"seat_walk": anew}) == ()


def test_the_last_reference_frees_it() -> None:
    # lock dec; jne out; kfree
    found = use("mov rbx, rdi", "lock dec dword ptr [rbx]", "jne 0x1020", "call 0x9000", "ret ")
    assert found.put
    assert found.freed
    assert giving_back_twice({"seat_put": found}) == ()


def getter(name: str, at: int = 3) -> FieldUse:
    """A function that puts what another of its module has returned."""
    found = Value("returned", at, None, name)
    return FieldUse(
        (), (), False, handed=(Handed(0, name, True, (FIRST,), found),), put=((1, found),)
    )


def test_who_looks_up_and_takes_no_reference() -> None:
    uses = {
        "seat_by_name": FieldUse((), (), counts=True),
        "seat_by_row": FieldUse((), (), counts=False),
        "seat_pop": FieldUse((), (), False, handed=(Handed(0, "xa_erase", False, (FIRST,)),)),
        "seat_new": FieldUse((), (), False, handed=(Handed(0, "kmalloc", False, (FIRST,)),)),
        "seat_look": FieldUse((), (), False, handed=(Handed(0, "seat_by_name", True, (FIRST,)),)),
        "a": getter("seat_by_name"),
        "b": getter("seat_by_row"),
        "c": getter("seat_pop"),
        "d": getter("seat_new"),
        "e": getter("seat_look"),
    }
    assert getting_unheld(uses) == ("seat_by_row",)


def test_who_takes_it_out_gives_back_what_the_table_had() -> None:
    caller = getter("seat_by_row")
    found = caller.put[0][1]
    emptied = FieldUse((), (), False, handed=caller.handed, put=caller.put, taken_off=((found, 8),))
    uses = {"seat_by_row": FieldUse((), (), counts=False), "seat_remove": emptied}
    assert getting_unheld(uses) == ()
