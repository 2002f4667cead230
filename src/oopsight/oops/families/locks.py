"""Lockdep, spinlock debugging, RCU's and the scheduler's context checks."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format


def _report(kind: Kind, headline: str, title: str, why: str, blame: Blame = Blame.LOCK) -> Format:
    trigger = re.split(r"[\\(\[?.]", headline, maxsplit=1)[0]
    return Format(kind, trigger, re.compile(headline), title, why, blame=blame, rank=20)


_DEADLOCK = "possible deadlock in {function}"

FORMATS = (
    _report(Kind.DEADLOCK, "possible circular locking dependency", _DEADLOCK, "an AB-BA cycle"),
    _report(Kind.DEADLOCK, "possible recursive locking", _DEADLOCK, "the same class twice"),
    _report(Kind.DEADLOCK, "irq lock inversion dependency", _DEADLOCK, "a lock also of interrupts"),
    _report(Kind.DEADLOCK, "lock order detected", _DEADLOCK, "irq-safe held, irq-unsafe taken"),
    _report(Kind.DEADLOCK, "lock order inversion detected", _DEADLOCK, "the same, by an irq"),
    _report(
        Kind.DEADLOCK,
        "inconsistent lock state",
        "inconsistent lock state in {function}",
        "taken with interrupts on here and in an interrupt there",
    ),
    _report(
        Kind.DEADLOCK,
        "ested lock was not taken",
        "WARNING: nested lock was not taken in {function}",
        "a lock that must be nested in another",
    ),
    _report(
        Kind.DEADLOCK,
        r"BUG: spinlock (?P<what>recursion|lockup suspected) on CPU",
        "BUG: spinlock {what} in {function}",
        "spinlock debugging",
        Blame.INNERMOST,
    ),
    _report(
        Kind.LOCK_MISUSE,
        (
            r"BUG: (?P<what>spinlock|rwlock|mutex) (?P<why>bad magic|"
            r"already unlocked|wrong owner|wrong CPU) on CPU"
        ),
        "BUG: {what} {why} in {function}",
        "a lock that was never set up, is overwritten or is let go by another",
        Blame.INNERMOST,
    ),
    _report(
        Kind.LOCK_MISUSE, "bad unlock balance", "BUG: bad unlock balance in {function}",
        "a lock let go that was not held", Blame.LOCK,
    ),
    _report(
        Kind.LOCK_MISUSE, "held lock freed", "BUG: held lock freed in {function}",
        "the memory of a held lock was freed",
    ),
    _report(
        Kind.LOCK_MISUSE, "lock held when returning to user space",
        "WARNING: lock held when returning to user space in {function}",
        "a system call left with a lock held",
    ),
    _report(
        Kind.LOCK_MISUSE, "still has locks held", "WARNING: still has locks held in {function}",
        "a task ends or freezes with a lock held", Blame.INNERMOST,
    ),
    _report(
        Kind.LOCK_MISUSE, "trying to register non-static key",
        "INFO: trying to register non-static key in {function}",
        "a lock that was not initialised", Blame.INNERMOST,
    ),
    _report(
        Kind.LOCK_MISUSE, "workqueue leaked lock or atomic",
        "BUG: workqueue leaked lock or atomic in {function}",
        "a work item came back with a lock held",
    ),
    _report(
        Kind.LOCK_MISUSE,
        r"BUG: using (?P<what>[\w()]+) in preemptible",
        "BUG: using {what} in preemptible code in {function}",
        "per-CPU data while the task may move to another CPU",
        Blame.INNERMOST,
    ),
    _report(
        Kind.SUSPICIOUS_RCU, "suspicious (?:rcu_dereference|RCU usage)",
        "WARNING: suspicious RCU usage in {function}",
        "rcu_dereference() outside its critical section", Blame.INNERMOST,
    ),
    _report(
        Kind.SLEEPING_IN_ATOMIC, "sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {function}",
        "might_sleep() with preemption off", Blame.INNERMOST,
    ),
    _report(
        Kind.SLEEPING_IN_ATOMIC, "scheduling while atomic: ",
        "BUG: scheduling while atomic in {function}",
        "schedule() with preemption off", Blame.INNERMOST,
    ),
)  # fmt: skip
