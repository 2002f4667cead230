"""Functions of the kernel by which a driver makes things known."""

from __future__ import annotations

import re

PUBLISHES = re.compile(
    r"_*(?:(?!un)\w*_)?(?:register|request_irq|request_(?:threaded|percpu|any_context)_irq|alarm_start"
    r"|device_add|device_create|device_link_add|cdev_add|add_disk|kobject_add|kobject_init_and_add"
    r"|sysfs_(?:create|add)|proc_create|debugfs_create|dev_add_pack|add_protocol|add_timer|mod_timer"
    r"|hrtimer_start|queue_work|queue_delayed_work|tasklet_schedule|napi_schedule|irq_work_queue"
    r"|wake_up_process|kthread_create|idr_alloc|single_open|seq_open)(?:_\w+)?$"
)
"""Functions after which the kernel may call the module with what it was given."""
