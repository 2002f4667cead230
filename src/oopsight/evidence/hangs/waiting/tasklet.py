"""``tasklet_kill()``: it waits, without a limit, until a tasklet is not scheduled any more.

One that is disabled is not run but scheduled again and again.
"""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan, value
from oopsight.kernel.tasklets import scheduled

FUNCTIONS = ("tasklet_kill",)
KIND = "tasklet"
DISABLED = "which is disabled"
_TASKLET = "struct tasklet_struct"
_SCHEDULED, _STATES = 1 << 0, 0b11  # TASKLET_STATE_SCHED and _RUN
_MOST_TIMES = 1000
"""That it may be disabled."""


def find(scan: Scan) -> Lock | None:
    """The ``struct tasklet_struct`` that is scheduled, among what the stack's words lead to.

    They may lead to its state. One on a CPU's list is sure to be one; but none is on a list while
    that is gone through.
    """
    offset = scan.offset(_TASKLET, "state") or 0
    words = [word for _, word in scan.words() if word >> 63 and not word % 8]
    places = [address for word in words for address in (word, word - offset)]
    listed = {one.value_() for _, one in scheduled(scan.prog)}
    for address in sorted(places, key=lambda address: address not in listed):
        found = _tasklet(scan, address)
        if found is not None:
            return found
    return None


def _tasklet(scan: Scan, address: int) -> Lock | None:
    state = scan.memory(_TASKLET, address, "state")
    count = scan.memory(_TASKLET, address, "count.counter")
    function = scan.memory(_TASKLET, address, "func")
    if state is None or count is None or function is None:
        return None
    scheduled = value(state) & _SCHEDULED and not value(state) & ~_STATES
    _, start, _ = scan.reader.names.code(value(function))
    if not scheduled or not value(count) <= _MOST_TIMES or start != value(function):
        return None
    detail = DISABLED if value(count) else None
    name = scan.name(address)
    return Lock(KIND, Address(address), name, because=(count, state, function), detail=detail)
