"""Functions of the kernel by which a driver makes things known."""

from __future__ import annotations

import re

PUBLISHES = re.compile(
    r"_*(?:(?!un)\w*_)?(?:register|request_irq|request_(?:threaded|percpu|any_context)_irq|alarm_start"
    r"|device_add|device_create|device_link_add|cdev_add|add_disk|kobject_add|kobject_init_and_add"
    r"|sysfs_(?:create|add)|proc_create|debugfs_create|dev_add_pack|add_protocol|add_timer|mod_timer"
    r"|hrtimer_start|queue_work|(?:queue|mod)_delayed_work|queue_rcu_work|tasklet_(?:hi_)?schedule"
    r"|napi_(?:schedule|enable)|enable_irq|irq_work_queue|wake_up_process|kthread_create|submit_urb"
    r"|idr_alloc|xa_(?:store|insert|alloc)|radix_tree_insert|rhashtable_insert|fd_install"
    r"|single_open|seq_open)(?:_\w+)?$"
)
"""Functions after which the kernel may call the module with what it got, or others find it."""
