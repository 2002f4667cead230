"""An object that is on another module's list by now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import anothers as this
from oopsight.evidence.use_after_free import claims
from oopsight.evidence.use_after_free.anothers import anothers, has_it_now

ONE = made.slab_object()
AT = int(ONE.address)
BOOK, JOBS, THIRD = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000, 0xFFFFFFFFC0600000
HEAD, OTHER = JOBS + 0x100, AT + 0x1000
MODULES = made.modules(
    made.module("book", BOOK, BOOK + 0x1000, "O"),
    made.module("jobs", JOBS, JOBS + 0x1000, "O"),
    made.module("third", THIRD, THIRD + 0x1000, "O"),
)
ENTRY = "struct notifier_block.notifier_call"
Code = dict[str, list[ModuleFunction]]


def function(name: str, *calls: str, refers: int = 0) -> ModuleFunction:
    return ModuleFunction(name, BOOK, frozenset(calls), frozenset([refers]), copies=False)


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Code:
    found: Code = {
        "book": [function("book_add", "kfree", "exit"), function("exit")],
        "jobs": [function("jobs_add"), function("exit")],
        "third": [function("third_new"), function("exit")],
    }
    monkeypatch.setattr(this, "functions", lambda _, module: found[module.name])
    monkeypatch.setattr(this, "SessionReader", lambda _: None)
    makes = ((Allocator("new", ""),), True)
    monkeypatch.setattr(this, "allocating", lambda *_: makes)
    monkeypatch.setattr(this, "needs", lambda *_: set())
    return found


@pytest.fixture
def machine() -> Machine:
    """HEAD <-> OTHER + 0x10 <-> ONE + 0x10, and nothing but zeros beside."""
    found = Machine()
    first, second = OTHER + 0x10, AT + 0x10
    found.words(AT, 0, 0, HEAD, first, *([0] * (ONE.size // 8 - 4)))
    found.words(OTHER, 0, 0, second, HEAD)
    found.words(HEAD, first, second)
    found.symbols = {HEAD: ("jobs_list", 16)}
    return found


def flow(module: str | None = "book", name: str | None = None, value: int = 0) -> Any:
    step = made.flow_step("loaded", "raw_notifier_call_chain" if name else "book_read", value)
    held = made.owner(AT + 8, "slab", slab=ONE, offset=8)
    way = made.way(step, held_in=held, module=module, name=name, function=step.function)
    subject = "target" if name else "operand"
    return made.data_flow(way, bad=made.owner(value, "null"), subject=subject)


def test_a_module_reads_what_is_on_the_list_of_another(machine: Machine, code: Code) -> None:
    found = anothers(machine.session, MODULES, flow())
    assert found is not None
    assert "on the list jobs_list of jobs" in found.role
    ((name, _, memory),) = found.former
    assert (name, memory.address) == ("book", HEAD)
    assert anothers(machine.session, MODULES, flow("jobs")) is None


def test_a_list_that_does_not_hold_together_says_nothing(machine: Machine, code: Code) -> None:
    machine.words(HEAD, AT + 0x18, AT + 0x10)
    assert anothers(machine.session, MODULES, flow()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"book": [function("book_add", "jobs_add")]},
        {"jobs": [function("jobs_add", refers=BOOK + 0x10)]},
        {"book": [function("a", "third_new")], "jobs": [function("b", "third_new")]},
    ],
)
def test_modules_that_know_each_other_share_objects(
    machine: Machine, code: Code, change: Code
) -> None:
    code.update(change)
    assert anothers(machine.session, MODULES, flow()) is None


def test_what_makes_no_such_objects_was_handed_it(
    machine: Machine, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(this, "allocating", lambda *_: ((), True))
    assert anothers(machine.session, MODULES, flow()) is None


def test_who_registers_what_the_kernel_met(machine: Machine, code: Code) -> None:
    code["book"].append(function("book_start", "register_netdevice_notifier"))
    found = anothers(machine.session, MODULES, flow(None, ENTRY))
    assert found is not None
    assert [name for name, *_ in found.former] == ["book"]
    # It may be the owner's own entry, as its taking it back tells.
    code["jobs"].append(function("jobs_exit", "unregister_netdevice_notifier"))
    assert anothers(machine.session, MODULES, flow(None, ENTRY)) is None


def test_the_kernel_at_other_work(machine: Machine, code: Code) -> None:
    assert anothers(machine.session, MODULES, flow(None, ENTRY)) is None  # nobody registers any
    assert anothers(machine.session, MODULES, flow(None)) is None


def held(machine: Machine) -> None:
    """Off the list, and in a variable of jobs."""
    machine.words(AT, *([0] * (ONE.size // 8)))
    machine.words(JOBS, *([0] * 4), AT, *([0] * 4))
    machine.words(BOOK, *([0] * 8))
    machine.words(THIRD, *([0] * 8))


HELD = made.modules(
    made.module("book", BOOK, BOOK + 0x40, "O"),
    made.module("jobs", JOBS, JOBS + 0x40, "O"),
    made.module("third", THIRD, THIRD + 0x40, "O"),
)
NONSENSE = 0x7777777777777777


def bad(**changes: Any) -> Any:
    """The kernel reads nonsense from it, to which a pointer in an object of book leads."""
    memory = BytesPointer(Address(OTHER + 8), "00" * 8)
    refers = Reference(8, Address(BOOK), "book_ops", "book", memory)
    kept = made.slab_object(address=Address(OTHER), cache_address=Address(1), refers=(refers,))
    value = changes.get("value", AT)
    read = made.flow_step("loaded", "wake_up", NONSENSE)
    led = made.flow_step("loaded", "notify", value)
    ways = (
        made.way(read, held_in=made.owner(AT + 8, "slab", slab=ONE, offset=8), function="wake_up"),
        made.way(
            led,
            value=value,
            held_in=made.owner(OTHER, "slab", slab=kept, offset=0),
            function="notify",
        ),
    )
    kind = changes.get("kind", "non-canonical")
    return made.data_flow(*ways, bad=made.owner(NONSENSE, kind), subject="operand")


def test_another_module_has_its_address(machine: Machine, code: Code) -> None:
    held(machine)
    found = anothers(machine.session, HELD, flow())
    assert found is not None
    assert (found.owner, found.lent, [name for name, *_ in found.former]) == (
        "jobs",
        False,
        ["book"],
    )
    assert found.role.endswith("jobs does not know book")


def test_modules_of_one_subsystem_share_objects(
    machine: Machine, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(machine)
    needs = {"book": {"uio"}, "jobs": {"uio", "i2c"}}
    monkeypatch.setattr(this, "needs", lambda _, name: needs[name])
    assert anothers(machine.session, HELD, flow()) is None


@pytest.fixture
def jobs_alone(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those in the code, only jobs makes such objects."""
    assert "jobs" in code
    own = {"jobs": ((Allocator("jobs_new", ""),), True)}
    monkeypatch.setattr(this, "allocating", lambda _s, _m, one, *_: own.get(one.name, ((), True)))


@pytest.mark.usefixtures("jobs_alone")
def test_what_a_module_had_from_the_kernel(machine: Machine, code: Code) -> None:
    held(machine)
    found = anothers(machine.session, HELD, bad())
    assert found is not None
    assert (found.owner, found.lent, [name for name, *_ in found.former]) == (
        "jobs",
        True,
        ["book"],
    )


@pytest.mark.usefixtures("jobs_alone")
def test_what_a_module_hands_back_to_the_kernel(machine: Machine, code: Code) -> None:
    held(machine)
    met = flow(None)
    led = made.way(made.flow_step("loaded", "book_read", AT, "book"), value=AT)
    handed = made.data_flow(met.first, led, bad=made.owner(NONSENSE, "non-canonical"))
    found = anothers(machine.session, HELD, handed)
    assert found is not None
    assert (found.lent, [name for name, *_ in found.former]) == (True, ["book"])
    # What book itself reads it has made, or was given by whoever did.
    read = made.data_flow(flow().first, led, bad=made.owner(NONSENSE, "non-canonical"))
    assert anothers(machine.session, HELD, read) is None


@pytest.mark.usefixtures("jobs_alone")
@pytest.mark.parametrize(("begin", "field", "gone"), [(0, 0x30, True), (0x20, 0x30, False)])
def test_zeros_where_the_kernel_takes_it_for_one_of_its_own(
    machine: Machine, code: Code, begin: int, field: int, gone: bool
) -> None:
    """An entry of jobs lies between where the pointer led that book handed over, and what was read.

    Not so where jobs has it beside what the kernel was handed.
    """
    held = made.owner(AT + field, "slab", slab=ONE, offset=field)
    step = made.flow_step("loaded", "tty_wakeup", 0)
    read = made.way(step, held_in=held, value=0, function="tty_wakeup")
    led = made.way(
        made.flow_step("loaded", "book_tick", AT + begin, "book"), value=AT + begin, module="book"
    )
    met = made.data_flow(read, led, bad=made.owner(0, "null"))
    found = anothers(machine.session, MODULES, met)
    assert (found is not None and found.lent) is gone


@pytest.mark.usefixtures("jobs_alone")
def test_who_keeps_it_and_is_on_the_crash_path(machine: Machine, code: Code) -> None:
    held(machine)
    machine.words(BOOK, 0, AT, *([0] * 6))
    met = made.data_flow(flow(None).first, bad=made.owner(NONSENSE, "non-canonical"))
    assert anothers(machine.session, HELD, met) is None
    assert anothers(machine.session, HELD, met, ["third"]) is None
    found = anothers(machine.session, HELD, met, ["third", "book"])
    assert found is not None
    assert (found.owner, [name for name, *_ in found.former]) == ("jobs", ["book"])


@pytest.mark.parametrize("change", [{"kind": "null"}, {"value": AT + 8}])
def test_the_kernel_may_go_through_what_is_its_owners(
    machine: Machine, code: Code, change: dict[str, Any]
) -> None:
    held(machine)
    assert anothers(machine.session, HELD, bad(**change)) is None


def test_an_index_that_leads_out_of_ones_own(machine: Machine, code: Code) -> None:
    held(machine)
    led = made.way(made.flow_step("loaded", "book_read", OTHER), value=OTHER, module="book")
    met = flow()
    assert anothers(machine.session, HELD, made.data_flow(met.first, led, bad=met.bad)) is None


def test_a_pointer_of_anothers_leads_anywhere(machine: Machine, code: Code) -> None:
    held(machine)
    kept = made.owner(AT + 8, "slab", slab=ONE, offset=8)
    ways = (
        made.way(made.flow_step("loaded", "book_call", 0), module="book", function="book_call"),
        made.way(
            made.flow_step("loaded", "book_call", OTHER), held_in=kept, value=OTHER, module="book"
        ),
    )
    met = made.data_flow(*ways, bad=made.owner(0, "null"), subject="target")
    found = anothers(machine.session, HELD, met)
    assert found is not None
    assert found.owner == "jobs"


def test_text_in_a_member_of_what_another_module_has(machine: Machine, code: Code) -> None:
    held(machine)
    assert has_it_now(machine.session, HELD, flow(), ONE) == "jobs"
    assert has_it_now(machine.session, HELD, flow("jobs"), ONE) is None
    assert has_it_now(machine.session, HELD, flow(None), ONE) is None
    assert has_it_now(machine.session, HELD, flow(None, ENTRY), ONE) is None  # nobody has any
    machine.cache.clear()
    code["third"].append(function("third_go", "register_netdevice_notifier"))
    assert has_it_now(machine.session, HELD, flow(None, ENTRY), ONE) == "jobs"
    # It may be an entry of its own that it has freed.
    machine.cache.clear()
    code["jobs"].append(function("jobs_exit", "unregister_netdevice_notifier"))
    assert has_it_now(machine.session, HELD, flow(None, ENTRY), ONE) is None
    machine.cache.clear()
    code["book"] = [function("book_add", "jobs_add")]
    assert has_it_now(machine.session, HELD, flow(), ONE) is None


def test_who_registers_may_still_have_its_address(machine: Machine, code: Code) -> None:
    held(machine)
    machine.words(BOOK, 0, AT, *([0] * 6))
    code["book"].append(function("book_start", "register_netdevice_notifier"))
    found = anothers(machine.session, HELD, flow(None, ENTRY))
    assert found is not None
    assert (found.owner, [name for name, *_ in found.former]) == ("jobs", ["book"])


def test_what_names_a_function_still_of_who_registered_it(
    machine: Machine, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(machine)
    code["book"].append(function("book_start", "register_netdevice_notifier"))
    call = Reference(
        0x20, Address(BOOK), "book_call", "book", BytesPointer(Address(AT + 0x20), "00" * 8)
    )
    named = made.slab_object(refers=(call,))
    met = flow(None, ENTRY)
    way = replace(met.first, held_in=made.owner(AT + 8, "slab", slab=named, offset=8))
    met = made.data_flow(way, bad=met.bad, subject="target")
    monkeypatch.setattr(
        claims, "SessionReader", lambda _: SimpleNamespace(code_symbol=lambda at: ("f", at, 16))
    )
    found = anothers(machine.session, HELD, met)
    assert found is not None
    assert (found.owner, [name for name, *_ in found.former]) == ("jobs", ["book"])
    # Who makes no such objects may have been lent it.
    makes = {"book": ((Allocator("new", ""),), True)}
    monkeypatch.setattr(this, "allocating", lambda _s, _m, one, *_: makes.get(one.name, ((), True)))
    assert anothers(machine.session, HELD, met) is None
