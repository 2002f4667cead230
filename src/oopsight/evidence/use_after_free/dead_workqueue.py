"""A workqueue that was destroyed and is handed to the kernel again.

Its memory stays for a while, as readers under RCU may have it; but the kernel's list of all
workqueues does not lead to it any more.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.evidence.use_after_free.handler_object import remembered
from oopsight.plumbing import base_name
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence.crash.backtrace import Backtrace

_TAKES_ONE = re.compile(
    r"_*(?:queue_(?:delayed_|rcu_)?work|mod_delayed_work|flush_workqueue|drain_workqueue)\w*"
)
_MOST = 10_000
_TIMERS = "call_timer_fn"
_QUEUES = "delayed_work_timer_fn"


def is_dead(session: Session, called: str, address: int) -> bool:
    """Whether a function was handed a workqueue that the kernel does not know.

    :param called: the function's name
    :param address: what it was handed, of the slab allocator's memory
    """
    return _TAKES_ONE.fullmatch(base_name(called)) is not None and _unknown(session, address)


def delayed_on(session: Session, backtrace: Backtrace, cpu: int) -> int | None:
    """The workqueue on which a delayed work's timer was about to queue it, if that is dead.

    :param cpu: that of the crash
    :return: its address
    """
    from drgn import FaultError, Object, container_of

    path = [base_name(one.function) for one in backtrace.crash_path if not one.inline]
    if _TIMERS not in path[1:] or _TAKES_ONE.fullmatch(path[0]) is None:
        return None
    try:
        for address in remembered(session.prog, _TIMERS, cpu):
            timer = Object(session.prog, "struct timer_list", address=address)
            if session.prog.symbol(timer.function.value_()).name != _QUEUES:
                continue
            work = container_of(timer.address_of_(), "struct delayed_work", "timer")
            queue: int = work.wq.value_()
            if _unknown(session, queue):
                return queue
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    return None


def _unknown(session: Session, address: int) -> bool:
    from drgn import FaultError, Object
    from drgn.helpers.linux.list import list_for_each_entry

    try:
        # kernel/workqueue.c
        head: Object = session.prog["workqueues"].address_of_()
        walk = list_for_each_entry("struct workqueue_struct", head, "list")
        known = [one.value_() for one in itertools.islice(walk, _MOST)]
    except (FaultError, LookupError, AttributeError, SymbolError):
        return False
    return bool(known) and len(known) < _MOST and address not in known
