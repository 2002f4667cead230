"""``synchronize_rcu()`` and ``synchronize_srcu()``: they wait for readers."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Holder, Lock
from oopsight.evidence.hangs.waiting.scan import Scan, held_by_readers
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.pointers import Memory
from oopsight.kernel.blocked_tasks import task_state
from oopsight.kernel.rcu_readers import blocking_readers

_MOST_READERS = 16
_KERNEL = 1 << 63


def of_rcu(scan: Scan, completion: int, done: Memory) -> Lock:
    """The readers that RCU itself lists as asleep, or preempted, within a read section."""
    from drgn import FaultError

    from oopsight.evidence.hangs.stacks import task_pointer

    holders: dict[int, Holder] = {}
    memories = [done]
    readers = list(islice(blocking_readers(scan.prog), _MOST_READERS))
    # Those that sleep before those that are only waiting for a CPU.
    for task, leaf, member in sorted(readers, key=lambda reader: not task_state(reader[0])):
        try:
            pointer = task_pointer(task)
            memories += [memory_of(leaf, member), memory_of(task, "rcu_node_entry.next")]
        except FaultError:
            continue
        holders[pointer.address] = Holder(pointer, alive=True, known_by="reader")
    return Lock(
        "grace period",
        Address(completion),
        "of RCU",
        holders=tuple(holders.values()),
        because=tuple(dict.fromkeys(memories)),
    )


def of_srcu(scan: Scan, completion: int, done: Memory) -> Lock:
    """The domain whose readers are waited for; how many there are, its counters tell."""
    domain = _domain(scan)
    if domain is None:
        return Lock("grace period", Address(completion), "of SRCU", because=(done,))
    link = scan.memory("struct srcu_struct", domain, "sda")
    readers = _readers(scan.prog, domain)
    return Lock(
        "srcu",
        Address(domain),
        scan.name(domain),
        because=(done, *((link,) if link is not None else ())),
        detail=None if readers is None else held_by_readers(readers),
    )


def _domain(scan: Scan) -> int | None:
    """The ``struct srcu_struct``, among the words of the stack: its per-CPU data points back."""
    from drgn import FaultError, Object
    from drgn.helpers.linux.percpu import per_cpu_ptr

    seen: set[int] = set()
    for _, word in scan.words():
        if word < _KERNEL or word % 8 or word in seen:
            continue
        seen.add(word)
        with contextlib.suppress(FaultError, LookupError, AttributeError, OverflowError):
            data = Object(scan.prog, "struct srcu_struct *", word).sda.read_()
            if data and per_cpu_ptr(data, 0).ssp.value_() == word:
                return word
    return None


def _readers(prog: Any, domain: int) -> int | None:
    """Readers in the domain now: those that entered less those that left, over all CPUs."""
    from drgn import FaultError, Object
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu_ptr

    total = 0
    try:
        pointer = Object(prog, "struct srcu_struct *", domain).sda.read_()
        for cpu in for_each_possible_cpu(prog):
            data = per_cpu_ptr(pointer, cpu)
            for index in (0, 1):
                try:
                    # Until Linux 6.14 (commit 795e7efec6ea).
                    entered, left = data.srcu_lock_count[index], data.srcu_unlock_count[index]
                except AttributeError:
                    counters = data.srcu_ctrs[index]
                    entered, left = counters.srcu_locks, counters.srcu_unlocks
                total += _count(entered) - _count(left)
    except (FaultError, LookupError, AttributeError):
        return None
    return total


def _count(counter: Any) -> int:
    try:
        # Since Linux 6.2 (commit 5d0f5953b60f) they are atomic_long_t.
        return int(counter.counter)
    except AttributeError:
        return int(counter)
