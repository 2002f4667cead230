"""Who frees what the kernel still knows."""

from __future__ import annotations

from collections.abc import Collection

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.use_after_free.still_registered import StillRegistered, still_registered

ZONE = Value("returned", 9, None, "kzalloc")
LANE = Value("argument", 1)
FREED_AT = 0x100


class Ways:
    """Of functions that go on from each call to the next, and then free."""

    def onwards(
        self, name: str, site: int, freed_at: int, *, known: bool, past: Collection[int] = ()
    ) -> bool:
        assert known
        assert freed_at == FREED_AT
        return not any(site < at < freed_at for at in past)


def at(distance: int, of: Value = ZONE) -> Value:
    return Value("inner", distance, of) if distance else of


def use(*calls: tuple[str, tuple[Value, ...]], freed: Value | None = ZONE) -> FieldUse:
    """A function that calls others of the kernel, or (with a ``+``) of its own module."""
    handed = tuple(
        Handed(0x10 * number, name.lstrip("+"), name.startswith("+"), values, Value("number", -7))
        for number, (name, values) in enumerate(calls)
    )
    free = ((FREED_AT, freed),) if freed is not None else ()
    free += tuple((one.at, one.arguments[0]) for one in handed if one.name == "usb_free_urb")
    return FieldUse((), (), counts=False, handed=handed, freed=free)


def found(place: int | None = None, **uses: FieldUse) -> list[tuple[str, str]]:
    places = () if place is None else (place,)
    return [(one.function, one.by) for one in still_registered(uses, places, Ways())]


ADD = ("kobject_init_and_add", (ZONE,))
NOTIFIER = ("mmu_notifier_register", (at(0x20),))


def test_who_frees_what_it_has_made_known() -> None:
    assert found(add=use(ADD)) == [("add", "kobject_init_and_add")]
    assert found(add=use(NOTIFIER)) == [("add", "mmu_notifier_register")]
    assert still_registered({"add": use(ADD)}, (), Ways(), {"add"}) == ()
    # What is not new may be so, too.
    timer = use(("mod_timer", (at(8, LANE),)), freed=LANE)
    assert still_registered({"arm": timer}, (), Ways()) == (StillRegistered("arm", "mod_timer"),)


def test_who_takes_it_back_first_is_not_to_blame() -> None:
    assert not found(add=use(NOTIFIER, ("mmu_notifier_unregister", (at(0x20),))))
    back = use(("mmu_notifier_unregister", (at(0x20, LANE),)), freed=None)
    assert not found(add=use(NOTIFIER, ("+back", (ZONE,))), back=back)
    # Another member of it is another matter.
    assert found(add=use(NOTIFIER, ("timer_delete_sync", (at(0x40),))))


def test_what_a_callback_is_handed_goes_with_what_that_was_registered_by() -> None:
    irq = ("request_threaded_irq", (*[Value("number", 5)] * 5, ZONE))
    assert found(add=use(irq)) == [("add", "request_threaded_irq")]
    assert not found(add=use(irq, ("free_irq", (Value("number", 5), ZONE))))


def test_only_what_lies_where_the_kernel_met_it() -> None:
    assert found(0x20, add=use(NOTIFIER))
    assert found(0x28, add=use(NOTIFIER))
    assert not found(0x10, add=use(NOTIFIER))


def test_what_something_is_put_into_is_not_made_known() -> None:
    assert not found(add=use(("skb_queue_tail", (at(0x20), LANE))))
    assert not found(add=use(("xa_store", (at(0x20), LANE))))


def test_a_name_is_copied() -> None:
    assert not found(add=use(("debugfs_create_dir", (ZONE,))))
    number = ("debugfs_create_u32", (*[Value("number", 5)] * 3, at(0x20)))
    assert found(add=use(number)) == [("add", "debugfs_create_u32")]


def test_what_only_lets_go_leaves_what_is_under_way() -> None:
    calls = ("usb_submit_urb", (ZONE,)), ("usb_free_urb", (ZONE,))
    assert not found(add=use(*calls, freed=None))


def test_what_another_function_undoes_by_its_name_makes_known() -> None:
    attach = ("hub_attach", (at(0x20),))
    assert not found(add=use(attach))
    drop = use(("hub_detach", (at(0x20, LANE),)), freed=LANE)
    assert found(add=use(attach), drop=drop) == [("add", "hub_attach")]
    assert not found(add=use(attach, ("hub_detach", (at(0x20),))), drop=drop)
