"""What calls a module's functions of its own accord, and who of the module ends that.

Whoever frees an object and has first stopped its timer, its work or its thread, or taken its file
away, has not left it to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow import Reader
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import MOST_VISITED, Function, leads_to
from oopsight.evidence.modules.known_calls import FREES_MEMORY
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import named, reaching
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
_STARTED = (
    (("mod_timer", "add_timer", "timer_reduce"), _ASYNCHRONOUS[0][1]),
    (("hrtimer_start",), _ASYNCHRONOUS[1][1]),
    (("queue_work", "queue_delayed_work", "mod_delayed_work"), _ASYNCHRONOUS[2][1]),
    (("__tasklet_schedule", "__tasklet_hi_schedule"), _ASYNCHRONOUS[3][1]),
)
"""Which functions start some of that, each time anew, and which end it."""
_FOR_GOOD = ("timer_shutdown", "disable_work", "disable_delayed_work", "destroy_workqueue")
"""What is ended with these does not start again."""


def stopping(backtrace: Backtrace | Missing, code: list[ModuleFunction]) -> tuple[str, ...]:
    """Who ends what the crash path began with, if that is something which a module can end."""
    return reaching({base_name(one.name) for one in direct(ending(backtrace), code)}, code)


def stopping_at_times(
    reader: Reader, backtrace: Backtrace | Missing, code: list[ModuleFunction]
) -> tuple[str, ...]:
    """Of these, the functions that themselves do so on some ways, and on others do not.

    One that frees: and free on others.
    """
    ends = ending(backtrace)
    calls = Calls(reader, (), {})
    return named(one for one in direct(ends, code) if _passes_by(calls, one, ends))


def stopping_in_vain(
    reader: Reader,
    backtrace: Backtrace | Missing,
    code: list[ModuleFunction],
    callbacks: Iterable[str],
) -> tuple[str, ...]:
    """Who ends something, and only then what may have started it again meanwhile.

    :param callbacks: functions that the object in question has pointers to
    """
    own = ending(backtrace)
    path = backtrace.crash_path if isinstance(backtrace, Backtrace) else ()
    ran = {base_name(frame.function) for frame in path}
    others = set(callbacks) - ran
    orders: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for starts, ends in _STARTED:
        starters = reaching({base_name(one.name) for one in direct(starts, code)}, code)
        if own and ends != own and ran.intersection(starters):
            orders.append((ends, own))
        if own and ends == own and others.intersection(starters):
            orders += [(own, later) for _, later in _STARTED if later != own]
    calls = Calls(reader, (), {})
    vain = [one for one in code if any(_starts_again(calls, one, *order) for order in orders)]
    return reaching({base_name(one.name) for one in vain}, code) if vain else ()


def _starts_again(
    calls: Calls, one: ModuleFunction, first: tuple[str, ...], then: tuple[str, ...]
) -> bool:
    """Whether a function ends something of the one kind, and then of the other, and no more."""
    if not direct(first, [one]) or not direct(then, [one]) or direct(_FOR_GOOD, [one]):
        return False
    code = calls.function(one.start)
    if code is None:
        return False
    before, behind = calling(calls, code, first), calling(calls, code, then)
    return any(leads_to(code, a, b) for a in before for b in behind) and not any(
        leads_to(code, b, a) for a in before for b in behind
    )


def ending(backtrace: Backtrace | Missing) -> tuple[str, ...]:
    """Beginnings of the names of what ends that with which the crash path began."""
    path = backtrace.crash_path if isinstance(backtrace, Backtrace) else ()
    callers = {base_name(frame.function) for frame in path}
    return next((ends for runs, ends in _ASYNCHRONOUS if callers & set(runs)), ())


def direct(ends: tuple[str, ...], code: list[ModuleFunction]) -> list[ModuleFunction]:
    """The functions that themselves call one of those, by the beginnings of their names."""
    return [one for one in code if any(c.startswith(ends) for c in one.outside)] if ends else []


def calling(calls: Calls, code: Function, names: tuple[str, ...]) -> set[int]:
    """Indexes of the instructions that call or jump to functions whose names begin so."""
    targets = {at: row.target for at, row in enumerate(code.instructions) if row.target is not None}
    known = {at: calls.reader.function(target) for at, target in targets.items()}
    return {
        at
        for at, found in known.items()
        if found is not None
        and (found[0].startswith(names) or found[0].removeprefix("__").startswith(names))
    }


def _passes_by(calls: Calls, one: ModuleFunction, ends: tuple[str, ...]) -> bool:
    """Whether a way leads past all such calls to one that frees, or out if there is none."""
    code = calls.function(one.start)
    if code is None:
        return False
    stops = calling(calls, code, ends)
    frees = calling(calls, code, (*FREES_MEMORY,))
    seen = {0} - stops
    work = list(seen)
    while work and len(seen) < MOST_VISITED:
        at = work.pop()
        onwards = code.after[at]
        if at in frees or (not onwards and not frees):
            return True
        new = set(onwards) - seen - stops
        seen |= new
        work += new
    return False
