from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption.overrun_writers import WriterModule
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.memory import object_in_question, object_users
from oopsight.evidence.memory.object_users import ObjectUsers, collect
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import claims, embedding, reused
from oopsight.evidence.use_after_free.anothers import Anothers
from oopsight.evidence.use_after_free.embedding import Embedder

ONE = made.slab_object()
VICTIM, OTHER = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000
TEXT = 0x6C2F7261762F2066
MODULES = made.modules(
    made.module("cam", VICTIM, VICTIM + 0x18, "O"),
    made.module("log", OTHER, OTHER + 0x18, "O"),
    made.module("kernelpart", OTHER + 0x1000, OTHER + 0x1018),
)


def code(start: int, **calls: str) -> list[ModuleFunction]:
    return [
        ModuleFunction(name, start + at, frozenset([called]), frozenset([start + 8]), copies=False)
        for at, (name, called) in enumerate(calls.items())
    ]


CODE = {
    "cam": code(VICTIM, cam_init="kfree", cam_close="kfree", cam_poll="poll_wait"),
    "log": code(OTHER, log_line="strcpy", log_safe="strscpy", log_drop="__kmem_cache_free"),
}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.words(VICTIM, 1, int(ONE.address), 0)
    found.words(OTHER, 1, 2, 0)
    found.words(OTHER + 0x1000, int(ONE.address), 0, 0)
    found.symbols = {VICTIM + 8: ("cam_session", 8), OTHER + 8: ("log_buffer", 8)}
    monkeypatch.setattr(module_roles, "functions", lambda _, module: CODE[module.name])
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: {VICTIM})
    monkeypatch.setattr(object_in_question, "overrun_of", lambda *_: None)
    monkeypatch.setattr(object_in_question, "among_others", lambda *_: None)
    monkeypatch.setattr(claims, "owner_of", lambda *_: made.owner(0, "unknown"))
    monkeypatch.setattr(object_users, "used_writers", lambda *_: [])
    return found


def flow(slab: Any, **changes: Any) -> Any:
    step = made.flow_step("loaded", "cam_poll", TEXT, "cam", agrees=True)
    held = made.owner(int(ONE.address) + 8, "slab", slab=slab)
    return made.data_flow(
        made.way(step, held_in=held), bad=made.owner(TEXT, "non-canonical"), **changes
    )


def users(machine: Machine, flow: Any) -> ObjectUsers:
    found = collect(machine.session, MODULES, flow, *[made.ABSENT] * 5)
    assert isinstance(found, ObjectUsers)
    return found


def test_of_a_freed_object_the_module_that_holds_it_is_found(machine: Machine) -> None:
    found = users(machine, flow(made.slab_object("free")))
    assert (found.question, found.role) == ("freed", "the bad pointer was read from it")
    (use,) = found.modules
    assert use.module == "cam"
    assert "cam_session" in use.why
    # The init function frees as well, but has long ended.
    assert use.frees == ("cam_close",)


def test_where_a_good_argument_was_kept_is_no_matter(machine: Machine) -> None:
    freed = flow(made.slab_object("free"), subject="argument")
    assert users(machine, freed).question == "freed"
    good = replace(freed, bad=made.owner(0xFFFF888000090000, "slab", slab=made.slab_object()))
    assert isinstance(
        collect(machine.session, MODULES, good, *[made.ABSENT] * 5),
        Missing,
    )


def test_what_held_a_good_pointer_may_be_freed(machine: Machine) -> None:
    first = flow(made.slab_object("free")).first
    held = made.owner(0xFFFF888000090000, "slab", slab=made.slab_object("allocated"))
    inner = replace(first, held_in=held)
    good = replace(flow(ONE), ways=(inner, first))
    assert isinstance(
        collect(machine.session, MODULES, good, *[made.ABSENT] * 5),
        Missing,
    )
    nowhere = replace(inner, held_in=made.owner(0xFFFF888000090000, "free-page"))
    found = users(machine, replace(good, ways=(nowhere, first)))
    assert found.role == "the pointer to it was read from it"


def test_an_allocated_object_of_one_owner_is_nobodys_mistake(machine: Machine) -> None:
    found = collect(machine.session, MODULES, flow(ONE), *[made.ABSENT] * 5)
    assert isinstance(found, Missing)


def test_an_object_that_two_modules_hold_was_freed_and_given_away(machine: Machine) -> None:
    machine.words(OTHER, 1, int(ONE.address), 0)
    found = users(machine, flow(ONE))
    assert found.question == "reused"
    assert "log has it for its own" in found.role
    assert [use.module for use in found.modules] == ["cam", "log"]


def test_a_text_from_the_first_byte_on_is_anothers(machine: Machine) -> None:
    machine.memory[int(ONE.address)] = b"topic/sensors/hall-3/temperature" + bytes(32)
    found = users(machine, flow(ONE))
    assert found.question == "refilled"
    assert "topic/sensors" in found.role
    machine.memory[int(ONE.address)] = b"\0opic/sensors/hall-3/temperature" + bytes(32)
    found_ = collect(machine.session, MODULES, flow(ONE), *[made.ABSENT] * 5)
    assert isinstance(found_, Missing)


@pytest.mark.parametrize(
    ("text", "refilled"),
    [
        # A short one, from the pointer on, which is the first word; a long one with a word other.
        (b"hall-3/temperature" + bytes(46), True),
        (b"hall-3/t" + bytes(8) + b"emperature of the northern wing, in degrees cel.", True),
        (b"hall-3/t" + bytes(56), False),
    ],
)
def test_the_entry_of_a_registry_that_a_text_fills(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, text: bytes, refilled: bool
) -> None:
    monkeypatch.setitem(
        CODE, "cam", code(VICTIM, cam_start="mod_timer", cam_stop="del_timer", cam_drop="kfree")
    )
    monkeypatch.setattr(embedding, "allocating", lambda *_: ((), False))
    machine.words(VICTIM, 1, 2, 0)
    machine.memory[int(ONE.address)] = text
    step = made.flow_step("loaded", "__run_timers", int.from_bytes(text[:8], "little"))
    held = made.owner(int(ONE.address), "slab", slab=ONE)
    walk = made.data_flow(
        made.way(step, held_in=held), bad=made.owner(int(step.value or 0), "non-canonical")
    )
    answer = collect(machine.session, MODULES, walk, *[made.ABSENT] * 5)
    assert isinstance(answer, ObjectUsers) == refilled
    if isinstance(answer, ObjectUsers):
        # Of the modules that free memory, the one that has timers.
        assert [use.module for use in answer.modules] == ["cam"]
        assert answer.modules[0].frees == ("cam_drop",)
        assert answer.modules[0].guessed


@pytest.mark.parametrize("byte", [0x77, 0xEE, 0x5A])
def test_one_byte_from_the_first_on_is_anothers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, byte: int
) -> None:
    bad = made.owner(int.from_bytes(bytes([byte] * 8), "little"), "non-canonical")
    held = made.owner(int(ONE.address) + 0x38, "slab", slab=ONE)
    walk = replace(flow(ONE), bad=bad)
    walk = replace(walk, ways=(replace(walk.first, held_in=held),))
    # Of one word in four it does not matter: whoever still had the object wrote there.
    filled = bytearray([byte] * 64)
    filled[0x20:0x28] = bytes.fromhex("0000 3412 8088 ffff")
    machine.memory[int(ONE.address)] = bytes(filled)
    monkeypatch.setattr(reused, "_poisons", lambda *_: False)
    found = users(machine, walk)
    assert (found.question, found.object) == ("refilled", ONE)
    assert f"the byte {byte:#x} fills it" in found.role
    monkeypatch.setattr(reused, "_poisons", lambda *_: True)
    answer = collect(machine.session, MODULES, walk, *[made.ABSENT] * 5)
    # The allocator's own pattern where it writes any: memory that was never set up.
    assert isinstance(answer, Missing) == (byte == 0x5A)
    filled[0:8] = bytes(8)
    machine.memory[int(ONE.address)] = bytes(filled)
    assert isinstance(
        collect(machine.session, MODULES, walk, *[made.ABSENT] * 5),
        Missing,
    )


def test_a_list_entry_that_does_not_lead_back_is_anothers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list leads from an object of the module's to memory that the kernel has got since."""
    monkeypatch.setattr(object_in_question, "head_overrun", lambda *_: None)
    before = made.slab_object(address=Address(ONE.address - 4 * ONE.stride))
    node, stale = int(before.address) + 48, int(ONE.address) + 48
    machine.words(VICTIM, 1, int(before.address), 0)
    head = int(before.address) - 0x1000
    machine.words(head, node, stale)
    machine.words(node, stale, head)
    machine.words(stale, 0xFFFFFFFF, 0)
    inner = made.way(
        made.flow_step("loaded", "misc_open", 0xFFFFFFFF),
        held_in=made.owner(stale, "slab", slab=ONE, offset=48),
    )
    outer = made.way(
        made.flow_step("loaded", "misc_open", stale),
        held_in=made.owner(node, "slab", slab=before, offset=48),
    )
    walk = made.data_flow(inner, outer, bad=made.owner(0xFFFFFFE7, "user"))
    found = users(machine, walk)
    assert (found.question, found.object) == ("refilled", ONE)
    assert found.modules[0].frees == ("cam_close",)
    # Nor is it one where it leads back, or where what leads to it is on no list itself.
    for back, previous in ((node, head), (0, 3), (0, int(before.address))):
        machine.words(stale, 0xFFFFFFFF, back)
        machine.words(node, stale, previous)
        answer = collect(machine.session, MODULES, walk, *[made.ABSENT] * 5)
        assert isinstance(answer, Missing)


def test_modules_of_the_kernel_itself_hold_what_they_like(machine: Machine) -> None:
    found = users(machine, flow(made.slab_object("free")))
    assert "kernelpart" not in [use.module for use in found.modules]


def test_of_an_object_written_over_those_who_copy_without_a_limit_come_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.slab_object(address=Address(ONE.address - ONE.stride))
    ran = replace(made.overrun(), before=before)
    machine.words(OTHER, 1, int(ran.before.address), 0)
    machine.words(VICTIM, 1, 2, 3)
    monkeypatch.setattr(object_in_question, "overrun_of", lambda *_: ran)
    step = made.flow_step("loaded", "cam_poll", TEXT, "cam", agrees=True, memory=ran.memory)
    held = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    found = users(
        machine,
        made.data_flow(made.way(step, held_in=held), bad=made.owner(TEXT, "non-canonical")),
    )
    assert (found.question, found.overrun) == ("overrun", ran)
    (use,) = found.modules
    assert (use.module, use.writes) == ("log", ("log_line", "log_safe"))


def test_whoever_refers_to_what_was_copied_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = BytesPointer(Address(OTHER + 0x110), "00" * 16)
    machine.symbols[OTHER + 0x100] = ("log_defaults", 0x80)
    before = made.slab_object(address=Address(ONE.address - ONE.stride))
    ran = replace(made.overrun(), before=before, source=source)
    known = frozenset([OTHER + 0x100])
    code_ = [*CODE["log"], replace(CODE["log"][0], name="log_reset", refers=known)]
    machine.words(OTHER, 1, int(before.address), 0)
    monkeypatch.setattr(module_roles, "functions", lambda *_: code_)
    monkeypatch.setattr(object_in_question, "overrun_of", lambda *_: ran)
    memory = BytesPointer(Address(int(ONE.address) + 8), "00" * 8)
    step = made.flow_step("loaded", "cam_poll", TEXT, "cam", agrees=True, memory=memory)
    held = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    found = users(
        machine,
        made.data_flow(made.way(step, held_in=held), bad=made.owner(TEXT, "non-canonical")),
    )
    assert found.modules[0].copies_it == ("log_reset",)


def test_a_list_pointer_that_was_run_over_is_looked_at(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def overrun_of(_session: Any, _modules: Any, _one: Any, field: int) -> Any:
        asked.append(field)
        return made.overrun()

    monkeypatch.setattr(object_in_question, "overrun_of", overrun_of)
    text = (
        f"list_del corruption. next->prev should be ffff888000090000, but was {TEXT:x}. "
        f"(next={int(ONE.address):x})"
    )
    report = made.list_report(text)
    slab = made.owner(int(ONE.address), "slab", slab=ONE)
    entries = tuple(replace(e, owner=slab) if e.role == "next" else e for e in report.entries)
    listed = replace(report, entries=entries)
    found = collect(machine.session, MODULES, made.ABSENT, listed, *[made.ABSENT] * 4)
    assert isinstance(found, ObjectUsers)
    assert found.question == "overrun"
    assert asked == [int(ONE.address) + 8]


def test_an_entry_that_was_run_over_is_found_where_its_trace_is_lost(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    asked: list[Any] = []

    def holder(_session: Any, _modules: Any, names: Any, value: int) -> Any:
        asked.append((names, value))
        return entry

    monkeypatch.setattr(object_in_question, "list_holder", holder)
    monkeypatch.setattr(object_in_question, "overrun_of", lambda *_: made.overrun())
    lost = made.data_flow(
        made.way(made.flow_step("returned", "seq_read_iter", TEXT)),
        bad=made.owner(TEXT, "non-canonical"),
    )
    path = replace(made.backtrace(), frames=(made.frame(0, "cam_show", Role.FAULT, "cam"),))
    found = collect(
        machine.session, MODULES, lost, made.ABSENT, path, made.ABSENT, made.ABSENT, made.ABSENT
    )
    assert isinstance(found, ObjectUsers)
    assert found.question == "overrun"
    assert asked == [(["cam"], TEXT)]
    # Its module writes nowhere at length: before it comes one that it uses, and that does.
    able = WriterModule("log", "its objects lead to it", ("log_put",), None)
    monkeypatch.setattr(object_users, "used_writers", lambda *_: [able])
    again = collect(
        machine.session, MODULES, lost, made.ABSENT, path, made.ABSENT, made.ABSENT, made.ABSENT
    )
    assert isinstance(again, ObjectUsers)
    assert again.modules[0].writes == ("log_put",)
    assert again.modules[0].guessed
    assert again.modules[1:] == found.modules


def test_a_variable_that_was_to_be_freed_was_good_whatever_held_it(machine: Machine) -> None:
    held = flow(made.slab_object("free"), subject="freed")
    assert users(machine, held).question == "freed"
    variable = replace(held, bad=made.owner(VICTIM, "module"))
    assert isinstance(
        collect(machine.session, MODULES, variable, *[made.ABSENT] * 5),
        Missing,
    )


def test_a_workqueue_is_freed_by_who_destroys_such(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_in_question, "is_dead", lambda _s, called, _: called == "queue_it")
    functions = code(VICTIM, cam_init="x", cam_stop="destroy_workqueue", cam_close="kfree")
    monkeypatch.setitem(CODE, "cam", functions)
    bad = made.owner(int(ONE.address), "slab", slab=ONE)
    handed = replace(flow(ONE), subject="argument", checker="queue_it", bad=bad)
    found = users(machine, handed)
    assert found.question == "freed"
    assert "destroyed" in found.role
    assert found.modules[0].frees == ("cam_stop",)


def test_whoever_the_allocator_recorded_is_bound_most_closely(machine: Machine) -> None:
    one = made.slab_object("free", tracks=(made.track("freed", "log_drop", "log"),))
    found = users(machine, flow(one))
    assert [use.module for use in found.modules] == ["log", "cam"]
    assert found.modules[0].frees == ("log_drop",)


def test_an_object_on_a_list_counts_as_in_use(machine: Machine) -> None:
    report = made.list_report("list_add corruption. prev->next should be next")
    found = collect(machine.session, MODULES, made.ABSENT, report, *[made.ABSENT] * 4)
    assert isinstance(found, Missing)


def test_a_variable_that_holds_it_is_found_in_what_can_be_read(machine: Machine) -> None:
    del machine.memory[VICTIM]
    held = list(module_roles.holding_variables(machine.session, MODULES, int(ONE.address), ONE.end))
    assert held == []


def test_memory_that_was_allocated_again_while_a_list_led_to_it(machine: Machine) -> None:
    """Another entry of the same object, initialised since: it leads to itself."""
    at = int(ONE.address) + 16
    text = (
        f"list_add corruption. next->prev should be prev (ffffffffc0509000), but was {at:x}. "
        f"(next={at:x})."
    )
    report = made.list_report(text)
    slab = made.owner(at, "slab", slab=ONE)
    entries = tuple(replace(e, owner=slab) if e.role != "should" else e for e in report.entries)
    report = replace(report, entries=entries)
    step = made.flow_step("returned", "cam_new", int(ONE.address), "cam")
    fresh = made.way(step, returned_by="__kmalloc_cache_noprof", value=Address(int(ONE.address)))
    added = made.data_flow(fresh, subject="argument", bad=slab)
    found = collect(machine.session, MODULES, added, report, *[made.ABSENT] * 4)
    assert isinstance(found, ObjectUsers)
    assert found.question == "listed"
    got = made.way(step, returned_by="cam_lookup", value=Address(int(ONE.address)))
    known = replace(added, ways=(got,))
    assert isinstance(
        collect(machine.session, MODULES, known, report, *[made.ABSENT] * 4),
        Missing,
    )


def on_path(machine: Machine, makes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A freed object that no variable holds, and that ``cam_poll`` came upon."""
    machine.words(VICTIM, 1, 2, 0)
    monkeypatch.setattr(object_users, "_makes", lambda _s, _m, module, _o: makes[module.name])
    return users(machine, flow(made.slab_object("free"))).modules


def test_whoever_makes_such_objects_is_found_where_its_user_makes_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = (Allocator("log_new", "log_new+0x8"),)
    user, other = on_path(machine, {"cam": (), "log": maker}, monkeypatch)
    assert (user.module, user.allocates) == ("cam", False)
    assert (other.module, other.allocates, other.frees) == ("log", True, ("log_drop",))
    assert "log_new" in other.why


def test_no_other_maker_is_looked_for_where_the_user_may_make_them_itself(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = (Allocator("log_new", "log_new+0x8"),)
    (user,) = on_path(machine, {"cam": None, "log": maker}, monkeypatch)
    assert (user.module, user.allocates) == ("cam", None)
    (user,) = on_path(machine, {"cam": maker, "log": maker}, monkeypatch)
    assert user.allocates


def test_where_its_user_frees_nothing_others_that_do_are_suspects(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the maker's init function allocated: its code has gone."""
    idle = {**CODE, "cam": code(VICTIM, cam_poll="poll_wait")}
    monkeypatch.setattr(module_roles, "functions", lambda _, module: idle[module.name])
    user, other = on_path(machine, {"cam": (), "log": ()}, monkeypatch)
    assert (user.module, user.frees) == ("cam", ())
    assert (other.module, other.guessed, other.frees) == ("log", True, ("log_drop",))


def test_what_gives_back_what_the_kernel_lent(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = code(VICTIM, cam_init="kfree", cam_off="uio_unregister_device", cam_poll="poll_wait")
    monkeypatch.setattr(module_roles, "functions", lambda *_: gone)
    memory = BytesPointer(Address(OTHER + 8), "00" * 8)
    lent = Anothers("by hand", ONE, "log", (("cam", "had it", memory),), lent=True)
    monkeypatch.setattr(object_in_question, "anothers", lambda *_: lent)
    found = users(machine, flow(ONE))
    assert (found.question, found.has_it) == ("refilled", "log")
    (use,) = found.modules
    assert (use.module, use.frees, use.lent) == ("cam", ("cam_off",), True)


@pytest.mark.parametrize(
    ("within", "owner", "question"),
    [(True, None, "refilled"), (False, "log", "refilled"), (False, "cam", "overrun")],
)
def test_what_its_owner_has_there_did_not_run_over_it(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    within: bool,
    owner: str | None,
    question: str,
) -> None:
    memory = BytesPointer(Address(OTHER + 8), "00" * 8)
    foreign = Anothers("by hand", ONE, "log", (("cam", "had it", memory),))
    ran = replace(made.overrun(), within=within)
    monkeypatch.setattr(object_in_question, "anothers", lambda *_: foreign)
    monkeypatch.setattr(object_in_question, "owner_of_object", lambda *_: owner)
    monkeypatch.setattr(object_in_question, "overrun_of", lambda *_: ran)
    step = made.flow_step("loaded", "cam_poll", TEXT, "cam", agrees=True, memory=memory)
    held = made.owner(int(ONE.address) + 8, "slab", slab=ONE)
    met = made.data_flow(made.way(step, held_in=held), bad=made.owner(TEXT, "non-canonical"))
    assert users(machine, met).question == question


def test_what_a_text_stands_in_names_whose_it_is_and_not_whose_it_was(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.memory[int(ONE.address)] = b"topic/sensors/hall-3/temperature" + bytes(32)
    machine.words(VICTIM, 1, 2, 0)
    head = BytesPointer(Address(int(ONE.address) + 0x30), "00" * 8)
    one = replace(ONE, refers=(Reference(0x30, Address(OTHER + 8), "log_lines", "log", head),))
    embedder = Embedder("cam", "by hand", ("cam_close",), makes=True)
    monkeypatch.setattr(object_users, "embedders", lambda *_: [embedder])
    step = made.flow_step("loaded", "__wake_up_common", TEXT, agrees=True)
    held = made.owner(int(ONE.address) + 8, "slab", slab=one)
    walk = made.data_flow(made.way(step, held_in=held), bad=made.owner(TEXT, "non-canonical"))
    found = users(machine, walk)
    assert (found.question, found.has_it) == ("refilled", "log")
    assert [use.module for use in found.modules] == ["cam", "log"]
