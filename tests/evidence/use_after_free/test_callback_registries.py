"""The kernel's lists of what it calls modules back for."""

from __future__ import annotations

import pytest
from handmade_facts import flow_step, way

from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free.callback_registries import registry_met, registry_of

BASE = 0xFFFFFFFFC0400000


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
