"""Waiting on a CPU until a timer's function has ended: it runs on another, or is who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from oopsight.evidence import Address
from oopsight.evidence.hangs.cpus import Cpu
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import Holder, Lock
from oopsight.evidence.memory.slab_caches import memory_of

_MOST_CPUS = 4096


class _Kind(NamedTuple):
    """Of timers."""

    deletes: tuple[str, ...]
    """Functions that wait for the function of one."""
    runs: tuple[str, ...]
    """Functions that carry out those of timers."""
    bases: str
    """The per-CPU variable that tells which one runs."""
    running: str
    """Its member for that."""


_KINDS = (
    _Kind(
        ("del_timer_sync", "timer_delete_sync", "__timer_delete_sync", "timer_shutdown_sync"),
        ("call_timer_fn", "__run_timers", "run_timer_softirq"),
        "timer_bases",
        "running_timer",
    ),
    _Kind(
        ("hrtimer_cancel",),
        ("__hrtimer_run_queues", "hrtimer_run_softirq", "__run_hrtimer"),
        "hrtimer_bases",
        "running",
    ),
)


def of_cpu(
    prog: Any,
    reader: StackReader,
    cpu: Cpu,
    cpus: tuple[Cpu, ...],
    owner: Callable[[int], str | None],
) -> Lock | None:
    """The timer that a CPU's task deletes, if its function runs on another CPU, or is this task's.

    Which timer it is, the only one tells whose function runs; of several, the only one whose
    function is of the module that deletes.

    :param owner: the module that an address lies in
    """
    kind = next((one for one in _KINDS if cpu.stack.inside(*one.deletes) is not None), None)
    if kind is None:
        return None
    running = [
        one for one in _running(prog, kind) if one[0] != cpu.number or _within(cpu.stack, kind)
    ]
    if len(running) > 1:
        deleting = next((call.module for call in cpu.stack.blamable if call.module), "")
        running = [one for one in running if owner(_function(one[1], kind)) == deleting]
    if len(running) != 1:
        return None
    number, base = running[0]
    other = next((c for c in cpus if c.number == number), None)
    if other is None:
        return None
    memory = memory_of(base, kind.running)
    timer = int.from_bytes(bytes.fromhex(memory.bytes), "little")
    holder = Holder(other.task, alive=True, known_by="timer")
    name = reader.names.data(timer)
    return Lock("timer", Address(timer), name, holders=(holder,), because=(memory,))


def _function(base: Any, kind: _Kind) -> int:
    """What the timer calls that a base carries out; 0 where that cannot be read."""
    from drgn import FaultError

    for member in ("function", "_function"):
        try:
            return int(base.member_(kind.running).member_(member).value_())
        except LookupError:
            continue
        except FaultError:
            break
    return 0


def _within(stack: TaskStack, kind: _Kind) -> bool:
    """Whether it is a timer's function that deletes."""
    deletes = stack.inside(*kind.deletes)
    outside = [call for call in stack.calls if deletes is not None and call.index > deletes.index]
    return any(call.function.partition(".")[0] in kind.runs for call in outside)


def _running(prog: Any, kind: _Kind) -> list[tuple[int, Any]]:
    """Each CPU that carries out a timer's function, with the base that the timer belongs to."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.percpu import per_cpu

    found: list[tuple[int, Any]] = []
    for cpu in list(for_each_present_cpu(prog))[:_MOST_CPUS]:
        try:
            bases = list(_bases(per_cpu(prog[kind.bases], cpu)))
            found += [(cpu, one.address_of_()) for one in bases if one.member_(kind.running)]
        except (FaultError, LookupError):
            continue
    return found


def _bases(of_cpu: Any) -> Iterator[Any]:
    """Those of one CPU: ``struct timer_base`` or ``struct hrtimer_clock_base``."""
    each = of_cpu if of_cpu.type_.kind.name == "ARRAY" else of_cpu.clock_base
    for index in range(each.type_.length or 0):
        yield each[index]
