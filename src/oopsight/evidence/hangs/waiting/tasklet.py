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


def find(scan: Scan) -> Lock | None:
    """The ``struct tasklet_struct`` that is scheduled, among the stack's words."""
    known = {one.value_() for _, one in scheduled(scan.prog)}
    for _, word in scan.words():
        count = scan.memory(_TASKLET, word, "count") if word in known else None
        if count is not None:
            detail = DISABLED if value(count) else None
            return Lock(KIND, Address(word), scan.name(word), because=(count,), detail=detail)
    return None
