"""Who registers notifiers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import data_flow, flow_step, module, modules, owner, way
from handmade_machine import Machine

from oopsight.evidence import Missing
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import registrants
from oopsight.evidence.use_after_free.callback_registries import registry_met, registry_of
from oopsight.evidence.use_after_free.registrants import Registrants, collect

BASE = 0xFFFFFFFFC0400000
POISON = 0x6B6B6B6B6B6B6B6B
DRIVER = module("chg", BASE, BASE + 0x1000, "O")
CODE = {
    "chg": (
        ModuleFunction(
            "chg_resume", BASE, frozenset({"power_supply_reg_notifier"}), frozenset(), False
        ),
        ModuleFunction(
            "chg_probe", BASE + 9, frozenset({"power_supply_reg_notifier", "kfree"}), frozenset(),
            False,
        ),
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "functions", lambda _, one: CODE.get(one.name, ()))
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def flow(name: str, kind: str = "poison") -> DataFlow:
    step = flow_step("loaded", "notifier_call_chain", POISON)
    return data_flow(way(step, name=name), bad=owner(POISON, kind), subject="target")


def test_who_registers_and_frees_comes_first() -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    found = collect(session, flow("struct notifier_block.notifier_call"), modules(DRIVER))
    assert isinstance(found, Registrants)
    (one,) = found.modules
    assert one.functions == ("chg_probe", "chg_resume")
    assert one.by == "power_supply_reg_notifier"


# call power_supply_reg_notifier; test eax,eax; jne 1f; test edi,edi; je 2f; 1: call kfree; 2: ret
FREES_AFTER = "e8fb1f0000 85c0 7504 85ff 7405 e8ee2f0000 c3"
# call power_supply_reg_notifier; test eax,eax; jne 1f; ret; 1: call kfree; ret
FREES_IF_NOT = "e8fb0f0000 85c0 7501 c3 e8f11f0000 c3"


def test_of_what_is_another_s_by_now_who_frees_what_it_has_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no type is known, the function that ran the chain tells what it is."""
    machine = Machine(FREES_AFTER, FREES_IF_NOT, "c3", "c3")
    machine.names = ["chg_probe", "chg_open", "power_supply_reg_notifier", "kfree"]
    calls = frozenset(machine.names[2:])
    code = [
        ModuleFunction(name, machine.start(number), calls, frozenset(), copies=False)
        for number, name in enumerate(machine.names[:2])
    ]
    monkeypatch.setitem(CODE, "chg", tuple(code))
    monkeypatch.setattr(registrants, "SessionReader", lambda _: machine)
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    step = flow_step("loaded", "notifier_call_chain", 0x706572206C6C6563)
    text = owner(0x706572206C6C6563, "non-canonical")
    made = data_flow(way(step, name=None), bad=text, subject="target")
    found = collect(session, made, modules(DRIVER))
    assert isinstance(found, Registrants)
    assert found.modules[0].functions == ("chg_probe",)
    # Who takes it back does so before it frees.
    taking = replace(code[0], calls=calls | {"power_supply_unreg_notifier"})
    monkeypatch.setitem(CODE, "chg", (taking, code[1]))
    session.prog.cache.clear()
    assert isinstance(collect(session, made, modules(DRIVER)), Missing)


@pytest.mark.parametrize(
    ("name", "kind", "loaded"),
    [
        ("struct timer_list.function", "poison", DRIVER),
        ("struct notifier_block.notifier_call", "null", DRIVER),
        ("struct notifier_block.notifier_call", "poison", module("chg", BASE, BASE + 0x1000)),
        ("struct notifier_block.notifier_call", "poison", module("other", BASE, BASE + 9, "O")),
    ],
)
def test_anything_else_has_none(name: str, kind: str, loaded: Any) -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    assert isinstance(collect(session, flow(name, kind), modules(loaded)), Missing)


@pytest.mark.parametrize(
    ("function", "name", "what"),
    [
        ("raw_notifier_call_chain", None, "an entry of a chain of notifiers"),
        ("inlined", "struct timer_list.function", "a timer"),
        ("cdev_put", None, "a character device"),
        ("module_put", "struct cdev.owner", "a character device"),
        ("__run_timers.part.0", None, "a timer"),
        ("__hrtimer_run_queues", None, "a timer of high resolution"),
        ("timerqueue_add", None, "a timer of high resolution"),
        ("process_one_work", None, "a work item"),
        ("assign_work", None, "a work item"),
        ("tasklet_action_common.constprop.0", None, "a tasklet"),
        ("rcu_do_batch", None, "a callback of RCU"),
        ("inlined", "struct packet_type.func", "a packet handler"),
        ("do_shrink_slab", None, "a shrinker"),
    ],
)
def test_the_kind_of_registry(function: str, name: str | None, what: str) -> None:
    found = registry_of(way(flow_step("loaded", function), function=function, name=name))
    assert found is not None
    assert found.what == what
    assert registry_of(way(flow_step("loaded", "strlen"), function="strlen")) is None


def test_an_entry_a_member_of_which_another_function_read() -> None:
    read = way(
        flow_step("loaded", "kobject_put"), function="kobject_put", name="struct kobject.name"
    )
    handed = way(flow_step("passed", "cdev_put"), flow_step("loaded", "__fput"), function="__fput")
    found = registry_met((read, handed))
    assert found is not None
    assert found.what == "a character device"
    assert registry_met((read, read)) is None


@pytest.mark.parametrize(
    "called",
    ["add_timer", "mod_timer", "del_timer_sync", "timer_delete_sync", "timer_shutdown"],
)
def test_who_has_timers(called: str) -> None:
    timers = registry_of(way(flow_step("loaded", "x"), name="struct timer_list.entry"))
    assert timers is not None
    assert timers.handles(ModuleFunction("chg_go", BASE, frozenset({called}), frozenset(), False))
