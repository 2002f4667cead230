"""Who does as others do that set a field, but leaves it alone."""

from __future__ import annotations

from typing import Any

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.partners import leaving_alone, undoing

POINTER, NEXT = Value("argument", 1), [Value("unknown", 7)] * 5
MASK = (1 << 64) - 1


def use(*constants: tuple[int, int], calls: tuple[str, ...] = (), **more: Any) -> FieldUse:
    """A function that sets numbers of four bytes and calls others of its module."""
    keys = frozenset(key for key, _ in constants)
    return FieldUse(
        (),
        (),
        counts=False,
        changes=keys,
        sets=keys,
        constants=frozenset((key, 4, number) for key, number in constants),
        handed=tuple(Handed(8, name, own=True, arguments=(POINTER, *NEXT)) for name in calls),
        **more,
    )


def left(uses: dict[str, FieldUse], **begins: tuple[int, ...]) -> tuple[str, ...]:
    """Of the field at 8, which ``open`` sets."""
    return leaving_alone(uses, {"open": (8,)}, {"open"}, begins)


def test_who_sets_the_same_numbers_and_calls_the_same() -> None:
    uses = {
        "open": use((8, 0), (16, 0), calls=("layout",)),
        "resize": use((16, 0), calls=("layout",)),
        "drain": use((16, 0)),
        "layout": use((24, 5)),
        "show": use(),
    }
    assert left(uses) == ("resize",)
    # Who has the field set by calling another does not leave it alone.
    uses["resize"] = use((16, 0), calls=("layout", "open"))
    assert left(uses) == ("drain",)


def test_nobody_stands_out() -> None:
    uses = {"open": use((8, 0), (16, 0)), **{name: use((16, 0)) for name in "abc"}}
    assert left(uses) == ()
    assert left({"open": use((8, 0)), "show": use((24, 1))}) == ()


def test_work_items_at_other_distances() -> None:
    uses = {
        "open": use((8, 0), (16, 0)),
        "expire": use(((16 - 64) & MASK, 0)),
    }
    assert left(uses) == ()
    assert left(uses, expire=(48, 64)) == ("expire",)
    # Or by the lock that both take.
    uses = {
        "open": use((8, 0), (16, 0), locks=frozenset([4])),
        "expire": use(((16 - 64) & MASK, 0), locks=frozenset([4 - 64])),
    }
    assert left(uses) == ("expire",)


def test_who_undoes_the_rest() -> None:
    uses = {"off": use((8, 0), (12, 1)), "on": use((12, 0)), "restart": use((8, 4), (12, 0))}
    asked = []

    def holds(far: int, size: int, number: int) -> bool:
        asked.append((far, size, number))
        return number == 0

    found = undoing(uses, "off", 8, {"off", "restart"}, {}, holds)
    assert (found, asked) == (("on",), [(4, 4, 0)])
    # Memory does not hold what it would have left.
    assert undoing(uses, "off", 8, {"off", "restart"}, {}, lambda *_: False) == ()


def test_who_takes_entries_off_and_leaves_their_count() -> None:
    down = {"lowers": frozenset([8]), "taken_off": ((POINTER, 0),)}
    uses = {
        "take": FieldUse((), (), counts=False, changes=frozenset([8]), **down),
        "trim": FieldUse((), (), counts=False, taken_off=((POINTER, 0),)),
        "show": use(),
    }
    assert leaving_alone(uses, {"take": (8,)}, {"take"}, {}) == ("trim",)
