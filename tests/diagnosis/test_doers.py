"""The order of suspects by what the module's code does with a field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import ABSENT, slab_object

from oopsight.diagnosis import Culprit
from oopsight.diagnosis.doers import (
    callers_first,
    copiers,
    freed_before,
    freers_by_code,
    freers_unseen,
    gave_back_itself,
    helpers_that_give_back,
    keepers,
    left_threads,
    makers_that_omit,
    managers,
    mappers,
    owned_twice,
    putters,
    putters_leaving,
    putters_of_others,
    sharers,
    traces_of,
    uncounted,
    who_gives_back_before,
    who_miscounts,
    who_takes_and_gives_back,
)
from oopsight.diagnosis.left_null import null_by_right, who_left_it_null
from oopsight.evidence import Address
from oopsight.evidence.modules.copied_mappings import CopiedMapping
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers, KeptBy
from oopsight.evidence.modules.footprints import Footprint, Footprints
from oopsight.evidence.modules.given_twice import GivenTwice
from oopsight.evidence.modules.left_in import LeftIn
from oopsight.evidence.modules.owned_twice import OwnedTwice
from oopsight.evidence.modules.prints import Printed, Prints
from oopsight.evidence.modules.sizes import FunctionSizes
from oopsight.evidence.modules.threads import Threads
from oopsight.evidence.pointers import BytesPointer, LogPointer

ONE = slab_object("free")
FIELD = FieldDoers(1, ONE.address, "recorder", (), (), (), ())
DOERS = Doers("recorder", (FIELD,), ("rec_close",), ("rec_open",))


def freer(name: str) -> Culprit:
    return Culprit("recorder", name, None, None, "can free such objects")


CAN = [freer("rec_open"), freer("rec_close"), freer("rec_reset")]


def test_who_leaves_the_pointer_behind_comes_first() -> None:
    doers = replace(DOERS, fields=(replace(FIELD, leaves=("rec_reset",), frees=("rec_close",)),))
    ordered, singled = freers_by_code(CAN, doers, ONE, ABSENT, ABSENT)
    assert [one.function for one in ordered] == ["rec_reset", "rec_close", "rec_open"]
    assert singled
    # Even where it was not among those that can have freed it.
    ordered, _ = freers_by_code(CAN[:2], doers, ONE, ABSENT, ABSENT)
    assert ordered[0].function == "rec_reset"
    at_times = replace(doers, fields=(replace(FIELD, at_times=("rec_reset",)),))
    ordered, _ = freers_by_code(CAN[:2], at_times, ONE, ABSENT, ABSENT)
    assert ordered[0].function == "rec_reset"


def test_who_allocates_as_well_comes_last() -> None:
    ordered, singled = freers_by_code(CAN[:2], DOERS, ONE, ABSENT, ABSENT)
    assert [one.function for one in ordered] == ["rec_close", "rec_open"]
    assert singled


def test_two_alike_leave_it_open() -> None:
    doers = replace(DOERS, frees=("rec_close", "rec_reset"))
    assert not freers_by_code(CAN, doers, ONE, ABSENT, ABSENT)[1]
    assert freers_by_code(CAN, ABSENT, ONE, ABSENT, ABSENT) == (CAN, False)


def test_what_frees_a_member_of_the_object_frees_it() -> None:
    member = FieldDoers(0, Address(0x6B6B), "recorder", (), ("rec_reset",), (), ())
    doers = replace(DOERS, fields=(member, FIELD), frees=("rec_close", "rec_reset"))
    ordered, singled = freers_by_code(CAN, doers, ONE, ABSENT, ABSENT)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    # So does one that allocates, which is the less suspect.
    both = replace(member, frees=("rec_open", "rec_close"))
    ordered, singled = freers_by_code(
        CAN, replace(DOERS, fields=(both, FIELD)), ONE, ABSENT, ABSENT
    )
    assert (ordered[0].function, singled) == ("rec_close", True)


def test_who_stops_its_user_on_some_ways_only_may_have_freed_it() -> None:
    freed = replace(DOERS, frees=("rec_close", "rec_reset"), stops=("rec_close", "rec_reset"))
    at_times = replace(freed, stops_at_times=("rec_reset",))
    ordered, singled = freers_by_code(CAN, at_times, ONE, ABSENT, ABSENT)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    in_vain = replace(freed, stops_in_vain=("rec_reset",))
    ordered, singled = freers_by_code(CAN, in_vain, ONE, ABSENT, ABSENT)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    assert "may start that again" in ordered[0].why


def test_who_does_not_always_stop_it_comes_before_who_relied_on_that() -> None:
    field = replace(FIELD, way=0, clears=("rec_off",))
    doers = replace(
        DOERS,
        fields=(field,),
        stops=("rec_idle", "rec_off"),
        stops_at_times=("rec_idle",),
        stops_for_others=("rec_idle",),
    )
    found = who_left_it_null(doers, ABSENT)
    assert [one.function for one in found] == ["rec_idle", "rec_off"]
    # Who takes the pointer away stops nothing: it is its own affair.
    found = who_left_it_null(replace(doers, stops=("rec_idle",)), ABSENT)
    assert found[0].function == "rec_off"


def test_who_clears_it_while_its_user_runs_comes_first() -> None:
    field = replace(FIELD, way=0, clears=("rec_idle", "rec_leave"), checks=("rec_show",))
    doers = replace(DOERS, fields=(field,))
    assert null_by_right(doers, {"rec_tick"}) == ("rec_show",)
    doers = replace(doers, unstopped=("rec_leave",))
    assert [one.function for one in who_left_it_null(doers, ABSENT)] == ["rec_leave", "rec_idle"]
    assert null_by_right(doers, {"rec_tick"}) == ()


def test_who_clears_it_and_called_what_met_it_had_another_command() -> None:
    field = replace(FIELD, way=0, clears=("rec_ioctl", "rec_off"), replaces=("rec_ioctl",))
    doers = replace(DOERS, fields=(field,), silent=("rec_ioctl",))
    found = who_left_it_null(doers, ABSENT, {"rec_ioctl"})
    assert [one.function for one in found] == ["rec_off"]
    assert who_left_it_null(doers, ABSENT)[0].function == "rec_ioctl"


def test_of_an_object_that_is_not_known_only_one_that_frees_is_named() -> None:
    assert [one.function for one in freers_unseen(DOERS)] == ["rec_close"]
    assert freers_unseen(replace(DOERS, frees=("a", "b"))) == []
    assert freers_unseen(ABSENT) == []


def test_who_stores_an_error_code_unchecked_comes_first() -> None:
    kept = (KeptBy("probe", "clk_get", checked=True), KeptBy("set_rate", "clk_get", checked=False))
    doers = replace(DOERS, fields=(replace(FIELD, way=0, keeps=kept),))
    found = keepers(doers, "the error code -ENOENT")
    assert [one.function for one in found] == ["set_rate", "probe"]
    assert "does not check it" in found[0].why
    assert keepers(DOERS, "it") == []
    assert keepers(ABSENT, "it") == []


def test_who_shares_without_a_reference() -> None:
    doers = replace(DOERS, fields=(replace(FIELD, way=0, shares=("room_join",)),))
    assert [one.function for one in sharers(doers)] == ["room_join"]
    assert sharers(DOERS) == []
    assert sharers(ABSENT) == []


def test_a_thread_that_ended_by_itself_is_freed_unless_somebody_counted_it() -> None:
    doers = replace(DOERS, threads=Threads(("sample_start",)))
    counted, found = uncounted(doers, replace(ONE, cache="task_struct"), [])
    assert counted
    assert [one.function for one in found] == ["sample_start"]
    assert uncounted(doers, ONE, []) == (False, [])
    assert uncounted(DOERS, replace(ONE, cache="task_struct"), []) == (False, [])


def test_who_freed_it_before() -> None:
    doers = replace(DOERS, fields=(replace(FIELD, way=0, leaves=("rule_parse",)),))
    assert [one.function for one in freed_before(doers)] == ["rule_parse"]
    field = replace(FIELD, way=0, leaves=("rule_parse",), at_times=("rule_resize",))
    found = freed_before(replace(DOERS, fields=(field,)))
    assert [one.function for one in found] == ["rule_parse", "rule_resize"]
    # The pointer's trace is lost: a function that frees it on its own and again with the rest.
    lost = replace(DOERS, fields=(), twice=("rule_load",))
    assert [one.function for one in freed_before(lost)] == ["rule_load"]
    assert freed_before(ABSENT) == []


def test_who_has_freed_what_it_had_stored_itself_comes_before_who_frees_it_now() -> None:
    field = replace(FIELD, way=1, leaves=("parch_kill",), leaves_own=("parch_fill", "parch_kill"))
    doers = replace(DOERS, fields=(field,))
    assert freed_before(doers) == []
    found = freed_before(doers, {"parch_kill"}, 1)
    assert [one.function for one in found] == ["parch_fill"]
    found = freed_before(doers, (), 1)
    assert [one.function for one in found] == ["parch_kill", "parch_fill", "parch_kill"]


def test_who_gives_back_more_than_was_taken() -> None:
    doers = replace(DOERS, again=("seat_tune",), unheld=("seat_by_row",))
    assert [one.function for one in who_miscounts(doers)] == ["seat_tune", "seat_by_row"]
    assert who_miscounts(ABSENT) == []


def test_who_frees_objects_of_another_size_comes_last() -> None:
    doers = replace(DOERS, sizes=(FunctionSizes("rec_close", (ONE.size * 4,)),))
    ordered, singled = freers_by_code(CAN[:2], doers, ONE, ABSENT, ABSENT)
    assert ([one.function for one in ordered], singled) == (["rec_open", "rec_close"], True)
    doers = replace(DOERS, sizes=(FunctionSizes("rec_close", (ONE.size,)),))
    assert freers_by_code(CAN[:2], doers, ONE, ABSENT, ABSENT)[0][0].function == "rec_close"


def test_who_gave_the_last_reference_back_and_goes_on_is_to_blame() -> None:
    doers = replace(DOERS, gives_back=("rec_reset",))
    assert gave_back_itself([freer("rec_reset")], doers)
    assert not gave_back_itself([freer("rec_open")], doers)
    assert not gave_back_itself([], doers)
    assert not gave_back_itself([freer("rec_reset")], ABSENT)


def test_who_duplicates_the_holder_of_a_pointer() -> None:
    doers = replace(DOERS, copies=(FunctionSizes("rec_clone", (ONE.size - 8,)),))
    assert [one.function for one in copiers(doers, ONE)] == ["rec_clone"]
    assert copiers(doers, replace(ONE, size=ONE.size * 4)) == []
    assert copiers(ABSENT, ONE) == []


MEMORY = BytesPointer(ONE.address, "07000000")
ALIKE = replace(DOERS, frees=("rec_close", "rec_reset"))
BOTH = CAN[1:]


def test_who_would_have_left_other_bytes_comes_last() -> None:
    doers = replace(ALIKE, left=(LeftIn("rec_close", (), MEMORY),))
    ordered, singled = freers_by_code(BOTH, doers, ONE, ABSENT, ABSENT)
    assert ([one.function for one in ordered], singled) == (["rec_reset", "rec_close"], True)
    assert "other bytes" in ordered[1].why
    doers = replace(ALIKE, left=(LeftIn("rec_reset", (MEMORY,), None),))
    ordered, singled = freers_by_code(BOTH, doers, ONE, ABSENT, ABSENT)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    (step,) = traces_of(ordered[0], doers, ABSENT, ABSENT)
    assert step.because == (MEMORY,)
    assert traces_of(ordered[1], doers, ABSENT, ABSENT) == []


@pytest.mark.parametrize(("function", "called"), [("rec_reset", "kfree"), ("rec_run", "rec_reset")])
def test_of_two_alike_who_ran_comes_first(function: str, called: str) -> None:
    found = (Footprint(function, called, "the stack of recd (7)", MEMORY),)
    ordered, singled = freers_by_code(BOTH, ALIKE, ONE, Footprints("recorder", found), ABSENT)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    (step,) = traces_of(ordered[0], ALIKE, Footprints("recorder", found), ABSENT)
    assert step.claim == (
        f"the stack of recd (7) still holds the return address of {function}'s call of {called}"
    )
    other = Footprints("another", found)
    assert not freers_by_code(BOTH, ALIKE, ONE, other, ABSENT)[1]


def test_who_can_have_left_a_field_null() -> None:
    field = replace(
        FIELD,
        way=0,
        clears=("rec_stop", "rec_rekey"),
        replaces=("rec_rekey",),
        late=(KeptBy("rec_probe", "misc_register", checked=True),),
        untested=("rec_open",),
    )
    doers = replace(DOERS, fields=(field,), omits=("rec_clone",))
    found = who_left_it_null(doers, ABSENT)
    assert [one.function for one in found] == [
        "rec_rekey", "rec_probe", "rec_stop", "rec_open", "rec_clone",
    ]  # fmt: skip
    assert "misc_register" in found[1].why
    assert [one.function for one in makers_that_omit(doers)] == ["rec_clone"]
    # Last who leaves more in the object than is there.
    belied = replace(FIELD, way=0, clears=("rec_stop",), belied=("rec_stop",))
    belied = replace(belied, half_tested=("rec_find",), replaces=("rec_command",))
    deaf = replace(doers, fields=(belied,), deaf=("rec_setup",))
    assert [one.function for one in who_left_it_null(deaf, ABSENT)] == [
        "rec_setup", "rec_find", "rec_clone", "rec_stop",
    ]  # fmt: skip
    # Who copies what is NULL there comes before who clears it.
    copied = replace(field, replaces=(), late=(), copies_null=("rec_default",))
    found = who_left_it_null(replace(doers, fields=(copied,)), ABSENT)
    assert [one.function for one in found[:2]] == ["rec_default", "rec_stop"]
    # Who only has it cleared by one function and set by another comes after who clears it.
    through = replace(field, late=(), clears=("rec_stop",), replaces=("rec_command",))
    found = who_left_it_null(replace(doers, fields=(through,)), ABSENT)
    assert [one.function for one in found[:2]] == ["rec_stop", "rec_command"]
    # Who skips the store is more suspect than who never makes it.
    skipping = replace(doers, fields=(replace(field, late=()),), skips=("rec_attach",))
    assert [one.function for one in who_left_it_null(skipping, ABSENT)][-2:] == [
        "rec_attach", "rec_clone",
    ]  # fmt: skip
    # Whom it is handed to in place of others, then who says that all went well, then the rest.
    several = replace(
        DOERS, siblings=("rec_polled",), silent=("rec_bind",), unstored=("rec_plug",),
        unfinished=("rec_init",), omits=("rec_clone",),
    )  # fmt: skip
    assert [one.function for one in who_left_it_null(several, ABSENT)] == [
        "rec_polled", "rec_bind", "rec_clone", "rec_plug", "rec_init",
    ]  # fmt: skip
    nothing = replace(DOERS, hands_none=("rec_radio",))
    assert [one.function for one in who_left_it_null(nothing, ABSENT)] == ["rec_radio"]
    # Who has another make it known first.
    after = replace(FIELD, way=0, after=(KeptBy("rec_add", "rec_register", checked=True),))
    (found,) = who_left_it_null(replace(DOERS, fields=(after,)), ABSENT)
    assert (found.function, found.why) == ("rec_add", "calls rec_register before it sets the field")
    # An offset at which so many store zero is of several kinds of objects.
    many = replace(field, clears=("a", "b", "c", "d"))
    assert who_left_it_null(replace(doers, fields=(many,)), ABSENT) == []
    assert who_left_it_null(ABSENT, ABSENT) == makers_that_omit(ABSENT) == []


def test_a_pointer_that_may_be_null() -> None:
    field = replace(FIELD, way=0, clears=("rec_eject",), checks=("rec_show",))
    doers = replace(DOERS, fields=(field,))
    assert null_by_right(doers, {"rec_speed"}) == ("rec_show",)
    # One on the way to the crash had looked: it was cleared meanwhile.
    assert null_by_right(doers, {"rec_speed", "rec_show"}) == ()
    late = replace(field, late=(KeptBy("rec_probe", "misc_register", checked=True),))
    for other in (late, replace(field, untested=("rec_open",)), replace(field, checks=())):
        assert null_by_right(replace(DOERS, fields=(other,)), {"rec_speed"}) == ()
    assert null_by_right(replace(DOERS, fields=()), set()) == null_by_right(ABSENT, set()) == ()


def test_who_freed_it_with_the_last_reference_may_have_been_right() -> None:
    field = replace(FIELD, shares=("rec_watch",))
    doers = replace(DOERS, fields=(field,), uncounts=("rec_close",))
    counted, sharing = uncounted(doers, ONE, [freer("rec_close")])
    assert counted
    assert [one.function for one in sharing] == ["rec_watch"]
    assert uncounted(doers, ONE, [freer("rec_reset")]) == (False, [])
    assert uncounted(doers, ONE, []) == uncounted(ABSENT, ONE, BOTH) == (False, [])


def test_who_frees_what_others_count_comes_first() -> None:
    doers = replace(DOERS, uncounts=("rec_close", "rec_drop"), past_count=("rec_drop",))
    ordered, singled = freers_by_code(CAN, doers, ONE, ABSENT, ABSENT)
    assert (ordered[0].function, singled) == ("rec_drop", True)
    assert "outright" in ordered[0].why
    assert uncounted(doers, ONE, ordered) == (False, [])


def test_who_has_printed_something_ran() -> None:
    line = LogPointer(3.5, "recorder: reset of channel 2")
    prints = Prints("recorder", (Printed("rec_reset", line),))
    ordered, singled = freers_by_code(BOTH, ALIKE, ONE, ABSENT, prints)
    assert (ordered[0].function, singled) == ("rec_reset", True)
    (step,) = traces_of(ordered[0], ALIKE, ABSENT, prints)
    assert step.because == (line,)
    field = replace(FIELD, way=0, clears=("rec_close", "rec_reset"))
    found = who_left_it_null(replace(DOERS, fields=(field,)), prints)
    assert [one.function for one in found] == ["rec_reset", "rec_close"]


def test_who_stops_what_used_the_object_is_less_suspect() -> None:
    ordered, singled = freers_by_code(
        BOTH, replace(ALIKE, stops=("rec_close",)), ONE, ABSENT, ABSENT
    )
    assert ([one.function for one in ordered], singled) == (["rec_reset", "rec_close"], True)


def test_who_takes_references_and_gives_them_back() -> None:
    doers = replace(DOERS, both=("rec_ask", "rec_swap"))
    assert [one.function for one in who_takes_and_gives_back(doers, {"rec_swap"})] == ["rec_ask"]
    assert who_takes_and_gives_back(doers, set()) == []
    assert who_takes_and_gives_back(ABSENT, set()) == []


def test_who_clears_the_field_is_less_suspect() -> None:
    field = replace(FIELD, clear_by=("rec_close",))
    ordered, singled = freers_by_code(BOTH, replace(ALIKE, fields=(field,)), ONE, ABSENT, ABSENT)
    assert ([one.function for one in ordered], singled) == (["rec_reset", "rec_close"], True)


def test_who_calls_a_helper_that_frees_comes_before_it() -> None:
    doers = replace(DOERS, helpers=("rec_reset",))
    called = [freer("rec_reset"), freer("rec_close")]
    assert [one.function for one in callers_first(called, doers)] == ["rec_close", "rec_reset"]
    assert callers_first(called[::-1], doers) == called[::-1]
    assert callers_first(called, ABSENT) == called


def test_who_has_memory_that_the_kernel_frees() -> None:
    doers = replace(DOERS, frees=(), allocates=(), managed=("rec_probe",))
    assert [one.function for one in managers(doers)] == ["rec_probe"]
    assert managers(replace(doers, frees=("rec_close",))) == managers(ABSENT) == []
    # Who is called before that, and does not end what then used it.
    doers = replace(doers, unbinds=("rec_remove",))
    assert [one.function for one in managers(doers)] == ["rec_remove", "rec_probe"]


def test_who_gives_back_what_is_not_its_to_give() -> None:
    field = replace(FIELD, way=0, puts=("rec_poll",))
    doers = replace(DOERS, fields=(field,), twice_given=(GivenTwice("rec_place", "rec_assign"),))
    assert [one.function for one in putters(doers)] == ["rec_poll"]
    assert putters(ABSENT) == putters(DOERS) == helpers_that_give_back(ABSENT) == []
    (one,) = helpers_that_give_back(doers)
    assert one.function == "rec_place"
    assert "rec_assign" in one.why
    assert helpers_that_give_back(doers, {"rec_assign"}) == [one]
    assert helpers_that_give_back(doers, {"rec_open"}) == []


def test_who_frees_only_what_has_the_pointer_is_less_suspect() -> None:
    field = replace(FIELD, leaves=(), frees=())
    outer = replace(field, way=field.way + 1, value=None, frees_only=("rec_close",))
    ordered, _ = freers_by_code(BOTH, replace(ALIKE, fields=(field, outer)), ONE, ABSENT, ABSENT)
    assert [one.function for one in ordered] == ["rec_reset", "rec_close"]
    ordered, _ = freers_by_code(BOTH, replace(ALIKE, fields=(field,)), ONE, ABSENT, ABSENT)
    assert [one.function for one in ordered] == [one.function for one in BOTH]


def test_who_gives_back_what_it_has_not_taken() -> None:
    doers = replace(DOERS, untaken=("rec_swap", "rec_drop"))
    assert [one.function for one in putters_of_others(doers, {"rec_drop"})] == ["rec_swap"]
    many = replace(DOERS, untaken=("rec_swap", "rec_drop", "rec_poll"))
    assert putters_of_others(many, set()) == putters_of_others(ABSENT, set()) == []


def test_who_makes_a_second_owner() -> None:
    field = replace(FIELD, owned_twice=(OwnedTwice("rec_take", "rec_forget"),))
    assert [one.function for one in owned_twice(field)] == ["rec_take", "rec_forget"]
    # Who frees it now has not freed it before.
    assert owned_twice(field, {"rec_forget"}) == owned_twice(None) == []


def test_whose_mappings_give_back_once_for_each_copy() -> None:
    doers = replace(DOERS, mappings=(CopiedMapping("rec_mmap", "rec_vm_close", ("rec_put",)),))
    assert [one.function for one in mappers(doers)] == ["rec_mmap"]
    assert mappers(ABSENT) == []
    counting = replace(doers, uncounts=("rec_put", "rec_close"))
    for name, found in (("rec_put", ["rec_mmap"]), ("rec_close", [])):
        _, sharing = uncounted(counting, ONE, [freer(name)])
        assert [one.function for one in sharing] == found


def test_who_puts_and_on_some_ways_leaves_the_pointer() -> None:
    doers = replace(DOERS, fields=(replace(FIELD, way=0, puts_at_times=("rec_watch",)),))
    assert [one.function for one in putters_leaving(doers, ONE)] == ["rec_watch"]
    assert [one.function for one in putters(doers)] == ["rec_watch"]
    always = replace(doers.fields[0], puts=("rec_poll",))
    some = putters(replace(doers, fields=(always,)), at_times=True)
    assert [one.function for one in some] == ["rec_watch"]
    others = putters_of_others(replace(DOERS, at_times=("rec_watch", "rec_off")), {"rec_off"})
    assert [one.function for one in others] == ["rec_watch"]
    elsewhere = replace(doers, fields=(replace(doers.fields[0], value=Address(8)),))
    assert putters_leaving(elsewhere, ONE) == putters_leaving(ABSENT, ONE) == []


def test_whose_thread_has_ended() -> None:
    threads = Threads(starters=("rec_start",), returning=("rec_run",), leaving=("rec_suspend",))
    doers, task = replace(DOERS, threads=threads), replace(ONE, cache="task_struct")
    names = [one.function for one in left_threads(doers, task)]
    assert names == ["rec_run", "rec_suspend", "rec_start"]
    assert uncounted(doers, task, CAN)[0]
    assert left_threads(doers, ONE) == left_threads(ABSENT, task) == []


def test_who_gives_back_before_a_helper_does() -> None:
    doers = replace(DOERS, given_before=(GivenTwice("rec_free", "rec_cancel"),))
    assert [one.function for one in who_gives_back_before(doers)] == ["rec_cancel"]
    assert who_gives_back_before(ABSENT) == []
