"""Who ends what calls a module of its own accord, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code

from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.stoppers import stopping_in_vain

# call del_timer_sync; call cancel_work_sync; ret
TIMER_FIRST = "e8fb2f0000 e8f63f0000 c3"
# call cancel_work_sync; call del_timer_sync; ret
WORK_FIRST = "e8fb2f0000 e8f61f0000 c3"
# call del_timer_sync; call cancel_work_sync; call del_timer_sync; ret
TWICE = "e8fb0f0000 e8f61f0000 e8f10f0000 c3"
ENDS = ("del_timer_sync", "cancel_work_sync")


def function(name: str, start: int, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, start, frozenset(calls), frozenset(), copies=False)


def ended(
    work: str, timer: str, ran: str, by: str, callbacks: tuple[str, ...], also: str = "printk"
) -> tuple[str, ...]:
    """Who ends in vain, where the work and the timer call such functions."""
    machine = Code(TIMER_FIRST, WORK_FIRST, TWICE, "c3", "c3")
    machine.names = ["rec_halt", "rec_close", "rec_twice", *ENDS]
    code = [
        replace(function(name, 0, *ENDS, also), start=machine.start(number))
        for number, name in enumerate(machine.names[:3])
    ]
    code += [function("rec_work", 0, work), function("rec_tick", 0, timer)]
    trace = made.backtrace(**{ran: made.Role.FAULT, by: made.Role.CALLER})
    return stopping_in_vain(machine, trace, code, callbacks)


@pytest.mark.parametrize(
    ("work", "timer", "ran", "by", "callbacks", "vain"),
    [
        # The work starts the timer again that was ended before.
        ("mod_timer", "queue_work_on", "rec_work", "process_one_work", (), "rec_halt"),
        ("mod_timer", "printk", "rec_tick", "call_timer_fn", ("rec_work",), "rec_halt"),
        # The timer queues the work again.
        ("printk", "queue_work_on", "rec_work", "process_one_work", ("rec_tick",), "rec_close"),
        ("printk", "queue_work_on", "rec_work", "process_one_work", (), None),
        ("printk", "printk", "rec_work", "process_one_work", ("rec_tick",), None),
        ("mod_timer", "queue_work_on", "rec_work", "vfs_read", (), None),
    ],
)
def test_who_ends_it_before_what_starts_it_again(
    work: str, timer: str, ran: str, by: str, callbacks: tuple[str, ...], vain: str | None
) -> None:
    assert ended(work, timer, ran, by, callbacks) == ((vain,) if vain else ())


def test_what_is_shut_down_does_not_start_again() -> None:
    told = ("mod_timer", "printk", "rec_work", "process_one_work", ())
    assert ended(*told) == ("rec_halt",)
    assert ended(*told, also="timer_shutdown_sync") == ()
