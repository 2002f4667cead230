"""The kernel's lists of what it calls modules back for: how each is known in code and on a stack.

Where such lists are, and what hangs there, is told by :mod:`oopsight.evidence.registries`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from oopsight.cheap import dataclass
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.plumbing import base_name

REGISTERS_NOTIFIER = re.compile(
    r"(?:\w+_)?reg(?:ister)?_(?:\w+_)?(?:notifier|nb)\w*|\w*notifier\w*_register\w*"
)
"""Functions by which a notifier is put on a chain."""


@dataclass(frozen=True)
class Registry:
    """A kind of the kernel's lists of what it calls modules back for."""

    what: str
    """One entry, in words."""
    entry: str
    """What the names of its fields begin with, where types are known."""
    runs: tuple[str, ...]
    """Ends of the names of the functions that call what is registered."""
    handled_by: re.Pattern[str]
    """Functions by which a module puts an entry there or takes it back."""

    def handles(self, function: ModuleFunction) -> bool:
        """Whether a function puts entries there or takes them back."""
        return any(self.handled_by.fullmatch(name) for name in function.outside)


NOTIFIERS = Registry(
    "an entry of a chain of notifiers",
    "struct notifier_block.",
    ("notifier_call_chain",),
    re.compile(
        rf"{REGISTERS_NOTIFIER.pattern}|(?:\w+_)?unreg(?:ister)?_(?:\w+_)?(?:notifier|nb)\w*"
        r"|\w*notifier\w*_unregister\w*"
    ),
)
_REGISTRIES = (
    NOTIFIERS,
    Registry(
        "a character device",
        "struct cdev.",
        ("cdev_put", "cdev_get", "chrdev_open"),
        re.compile(r"cdev_(?:init|add|del|device_add|device_del)"),
    ),
    Registry(
        "a timer",
        "struct timer_list.",
        (
            "call_timer_fn",
            "expire_timers",
            "collect_expired_timers",
            "run_timers",
            "run_timer_softirq",
            "enqueue_timer",
            "detach_if_pending",
        ),
        re.compile(
            r"(?:mod_timer|add_timer|timer_reduce|init_timer_key)\w*"
            r"|(?:try_to_)?del_timer\w*|timer_(?:delete|shutdown)\w*"
            r"|(?:queue|mod|cancel|flush)_delayed_work\w*"
        ),
    ),
    Registry(
        "a timer of high resolution",
        "struct hrtimer.",
        (
            "hrtimer_run_queues",
            "__run_hrtimer",
            "hrtimer_next_event_base",
            "timerqueue_add",
            "timerqueue_del",
            "timerqueue_iterate_next",
        ),
        re.compile(r"hrtimer_(?:init|setup|start|cancel|try_to_cancel)\w*"),
    ),
    Registry(
        "a work item",
        "struct work_struct.",
        (
            "process_one_work",
            "process_scheduled_works",
            "worker_thread",
            "assign_work",
            "move_linked_works",
            "insert_work",
        ),
        re.compile(
            r"_*(?:queue|mod|schedule|cancel|flush)_(?:\w+_)?work\w*"
            r"|(?:drain|destroy)_workqueue"
        ),
    ),
    Registry(
        "a tasklet",
        "struct tasklet_struct.",
        ("tasklet_action_common", "tasklet_action"),
        re.compile(r"_*tasklet_(?:\w+_)?(?:init|setup|schedule|kill)\w*"),
    ),
    Registry(
        "a callback of RCU",
        "struct callback_head.",
        ("rcu_do_batch",),
        re.compile(r"call_s?rcu(?:_\w+)?|kv?free_call_rcu"),
    ),
    Registry(
        "a packet handler",
        "struct packet_type.",
        ("deliver_ptype_list_skb", "netif_receive_skb_core", "dev_queue_xmit_nit"),
        re.compile(r"_*dev_(?:add|remove)_pack"),
    ),
    Registry(
        "a shrinker",
        "struct shrinker.",
        ("shrink_slab", "shrink_slab_memcg"),
        re.compile(r"(?:un)?register_shrinker\w*|shrinker_(?:alloc|register|free)\w*"),
    ),
)


def registry_of(way: Way) -> Registry | None:
    """The kind of registry from an entry of which the kernel read a value."""
    return _named(way.name or "", base_name(way.function))


def registry_met(ways: Sequence[Way]) -> Registry | None:
    """The same, where the pointer to the entry may have been handed on to read a member of it.

    :param ways: that of what was read, then that of the pointer to what it was read from
    """
    known = registry_of(ways[0])
    handed = (base_name(step.function) for way in ways[1:2] for step in way.steps)
    by_caller = (_named("", name) for name in handed)
    return known or next((one for one in by_caller if one is not None), None)


def _named(field: str, function: str) -> Registry | None:
    return next(
        (one for one in _REGISTRIES if field.startswith(one.entry) or function.endswith(one.runs)),
        None,
    )
