"""No progress: lockups, stalls, hung tasks."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format

FORMATS = (
    Format(
        Kind.SOFT_LOCKUP,
        "soft lockup - CPU",
        re.compile(r"BUG: soft lockup - CPU#\d+ stuck"),
        "BUG: soft lockup in {function}",
        "a CPU did not schedule",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.HARD_LOCKUP,
        "hard LOCKUP",
        re.compile(r"Watchdog detected hard LOCKUP", re.IGNORECASE),
        "NMI watchdog: Watchdog detected hard LOCKUP in {function}",
        "a CPU did not even take interrupts",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.WORKQUEUE_LOCKUP,
        "workqueue lockup",
        re.compile(r"BUG: workqueue lockup"),
        "BUG: workqueue lockup",
        "a worker pool made no progress",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.RCU_STALL,
        "INFO: rcu_",
        re.compile(
            r"INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls? on|INFO: rcu_\w+ detected"
        ),
        "INFO: rcu detected stall in {function}",
        "a grace period does not end",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.HUNG_TASK,
        "blocked for more than",
        re.compile(r"INFO: task .{1,60} blocked for more than \d+ seconds"),
        "INFO: task hung in {function}",
        "khungtaskd: a task slept uninterruptibly too long",
    ),
)
