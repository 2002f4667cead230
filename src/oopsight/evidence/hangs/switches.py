"""What can be switched off and on again, and by which functions of the kernel."""

from __future__ import annotations

from oopsight.evidence.hangs.waiting import polling, tasklet

INTERRUPT = "interrupt"
SWITCHES = {
    polling.KIND: (
        ("napi_disable", "napi_disable_locked"),
        ("napi_enable", "napi_enable_locked"),
    ),
    # Mostly inline: how often it was disabled is counted in it.
    tasklet.KIND: (
        ("tasklet_disable", "tasklet_disable_nosync", "tasklet_disable_in_atomic"),
        ("tasklet_enable",),
    ),
    INTERRUPT: (
        ("disable_irq", "disable_irq_nosync", "disable_hardirq"),
        ("enable_irq",),
    ),
    "queue": (
        (
            *("blk_mq_freeze_queue", "blk_freeze_queue_start", "blk_mq_freeze_queue_nomemsave"),
            *("blk_mq_quiesce_queue", "blk_mq_quiesce_queue_nowait", "blk_mq_quiesce_tagset"),
            *("blk_mq_stop_hw_queue", "blk_mq_stop_hw_queues"),
        ),
        (
            *("blk_mq_unfreeze_queue", "blk_mq_unfreeze_queue_nomemrestore"),
            *("blk_mq_unquiesce_queue", "blk_mq_unquiesce_tagset", "blk_mq_start_hw_queue"),
            *("blk_mq_start_hw_queues", "blk_mq_start_stopped_hw_queue"),
            "blk_mq_start_stopped_hw_queues",
        ),
    ),
    "timer": (
        (
            *("del_timer", "del_timer_sync", "try_to_del_timer_sync", "timer_delete"),
            *("timer_delete_sync", "timer_delete_sync_try", "timer_shutdown"),
            "timer_shutdown_sync",
        ),
        ("add_timer", "add_timer_on", "add_timer_local", "add_timer_global", "mod_timer"),
    ),
    "hrtimer": (("hrtimer_cancel", "hrtimer_try_to_cancel"), ("hrtimer_start_range_ns",)),
    "work": (
        (
            *("cancel_work", "cancel_work_sync", "cancel_delayed_work", "disable_work_sync"),
            *("cancel_delayed_work_sync", "disable_delayed_work_sync"),
        ),
        ("queue_work_on", "queue_delayed_work_on", "mod_delayed_work_on"),
    ),
    "clock": (("clk_disable", "clk_unprepare"), ("clk_enable", "clk_prepare")),
    "regulator": (("regulator_disable", "regulator_force_disable"), ("regulator_enable",)),
    "thread": (("kthread_stop", "kthread_park"), ("kthread_unpark", "wake_up_process")),
}
"""By the kind of thing: functions that switch it off, and on."""
