"""What functions do with what they are given, and hand on."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse, Freed
from oopsight.evidence.modules.given_twice import (
    GivenTwice,
    _kept_pairs,
    _pairs,
    given_before,
    kept_after,
)
from oopsight.evidence.modules.handing import (
    given_back,
    giving_up,
    got,
    leaving_at_times,
    putting,
    putting_untaken,
    waiting,
)
from oopsight.evidence.modules.known_calls import PUTS

ARGUMENT = Value("argument", 1)
LAMP = Value("loaded", 0x58, ARGUMENT)
NEW = Value("returned", 9, None, "kzalloc")
TAKEN = Value("returned", 8, None, "idr_remove")


def use(**changes: object) -> FieldUse:
    return FieldUse((), (), counts=False, **changes)  # type: ignore[arg-type]


def call(name: str, *arguments: Value, own: bool = False, at: int = 0x10) -> Handed:
    return Handed(at, name, own, arguments)


def test_a_helper_gives_back_what_it_is_handed() -> None:
    uses = {
        "rec_put": use(put=((4, ARGUMENT),)),
        "rec_drop": use(handed=(call("rec_put.isra.0", LAMP, own=True, at=0x30),)),
    }
    assert list(given_back(uses["rec_drop"], uses)) == [(LAMP, 0, "rec_put.isra.0", 0x30)]


def test_who_gives_back_what_a_field_holds_and_leaves_it() -> None:
    keys = {name: {0x58} for name in ("poll", "poll_active", "drop", "close", "take")}
    uses = {
        "poll_active": use(put=((4, ARGUMENT),)),
        "poll": use(handed=(call("poll_active.isra.0", LAMP, own=True),)),
        "drop": use(put=((4, LAMP),), written=((0x58, ARGUMENT),)),
        "close": use(put=((4, LAMP),), freed=((8, ARGUMENT),)),
        "take": use(put=((4, LAMP),), handed=(call("get_device", LAMP),)),
    }
    assert putting(uses, keys) == ("poll_active", "poll")


def test_who_takes_a_reference_itself_or_by_a_helper() -> None:
    uses = {
        "hub_hold": FieldUse((), (), counts=True),
        "hub_ref": use(handed=(call("kobject_get", ARGUMENT),)),
        "watch": use(handed=(call("hub_hold", LAMP, own=True),)),
        "join": use(handed=(call("hub_ref.isra.0", LAMP, own=True),)),
        "look": use(handed=(call("kobject_get", LAMP), call("put_lamp", NEW, own=True))),
        "drop": use(handed=(call("kobject_put", LAMP),)),
    }
    assert [name for name, one in uses.items() if LAMP in got(one, uses)] == [
        "watch", "join", "look",
    ]  # fmt: skip


def test_who_gives_back_what_some_field_holds_and_nobody_takes_for_it() -> None:
    hub = Value("loaded", 0xFFFFFFFFC0503000)
    drops = use(put=((4, hub),))
    keeps = use(handed=(call("kobject_get", hub),), pointers=((0x40, hub),))
    takes = use(handed=(call("kobject_get", hub),))
    assert putting_untaken({"swap": drops, "insert": keeps}) == {"swap": {hub.number}}
    # As to open and to close.
    assert putting_untaken({"swap": drops, "open": takes}) == {}
    cleared = use(put=((4, hub),), written=((hub.number, None),))
    assert putting_untaken({"swap": cleared, "insert": keeps}) == {}


def test_who_waits_for_readers_before_it_frees() -> None:
    member = Value("loaded", 0x20, TAKEN)
    uses = {
        # kfree_rcu(), and what the object leads to after synchronize_rcu()
        "leave": use(
            freed=((0x20, member), (0x30, TAKEN)),
            handed=(call("synchronize_rcu"), call("kvfree_call_rcu", TAKEN, at=0x30)),
        ),
        "shift": use(freed=((0x30, TAKEN),)),
        "moor": use(freed=((0x30, NEW),)),
        "clear": use(handed=(call("call_rcu", TAKEN),)),
    }
    assert waiting(uses) == ("leave", "clear")


def test_who_waits_for_what_it_frees_and_who_may_in_vain() -> None:
    done = Value("inner", 0x20, NEW)
    uses = {
        "try": use(freed=((0x30, NEW),), handed=(call("wait_for_completion", done),)),
        "move": use(freed=((0x30, NEW),), handed=(call("wait_for_completion_timeout", done),)),
        "stop": use(freed=((0x30, TAKEN),), handed=(call("wait_for_completion_timeout", done),)),
    }
    assert waiting(uses) == ("try",)
    assert giving_up(uses) == ("move",)


def test_helpers_that_free_what_their_callers_free_later() -> None:
    helper = use(freed=((4, ARGUMENT),))
    handed = (call("install", NEW, own=True),)
    uses = {"install": helper, "write": use(handed=handed, freed=((0x40, NEW),))}
    assert list(_pairs(uses)) == [("write", "install", 0)]
    uses["write"] = use(handed=handed, freed=((0x8, NEW),))
    assert not list(_pairs(uses))  # that was before


def test_helpers_that_give_back_what_they_have_stored_for_their_callers() -> None:
    got = Value("returned", 7, None, "look_up")
    stored = {"written": ((0x10, ARGUMENT),), "pointers": ((0x10, got),), "stored_at": (8,)}
    field = Value("loaded", 0x10, NEW)
    uses = {
        "fill": use(put=((0x20, got),), **stored),
        "run": use(handed=(call("fill", NEW, own=True),), put=((0x40, field),)),
    }
    ((pair, kept),) = _kept_pairs(uses)
    assert pair == GivenTwice("fill", "run")
    assert (kept.field, kept.stored, kept.back) == ((0x10, 0), 8, 0x20)
    cleared = use(put=((0x20, got),), cleared=((0x10, 0x28),), **stored)
    assert not list(_kept_pairs({**uses, "fill": cleared}))
    other = use(put=((0x20, TAKEN),), **stored)
    assert not list(_kept_pairs({**uses, "fill": other}))


def test_who_has_a_helper_free_what_an_object_holds_and_keeps_that() -> None:
    helper = FieldUse((Freed(0x20, cleared=False, whole=False),), (), counts=False)
    handed = (call("drop_all", ARGUMENT, own=True),)
    uses = {
        "drop_all": helper,
        "resize": use(handed=handed),
        "release": use(handed=handed, freed=((0x40, ARGUMENT),)),
        "open": use(handed=(call("drop_all", NEW, own=True),)),
    }
    assert kept_after(uses, ("drop_all",)) == (GivenTwice("drop_all", "resize"),)
    cleared = FieldUse((Freed(0x20, cleared=True, whole=False),), (), counts=False)
    assert kept_after(uses | {"drop_all": cleared}, ("drop_all",)) == ()


def test_who_gives_back_by_a_helper_and_leaves_it_on_some_ways() -> None:
    uses = {
        "scene_put": use(put=((4, ARGUMENT),)),
        "choose": use(
            handed=(call("scene_put", LAMP, own=True, at=0x20),),
            left_at_times=frozenset({(0x20, LAMP), (0x30, TAKEN)}),
        ),
        "off": use(handed=(call("scene_put", LAMP, own=True, at=0x20),)),
    }
    found = [name for name, one in uses.items() if leaving_at_times(one, uses)]
    assert found == ["choose"]
    assert leaving_at_times(uses["choose"], uses) == {LAMP}


@pytest.mark.parametrize(
    ("name", "puts"),
    [("fput", True), ("usb_put_dev", True), ("eventfd_ctx_put", True), ("kobject_put", True),
     ("skb_put", False), ("hid_input", False)],
)  # fmt: skip
def test_functions_of_the_kernel_that_give_a_reference_back(name: str, puts: bool) -> None:
    assert bool(PUTS.fullmatch(name)) is puts


def test_who_gives_back_what_a_helper_gives_back_with_all_around_it() -> None:
    free = use(put=((4, LAMP),), freed=((8, ARGUMENT),))
    last = call("lamp_free", ARGUMENT, own=True, at=0x30)
    uses = {"lamp_free": free, "cancel": use(put=((0x20, LAMP),), handed=(last,))}
    assert given_before(uses) == (GivenTwice("lamp_free", "cancel"),)
    # It clears the field, gives back another's, or is the one that does so last.
    for one in (
        use(put=((0x20, LAMP),), handed=(last,), written=((0x58, ARGUMENT),)),
        use(put=((0x20, Value("loaded", 0x58, NEW)),), handed=(last,)),
        use(put=((0x40, LAMP),), handed=(last,)),
    ):
        assert given_before({"lamp_free": free, "cancel": one}) == ()


def test_what_a_helper_is_handed_by_a_member() -> None:
    """As by kref_put(), which tells the release function the count within the object."""
    tug = Value("loaded", 0x10, ARGUMENT)
    release = use(put=((4, Value("loaded", 8, ARGUMENT)),), freed=((8, ARGUMENT),))
    count = Value("inner", 8, ARGUMENT)
    shift = use(put=((0x10, tug),), handed=(call("tug_release", count, own=True, at=0x30),))
    uses = {"tug_release": release, "tug_shift": shift}
    assert given_before(uses) == (GivenTwice("tug_release", "tug_shift"),)
    other = use(put=((0x10, tug),), handed=(call("tug_release", ARGUMENT, own=True, at=0x30),))
    assert given_before({"tug_release": release, "tug_shift": other}) == ()


def test_a_helper_s_helper_counts() -> None:
    tug = Value("loaded", 0x10, ARGUMENT)
    uses = {
        "quay_put": use(put=((4, ARGUMENT),)),
        "tug_free": use(handed=(call("quay_put", tug, own=True),)),
        "shift": use(put=((0x10, tug),), handed=(call("tug_free", ARGUMENT, own=True, at=0x30),)),
    }
    assert given_before(uses) == (GivenTwice("tug_free", "shift"),)
