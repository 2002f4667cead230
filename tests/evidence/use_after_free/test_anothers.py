"""An object that is on another module's list by now."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import anothers as this
from oopsight.evidence.use_after_free.anothers import anothers

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
