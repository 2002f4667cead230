"""Pointers in the kernel's registries that lead into memory of modules that are gone.

Each is a crash waiting for whoever follows it next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from oopsight.evidence import Address, Missing
from oopsight.evidence.modules import Modules
from oopsight.evidence.pointers import Memory
from oopsight.evidence.slab_caches import SlabCaches, memory_of, target
from oopsight.session import Session

MOST_TIMERS = 100_000


@dataclass(frozen=True)
class Dangling:
    """One pointer into the module area where no module is loaded."""

    registry: str
    """What it hangs on: ``slab_caches``, ``timer wheel`` …"""
    label: str
    """What the object calls itself where that can still be read."""
    target: Address
    memory: Memory


@dataclass(frozen=True)
class DanglingPointers:
    """What was found, and which registries could not be looked through."""

    found: tuple[Dangling, ...]
    unchecked: tuple[str, ...]


def _timers(session: Session) -> Iterator[Any]:
    """Pending ``struct timer_list *`` of all CPUs, bounded."""
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.timer import timer_base_for_each

    def walk() -> Iterator[Any]:
        for cpu in for_each_possible_cpu(session.prog):
            for base in per_cpu(session.prog["timer_bases"], cpu):
                yield from timer_base_for_each(base.address_of_())

    return islice(walk(), MOST_TIMERS)


def collect(session: Session, modules: Modules, caches: SlabCaches | Missing) -> DanglingPointers:
    """Look through the registries that were read."""

    def leads_nowhere(address: int) -> bool:
        return modules.in_area(address) and modules.owner(address) is None

    found: list[Dangling] = []
    unchecked: list[str] = []
    if isinstance(caches, Missing):
        unchecked.append(f"slab_caches: {caches.detail}")
    else:
        for cache in caches.caches:
            name = cache.name if isinstance(cache.name, str) else cache.created_as or "unnamed"
            found.extend(
                Dangling("slab_caches", name, target(memory), memory)
                for memory in (cache.name_pointer, cache.constructor)
                if memory is not None and leads_nowhere(target(memory))
            )
    try:
        for timer in _timers(session):
            memory = memory_of(timer, "function")
            if leads_nowhere(target(memory)):
                found.append(Dangling("timer wheel", "timer", target(memory), memory))
    except Exception as error:  # noqa: BLE001  # one registry must not hide the others
        unchecked.append(f"timers: {error}")
    return DanglingPointers(tuple(found), tuple(unchecked))
