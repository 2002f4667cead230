"""Lockdep, spinlock debugging, RCU's and the scheduler's context checks."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format


def _lockdep(
    kind: Kind,
    trigger: str,
    title: str,
    why: str,
    *,
    blame: Blame = Blame.LOCK,
    lost: str | None = None,
) -> Format:
    """One of lockdep's headlines: ``WARNING: words`` since 4.10, ``[ INFO: words ]`` before."""

    def refine(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
        del after
        word = "BUG" if match["word"] == "BUG" else "WARNING"
        return kind, title.replace("{word}", word)

    return Format(
        kind,
        trigger,
        r"(?:\[ )?(?P<word>WARNING|BUG|INFO): .{0,80}" + re.escape(trigger),
        title,
        why,
        blame=blame,
        rank=20,
        lost=lost,
        refine=refine if "{word}" in title else None,
    )


_DEADLOCK = "possible deadlock in {function}"

FORMATS = (
    _lockdep(
        Kind.DEADLOCK, "possible circular locking dependency", _DEADLOCK, "an AB-BA cycle",
        lost="WARNING: possible circular locking dependency detected",
    ),
    _lockdep(
        Kind.DEADLOCK, "possible recursive locking", _DEADLOCK, "the same class twice",
        lost="WARNING: possible recursive locking detected",
    ),
    _lockdep(
        Kind.DEADLOCK, "irq lock inversion dependency", _DEADLOCK, "a lock also of interrupts",
        lost="WARNING: possible irq lock inversion dependency detected",
    ),
    _lockdep(
        Kind.DEADLOCK, "lock order detected", _DEADLOCK, "irq-safe held, irq-unsafe taken",
        blame=Blame.IRQ_SAFE,
    ),
    _lockdep(Kind.DEADLOCK, "lock order inversion detected", _DEADLOCK, "the same, by an irq"),
    Format(
        Kind.DEADLOCK,
        "inconsistent lock state",
        r"inconsistent lock state",
        "inconsistent lock state in {function}",
        "taken with interrupts on here and in an interrupt there",
        blame=Blame.LOCK,
        rank=20,
    ),
    Format(
        Kind.DEADLOCK,
        "ested lock was not taken",
        r"[Nn]ested lock was not taken",
        "WARNING: nested lock was not taken in {function}",
        "a lock that must be nested in another",
        blame=Blame.LOCK,
        rank=20,
    ),
    Format(
        Kind.DEADLOCK,
        "BUG: ",
        (
            r"BUG: (?P<what>spinlock|rwlock)(?P<dash>[ -])(?P<why>recursion|cpu recursion"
            r"|lockup suspected|lockup) on "
        ),
        "BUG: {what} {why} in {function}",
        "spinlock debugging: its owner takes it again, or nobody lets it go",
        rank=20,
    ),
    Format(
        Kind.LOCK_MISUSE,
        "BUG: ",
        (
            r"BUG: (?P<what>spinlock|rwlock|mutex|rwsem) (?P<why>bad magic|already unlocked|"
            r"wrong owner|wrong CPU|trylock failure on UP|uninitialized)"
        ),
        "BUG: {what} {why} in {function}",
        "a lock that was never set up, is overwritten or is let go by another",
        rank=20,
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "bad unlock balance", "{word}: bad unlock balance in {function}",
        "a lock let go that was not held",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "bad contention detected", "{word}: bad contention in {function}",
        "a lock waited for that was not held",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "held lock freed", "{word}: held lock freed in {function}",
        "the memory of a held lock was freed",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "lock held when returning to user space",
        "{word}: lock held when returning to user space in {function}",
        "a system call left with a lock held",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "lock held at task exit time",
        "{word}: lock held at task exit time in {function}",
        "a task ended with a lock held",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "still has locks held", "{word}: still has locks held in {function}",
        "a task ends or freezes with a lock held",
    ),
    _lockdep(
        Kind.LOCK_MISUSE, "Invalid wait context", "WARNING: locking bug in {function}",
        "a lock that sleeps on some kernels, taken where none may sleep", blame=Blame.INNERMOST,
    ),
    Format(
        Kind.LOCK_MISUSE,
        "trying to register non-static key",
        r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {function}",
        "a lock that was not initialised",
        rank=20,
    ),
    Format(
        Kind.LOCK_MISUSE,
        "has not been registered!",
        r"BUG: key \S{1,40} has not been registered",
        "BUG: key has not been registered in {function}",
        "a lock class that is not static",
        rank=20,
        leads_to=("WARNING",),
    ),
    Format(
        Kind.LOCK_MISUSE,
        "workqueue leaked",
        r"BUG: workqueue leaked (?:lock or atomic|atomic, lock or RCU)",
        "BUG: workqueue leaked lock or atomic in {function}",
        "a work item came back with a lock held",
        rank=20,
    ),
    Format(
        Kind.LOCK_MISUSE,
        "in preemptible",
        r"BUG: using (?P<what>[\w()]{3,60}) in preemptible",
        "BUG: using {what} in preemptible code in {function}",
        "per-CPU data while the task may move to another CPU",
        rank=20,
    ),
    Format(
        Kind.LOCK_MISUSE,
        "BUG: ",
        r"BUG: (?P<what>looking up invalid subclass|invalid lock subclass)",
        "BUG: {what} in {function}",
        "more levels of nesting than lockdep has",
        rank=20,
    ),
    Format(
        Kind.OTHER,
        "BUG: MAX_",
        r"BUG: (?P<what>MAX_(?:LOCK|STACK)\w{1,30}) too low",
        "BUG: {what} too low!",
        "lockdep's tables are full",
        blame=Blame.NOBODY,
        rank=20,
    ),
    Format(
        Kind.SUSPICIOUS_RCU,
        "suspicious R",
        r"(?P<word>WARNING|INFO): suspicious RCU usage",
        "{word}: suspicious RCU usage in {function}",
        "rcu_dereference() outside its critical section",
        rank=20,
        lost="WARNING: suspicious RCU usage",
        refine=lambda _after, match: (
            Kind.SUSPICIOUS_RCU,
            f"{'INFO' if match['word'] == 'INFO' else 'WARNING'}"
            ": suspicious RCU usage in {function}",
        ),
    ),
    Format(
        Kind.SUSPICIOUS_RCU,
        "suspicious rcu_",
        r"suspicious rcu_\w{1,40}\(\) usage",
        "WARNING: suspicious RCU usage in {function}",
        "the same, its first line lost",
        rank=81,
        lost="WARNING: suspicious RCU usage",
    ),
    Format(
        Kind.SUSPICIOUS_RCU,
        "llegal context switch in RCU",
        r"Illegal context switch in RCU",
        "WARNING: suspicious RCU usage in {function}",
        "schedule() within an RCU read-side section",
        rank=81,
    ),
    Format(
        Kind.SLEEPING_IN_ATOMIC,
        "function called from invalid context",
        r"BUG: (?:sleeping|assuming non migratable) ?function called from invalid context",
        "BUG: sleeping function called from invalid context in {function}",
        "might_sleep() with preemption off",
        rank=20,
    ),
    Format(
        Kind.SLEEPING_IN_ATOMIC,
        "scheduling while atomic",
        r"(?:BUG|bad): scheduling while atomic[:!]",
        "BUG: scheduling while atomic in {function}",
        "schedule() with preemption off",
        rank=20,
    ),
)  # fmt: skip
