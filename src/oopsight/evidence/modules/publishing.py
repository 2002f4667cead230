"""Functions of the kernel by which a driver makes things known."""

from __future__ import annotations

import re

from oopsight.evidence.modules.known_calls import HANDS_DATA

_SHOWN = (
    *("u8", "u16", "u32", "u64", "ulong", "x8", "x16", "x32", "x64", "size_t", "atomic_t", "bool"),
    *("blob", "str", "regset32", "u32_array"),
)

PUBLISHES = re.compile(
    r"_*(?:(?!un)\w*_)?(?:register|reg_notifier|notifier_insert|napi_add|request_irq|request_(?:threaded|percpu|any_context)_irq|alarm_start"
    r"|device_add|device_create|device_link_add|cdev_add|add_disk|kobject_add|kobject_init_and_add"
    r"|sysfs_(?:create|add)|proc_create|debugfs_create|dev_add_pack|add_protocol|add_timer|mod_timer"
    r"|hrtimer_start|queue_work|(?:queue|mod)_delayed_work|queue_rcu_work|tasklet_(?:hi_)?schedule"
    r"|napi_(?:schedule|enable)|enable_irq|irq_work_queue|wake_up_process|kthread_create|submit_urb"
    r"|idr_alloc|xa_(?:store|insert|alloc)|radix_tree_insert|rhashtable_insert|fd_install"
    r"|single_open|seq_open)(?:_\w+)?$"
)
"""Functions after which the kernel may call the module with what it got, or others find it."""
KEEPS_DATA = {
    **HANDS_DATA,
    **dict.fromkeys((f"debugfs_create_{kind}" for kind in _SHOWN), 3),
    "proc_mkdir_data": 3,
    "proc_create_single_data": 4,
    "proc_create_seq_private": 5,
}
"""Of these, those that are told what they are to keep by a later argument, and by which."""
COPIES_NAME = re.compile(r"_*(?:debugfs|proc|device|class|register_chrdev|kthread)_")
"""Of these, those that are told a name first, which they copy."""
HOLDS_OTHERS = re.compile(r"_*(?:idr|xa|radix_tree|rhashtable|fd)_")
"""Of these, those that put something into what they are told first."""
