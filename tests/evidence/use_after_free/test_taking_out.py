"""Who takes a member of an object out of others' hands before it is freed."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made

from oopsight.evidence import Address
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.use_after_free.taking_out import (
    TakingOut,
    hurrying,
    leaving_what,
    new_only,
    places_met,
    taking_out,
)

LANE = Value("argument", 1)
NEW = Value("returned", 9, None, "kzalloc")
ONE = made.slab_object("free")


class Ways:
    """Of functions, by names: those that free after they have made it known, or without a call."""

    def __init__(self, after: str = "", past: str = "") -> None:
        self._after, self._past = after, past

    def after(self, name: str, called: str) -> bool:
        assert called == "attach_cooler"
        return name == self._after

    def onwards(self, name: str, site: int, freed_at: int, *, known: bool) -> bool:
        assert freed_at == 0x100
        return name == self._past and known

    def past(self, name: str, sites: set[int], frees: set[int]) -> bool:
        assert sites
        assert frees == {0x100}
        return name == self._past


WAYS = Ways()


def left(taken: TakingOut | None) -> tuple[str, ...]:
    return taken.leaves if taken is not None else ()


def at(distance: int, of: Value = LANE) -> Value:
    return Value("inner", distance, of) if distance else of


def use(*calls: tuple[str, Value], freed: Value | None = LANE, **changes: object) -> FieldUse:
    """A function that calls others of the kernel, or (with a ``+``) of its own module."""
    handed = tuple(
        Handed(0x10 * number, name.lstrip("+"), name.startswith("+"), (value,))
        for number, (name, value) in enumerate(calls)
    )
    free = ((0x100, freed),) if freed is not None else ()
    return FieldUse((), (), counts=False, handed=handed, freed=free, **changes)  # type: ignore[arg-type]


CLOSE = use(("percpu_counter_destroy", at(0x30)), ("percpu_counter_destroy", at(8)))
RETIRE = use(("percpu_counter_sum", at(0x30)), ("percpu_counter_destroy", at(8)))
OPEN = use(("percpu_counter_init", at(8, NEW)), ("percpu_counter_init", at(0x30, NEW)), freed=NEW)


def test_who_leaves_one_of_two_members() -> None:
    uses = {"close": CLOSE, "retire": RETIRE, "open": OPEN}
    assert taking_out(uses, (0x40,), WAYS) == TakingOut(0x30, ("close",), ("retire",))
    assert not left(taking_out(uses, (0x10,), WAYS))  # all take that one out
    # Between the member and the place lies another, which nobody takes out.
    uses["open"] = use(("init_timer_key", at(0x60, NEW)), freed=NEW)
    assert not left(taking_out(uses, (0x60,), WAYS))


def test_a_list_s_entry_is_taken_off_in_place() -> None:
    gone = use(taken_off=((LANE, 0x10),))
    new = use(freed=NEW, put_in=((NEW, 0x10),))
    assert taking_out({"gone": gone, "new": new}, (0x10,), WAYS) == TakingOut(
        0x10, ("gone",), ("new",)
    )
    # What is new and was put nowhere is known to nobody.
    assert not left(taking_out({"gone": gone, "new": use(freed=NEW)}, (0x10,), WAYS))


def test_a_helper_that_frees_leaves_the_rest_to_its_callers() -> None:
    uses = {
        "free": use(),
        "close": use(("percpu_counter_destroy", at(0x30)), ("+free", LANE), freed=None),
        "retire": use(("+free", LANE), freed=None),
    }
    assert taking_out(uses, (0x40,), WAYS) == TakingOut(0x30, ("close",), ("retire",))
    # Where it does so for all, none of them has to.
    uses["free"] = use(("percpu_counter_destroy", at(0x30)))
    assert not left(taking_out(uses, (0x40,), WAYS))


def test_who_only_dispatches_is_not_to_blame() -> None:
    uses = {"close": CLOSE, "retire": RETIRE}
    uses["ioctl"] = use(("+close", LANE), ("+retire", LANE), freed=None)
    assert taking_out(uses, (0x40,), WAYS) == TakingOut(0x30, ("close", "ioctl"), ("retire",))


def test_who_takes_it_out_on_some_ways_only() -> None:
    expected = TakingOut(0x30, (), ("close",))
    assert taking_out({"close": CLOSE}, (0x40,), Ways(past="close")) == expected
    expected = TakingOut(0x30, (), ("retire", "close"))
    uses = {"close": CLOSE, "retire": RETIRE}
    assert taking_out(uses, (0x40,), Ways(past="close")) == expected


def test_an_error_path_behind_the_call_that_made_it_known() -> None:
    remove = use(("detach_cooler", at(0x10)))
    uses = {"remove": remove, "add": use(("attach_cooler", at(0x10, NEW)), freed=NEW)}
    expected = TakingOut(0x10, ("remove",), ("add",))
    assert taking_out(uses, (0x10,), Ways(after="add")) == expected
    # It frees only where that call has failed.
    assert not left(taking_out(uses, (0x10,), WAYS))


def test_who_frees_other_things_has_nothing_to_take_out() -> None:
    uses = {"close": CLOSE, "retire": RETIRE}
    assert not left(taking_out(uses, (0x40,), WAYS, {"retire"}))


def test_where_the_address_of_an_object_was_kept() -> None:
    inside = made.flow_step("loaded", "rec_show", int(ONE.address) + 0x10)
    way = made.way(inside, function="rec_show", ended="loaded", value=ONE.address)
    flow = made.data_flow(way, subject="operand")
    # Of an entry in it, though the code had made the object's address of that.
    assert places_met(ONE, flow, None) == (0x10,)
    plain = replace(way, steps=(replace(inside, value=Address(ONE.address)),))
    assert places_met(ONE, made.data_flow(plain, subject="operand"), None) == ()
    # A node of a tree that begins an object has its children behind its colour.
    for offset, places in ((0x10, (0,)), (0x18, ())):
        parent = made.owner(ONE.address + 0x200 + offset, "slab", offset=offset, slab=ONE)
        node = replace(plain, held_in=parent)
        assert places_met(ONE, made.data_flow(node, subject="operand"), None) == places


def test_who_is_handed_a_member_finds_the_object_by_its_own_address_in_it() -> None:
    """handle->private, of a handle 0x20 from the beginning of the object."""
    cooler = Value("loaded", 8, LANE)
    connect = use(
        ("attach_cooler", at(0x20, NEW)),
        freed=NEW,
        written=((0x28, NEW),),
        pointers=((0x28, NEW),),
    )
    uses = {"disconnect": use(("unregister_cooler", LANE), freed=cooler), "connect": connect}
    ways = Ways(after="connect")
    assert leaving_what("disconnect", uses, ways) == (("connect",), "unregister_cooler")
    assert leaving_what("disconnect", uses, Ways()) == ((), "")
    assert leaving_what("connect", uses, ways) == ((), "")
    # The head of an empty list says nothing of the kind.
    head = replace(connect, written=((0x28, NEW), (0x30, NEW)), pointers=((0x28, NEW), (0x30, NEW)))
    assert leaving_what("disconnect", uses | {"connect": head}, ways) == ((), "")


def test_who_does_not_wait_for_what_runs_for_a_member() -> None:
    hasty = use(("cancel_delayed_work", at(0x30)))
    patient = use(("cancel_delayed_work_sync", at(0x30)))
    other = use(("cancel_delayed_work", at(0x90)))
    uses = {"unplug": hasty, "close": patient, "stop": other}
    assert hurrying(uses, 0x30) == ("unplug",)
    assert hurrying(uses, 0x30, others=("unplug",)) == ()


def test_who_frees_nothing_but_what_nobody_knows_yet() -> None:
    make = use(("mod_timer", at(0x18, NEW)), freed=NEW)
    part = use(freed=Value("loaded", 0x28, NEW))
    uses = {"attach": make, "prepare": part, "detach": use(), "old": use(freed=None)}
    assert new_only(uses, WAYS) == ("attach", "prepare")
    # The call, or a store of the pointer, is on the way to where it is freed.
    assert new_only(uses, Ways(past="attach")) == ("prepare",)
    table = Value("number", 0xFFFFFFFFC0A02040)
    stores = {"pointers": ((8, NEW),), "written": ((8, table),), "stored_at": (0x40,)}
    keeps = {"attach": use(freed=NEW, **stores)}
    assert new_only(keeps, Ways(past="attach")) == ()
    assert new_only(keeps, WAYS) == ("attach",)
    # What sets something up in it, or the pointer to itself, makes it known to nobody.
    sets_up = {"pointers": ((8, at(8, NEW)),), "written": ((8, NEW),), "stored_at": (0x40,)}
    alone = {"attach": use(("init_timer_key", at(0x18, NEW)), freed=NEW, **sets_up)}
    assert new_only(alone, Ways(past="attach")) == ("attach",)


def test_what_was_handed_to_whom_the_code_does_not_name_may_be_known() -> None:
    unbind = use(("eventfd_ctx_remove_wait_queue", at(0x18)))
    new = use(("", at(0x40, NEW)), freed=NEW)
    uses = {"unbind": unbind, "bind": new}
    assert taking_out(uses, (0x30,), Ways(past="bind")) == TakingOut(0x18, ("unbind",), ("bind",))
    assert new_only(uses, Ways(past="bind")) == ()
    assert new_only(uses, WAYS) == ("bind",)
