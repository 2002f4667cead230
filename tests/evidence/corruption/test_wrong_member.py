"""A callback that takes its member of an object for another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import wrong_member
from oopsight.evidence.corruption.wrong_member import WrongMember, collect
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

MODULE = 0xFFFFFFFFC0400000
RX, TX = MODULE + 0x100, MODULE + 0x200
AT = int(made.slab_object().address)
GIVEN = AT + 0x20
TEXT = 0x6C70752D306E6177
QUEUE = AT + 0x1000
TABLE = MODULE + 0x800
CODE = [
    ModuleFunction("dualq_tx_work", TX, frozenset(), frozenset(), copies=False),
    ModuleFunction("dualq_open", MODULE + 0x300, frozenset(), frozenset(), copies=False),
]
MODULES = made.modules(made.module("dualq", MODULE, MODULE + 0x1000, "O"))


def refers(offset: int, value: int) -> Reference:
    memory = BytesPointer(Address(AT + offset), value.to_bytes(8, "little").hex())
    return Reference(offset, Address(value), "by hand", "dualq", memory)


ONE = made.slab_object(size=0x80, refers=(refers(0x18, RX), refers(0x38, TX)))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    found.words(AT, 0, 0, 0, RX, 0, 0, 0, TX, QUEUE, 0, 0, 0, TEXT, 0, 0, 0)
    found.symbols = {RX: ("dualq_rx_work", 16), TX: ("dualq_tx_work", 16)}
    kinds = {QUEUE: "slab", TEXT: "non-canonical"}
    monkeypatch.setattr(
        wrong_member, "owner_of", lambda *a: made.owner(a[2], kinds.get(a[2], "unknown"))
    )
    monkeypatch.setattr(wrong_member, "neighbour", lambda *_: None)
    monkeypatch.setattr(wrong_member, "inner_functions", lambda *_: CODE)
    monkeypatch.setattr(wrong_member, "uses_of", lambda *_: {})
    monkeypatch.setattr(wrong_member, "tables_with", lambda *_: {TABLE})
    return found


def flow(one: Any = ONE, given: int = GIVEN, kind: str = "non-canonical") -> Any:
    memory = BytesPointer(Address(AT + 0x60), TEXT.to_bytes(8, "little").hex())
    read = made.flow_step("loaded", "dualq_tx_work", TEXT, "dualq", memory=memory)
    held = made.owner(AT + 0x60, "slab", slab=one, offset=0x60)
    passed = made.flow_step("passed", "process_one_work", given)
    lost = made.flow_step("lost", "worker_thread")
    return made.data_flow(
        made.way(read, held_in=held), made.way(passed, lost), bad=made.owner(TEXT, kind)
    )


def test_what_is_nonsense_from_its_own_is_right_from_the_other(machine: Machine) -> None:
    found = collect(machine.session, flow(), MODULES)
    assert isinstance(found, WrongMember)
    assert (found.function, found.other_function) == ("dualq_tx_work", "dualq_rx_work")
    assert (found.given, found.other, found.meant) == (GIVEN, AT, AT + 0x40)


@pytest.mark.parametrize(
    "given",
    [
        flow(replace(ONE, state="free")),
        flow(replace(ONE, refers=ONE.refers[1:])),  # the only one
        flow(given=AT + 0x40),  # behind the pointer that names it
        flow(kind="slab"),
    ],
)
def test_anything_else(machine: Machine, given: Any) -> None:
    assert isinstance(collect(machine.session, given, MODULES), Missing)


def test_no_pointer_is_there_either(machine: Machine) -> None:
    machine.words(AT, 0, 0, 0, RX, 0, 0, 0, TX, 0, 0, 0, 0, TEXT, 0, 0, 0)
    assert isinstance(collect(machine.session, flow(), MODULES), Missing)


def test_others_of_the_kind_have_a_pointer_there(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    like = replace(ONE, address=Address(AT + 0x80))
    monkeypatch.setattr(wrong_member, "neighbour", lambda *a: like if a[3] == 1 else None)
    words = [0, 0, 0, RX, 0, 0, 0, TX, QUEUE, 0, 0, 0, QUEUE, 0, 0, 0]
    machine.words(int(like.address), *words)
    assert isinstance(collect(machine.session, flow(), MODULES), Missing)
    words[12] = TEXT
    machine.words(int(like.address), *words)
    assert isinstance(collect(machine.session, flow(), MODULES), WrongMember)


ARGUMENT = Value("argument", 1)


def hands(name: str, *arguments: Value) -> FieldUse:
    return FieldUse((), (), counts=False, handed=(Handed(0, name, own=False, arguments=arguments),))


def inner(distance: int) -> Value:
    return Value("inner", distance, ARGUMENT)


def test_who_gives_a_place_within_the_object(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As far from the beginning as from the place lies a pointer.
    machine.words(AT, *[0] * 10, QUEUE, 0, TEXT, 0, 0, 0)
    asked = flow(replace(ONE, refers=()), given=AT + 0x10)
    assert isinstance(collect(machine.session, asked, MODULES), Missing)
    table = Value("number", TABLE)
    uses = {
        "dualq_probe": hands("debugfs_create_file", inner(0x10), table),
        "dualq_other": hands("debugfs_create_file", inner(0x18), table),
        "dualq_init": hands("mutex_init", inner(0x10), table),
        "dualq_bare": hands("debugfs_create_file", inner(0x10)),
    }
    monkeypatch.setattr(wrong_member, "uses_of", lambda *_: uses)
    found = collect(machine.session, asked, MODULES)
    assert isinstance(found, WrongMember)
    assert (found.givers, found.other, found.meant) == (("dualq_probe",), AT, AT + 0x50)
    # Where only one makes it known, it need not tell how far that is: the cursor of a list.
    uses.clear()
    uses["dualq_start"] = hands("kthread_create_on_node", Value("number", TX), ARGUMENT)
    found = collect(machine.session, asked, MODULES)
    assert isinstance(found, WrongMember)
    assert found.givers == ("dualq_start",)
    uses["dualq_other"] = uses["dualq_start"]
    assert isinstance(collect(machine.session, asked, MODULES), Missing)


def test_who_gives_the_member_of_another_kind_of_object(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback = Value("number", TX)
    uses = {
        "dualq_add": hands("timer_init_key", inner(0x40), callback),
        "dualq_add_unit": hands("timer_init_key", inner(0x28), callback),
        "dualq_start": hands("mod_timer", inner(0x28)),
    }
    monkeypatch.setattr(wrong_member, "uses_of", lambda *_: uses)
    # The object names it at 0x38, in the member at 0x28.
    asked = flow(replace(ONE, refers=ONE.refers[1:]), given=AT + 0x28)
    found = collect(machine.session, asked, MODULES)
    assert isinstance(found, WrongMember)
    assert (found.givers, found.given) == (("dualq_add_unit",), AT + 0x28)
    # All others do as that one does.
    uses["dualq_add"] = hands("timer_init_key", inner(0x28), callback)
    assert isinstance(collect(machine.session, asked, MODULES), Missing)
    # The code stores the pointer itself, as INIT_WORK() does.
    uses["dualq_add"] = FieldUse(
        (), (), counts=False, pointers=((0x58, callback),), written=((0x58, ARGUMENT),)
    )
    assert isinstance(collect(machine.session, asked, MODULES), WrongMember)
    # One that names it in both members of its objects has mistaken it in one.
    both = ((0x38, callback), (0x58, callback))
    uses = {
        "dualq_add": FieldUse(
            (), (), counts=False, pointers=both, written=((0x38, ARGUMENT), (0x58, ARGUMENT))
        )
    }
    monkeypatch.setattr(wrong_member, "uses_of", lambda *_: uses)
    found = collect(machine.session, asked, MODULES)
    assert isinstance(found, WrongMember)
    assert found.givers == ("dualq_add",)
