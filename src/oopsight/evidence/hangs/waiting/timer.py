"""Waiting on a CPU until a timer's function, which runs on another, has ended."""

from __future__ import annotations

from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.hangs.cpus import Cpu
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting import Holder, Lock
from oopsight.evidence.memory.slab_caches import memory_of

_DELETES = (
    "del_timer_sync",
    "timer_delete_sync",
    "__timer_delete_sync",
    "timer_shutdown_sync",
)
_MOST_CPUS = 4096


def of_cpu(prog: Any, reader: StackReader, cpu: Cpu, cpus: tuple[Cpu, ...]) -> Lock | None:
    """The timer that a CPU's task deletes, if its function runs on another CPU.

    Which timer it is, the caller's code tells, or the only one whose function runs elsewhere.
    """
    if cpu.stack.inside(*_DELETES) is None:
        return None
    running = [(n, base) for n, base in _running(prog) if n != cpu.number]
    if len(running) != 1:
        return None
    number, base = running[0]
    other = next((c for c in cpus if c.number == number), None)
    if other is None:
        return None
    memory = memory_of(base, "running_timer")
    timer = int.from_bytes(bytes.fromhex(memory.bytes), "little")
    holder = Holder(other.task, alive=True, known_by="timer")
    name = reader.names.data(timer)
    return Lock("timer", Address(timer), name, holders=(holder,), because=(memory,))


def _running(prog: Any) -> list[tuple[int, Any]]:
    """Each CPU that carries out a timer's function, with its ``struct timer_base *``."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.percpu import per_cpu

    found: list[tuple[int, Any]] = []
    for cpu in list(for_each_present_cpu(prog))[:_MOST_CPUS]:
        try:
            bases = per_cpu(prog["timer_bases"], cpu)
            of_cpu = [bases[index] for index in range(bases.type_.length or 0)]
            found += [(cpu, base.address_of_()) for base in of_cpu if base.running_timer]
        except (FaultError, LookupError):
            continue
    return found
