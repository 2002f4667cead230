"""What calls a module's functions of its own accord, and who of the module ends that.

Whoever frees an object and has first stopped its timer, its work or its thread, or taken its file
away, has not left it to them.
"""

from __future__ import annotations

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import reaching
from oopsight.plumbing import base_name

_ASYNCHRONOUS = (
    (
        ("call_timer_fn", "__run_timers", "run_timer_softirq", "expire_timers"),
        ("del_timer_sync", "timer_delete_sync", "timer_shutdown_sync"),
    ),
    (("__hrtimer_run_queues", "hrtimer_interrupt"), ("hrtimer_cancel",)),
    (
        ("process_one_work",),
        (
            "cancel_work_sync",
            "cancel_delayed_work_sync",
            "__cancel_work_sync",
            "flush_work",
            "flush_delayed_work",
            "__flush_workqueue",
            "flush_workqueue",
            "drain_workqueue",
            "destroy_workqueue",
        ),
    ),
    (("tasklet_action_common", "tasklet_action"), ("tasklet_kill",)),
    (("__handle_irq_event_percpu", "irq_thread"), ("free_irq", "synchronize_irq", "disable_irq")),
    (
        ("full_proxy_read", "full_proxy_write", "full_proxy_llseek", "full_proxy_unlocked_ioctl"),
        ("debugfs_remove", "debugfs_lookup_and_remove"),
    ),
    (
        ("kernfs_fop_read_iter", "kernfs_fop_write_iter", "kernfs_seq_show"),
        (
            "sysfs_remove",
            "device_remove_file",
            "device_remove_bin_file",
            "kobject_del",
            "kobject_put",
            "device_del",
            "device_unregister",
        ),
    ),
    (
        ("proc_reg_read", "proc_reg_read_iter", "proc_reg_write", "proc_reg_unlocked_ioctl"),
        ("remove_proc", "proc_remove"),
    ),
    (
        ("notifier_call_chain",),
        ("unregister_", "blocking_notifier_chain_unregister", "atomic_notifier_chain_unregister"),
    ),
    (("nf_hook_slow",), ("nf_unregister_net_hook",)),
    (("kthread",), ("kthread_stop",)),
)
"""What calls a module's functions of its own accord, and with which functions a module ends it."""


def stopping(backtrace: Backtrace | Missing, code: list[ModuleFunction]) -> tuple[str, ...]:
    """Who ends what the crash path began with, if that is something which a module can end."""
    path = backtrace.crash_path if isinstance(backtrace, Backtrace) else ()
    callers = {base_name(frame.function) for frame in path}
    ends = next((ends for runs, ends in _ASYNCHRONOUS if callers & set(runs)), None)
    if ends is None:
        return ()
    direct = {base_name(one.name) for one in code if any(c.startswith(ends) for c in one.outside)}
    return reaching(direct, code)
