"""Functions of the kernel by which a driver makes things known."""

from __future__ import annotations

import re

PUBLISHES = re.compile(
    r"_*(?:(?!un)\w*_)?(?:register|request_irq|request_threaded_irq|device_add|device_create|cdev_add"
    r"|proc_create|debugfs_create|add_timer|mod_timer|hrtimer_start|queue_work|queue_delayed_work"
    r"|wake_up_process)(?:_\w+)?$"
)
"""Functions after which the kernel may call the module with what it was given."""
