"""No progress: lockups, stalls, hung tasks."""

from __future__ import annotations

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format

FORMATS = (
    Format(
        Kind.SOFT_LOCKUP,
        "soft lockup",
        r"BUG: soft lockup(?: -|:|,| detected)|BUG: soft lockup detected",
        "BUG: soft lockup in {function}",
        "a CPU did not schedule",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.HARD_LOCKUP,
        "LOCKUP",
        r"(?:[Ww]atchdog detected |Watchdog CPU:\d+ )(?:hard )?LOCKUP|(?i:detected hard lockup)",
        "NMI watchdog: Watchdog detected hard LOCKUP in {function}",
        "a CPU did not even take interrupts",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.HARD_LOCKUP,
        "ard LOCKUP",
        r"(?:self-detected|detected) hard LOCKUP",
        "NMI watchdog: Watchdog detected hard LOCKUP in {function}",
        "powerpc's watchdog, in its own words",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.WORKQUEUE_LOCKUP,
        "workqueue lockup",
        r"BUG: workqueue lockup",
        "BUG: workqueue lockup",
        "a worker pool made no progress",
        blame=Blame.NOBODY,
    ),
    Format(
        Kind.RCU_STALL,
        "INFO: rcu_",
        (
            r"INFO: rcu_\w{1,40} (?:self-)?detected (?:expedited )?stalls? on"
            r"|INFO: rcu_\w{1,40} (?:self-)?detected|INFO: rcu_\w{1,40} stalls on CPU"
        ),
        "INFO: rcu detected stall in {function}",
        "a grace period does not end",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.RCU_STALL,
        "RCU detected CPU",
        r"INFO: RCU detected CPU \d{1,5} stall",
        "INFO: rcu detected stall in {function}",
        "the same, in the words of before 2.6.38",
        blame=Blame.OUTERMOST,
    ),
    Format(
        Kind.HUNG_TASK,
        "blocked for more than",
        r"INFO: task .{1,80} blocked for more than \d{1,9} seconds",
        "INFO: task hung in {function}",
        "khungtaskd: a task slept uninterruptibly too long",
    ),
    Format(
        Kind.HUNG_TASK,
        "can't die for more than",
        r"INFO: task .{1,80} can't die for more than \d{1,9} seconds",
        "INFO: task can't die in {function}",
        "a task that was killed goes on",
    ),
    Format(
        Kind.HUNG_TASK,
        "blocked in I/O wait",
        r"INFO: task .{1,80} blocked in I/O wait for more than \d{1,9} seconds",
        "INFO: task hung in {function}",
        "the same, since 6.17 told apart",
    ),
)
