"""Kernel threads, by the function that each was started with."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "kernel thread"
REGISTERS = ("kthread_create_*",)

_KTHREAD = "struct kthread"


def search(look: Look) -> None:
    """``kthread_run()`` leaves them; ``kthread_stop()`` ends them."""
    from drgn.helpers.linux.kthread import task_is_kthread, to_kthread
    from drgn.helpers.linux.pid import for_each_task

    for task in for_each_task(look.prog):
        with look.part(f"task {task.value_():#x}"):
            if not task_is_kthread(task):
                continue
            kthread = to_kthread(task).value_()
            if not kthread:
                continue

            def label(task: int = task.value_()) -> str:
                return look.string(task + look.offset("struct task_struct", "comm"))

            look.at(_KTHREAD, kthread, "threadfn", label)
            look.at(_KTHREAD, kthread, "data", label)
