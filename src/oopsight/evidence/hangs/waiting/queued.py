"""What a work item is to signal that waits its turn: who is ahead of it holds it up."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from oopsight.evidence.hangs.stacks import StackReader, task_pointer
from oopsight.evidence.hangs.waiting import Holder
from oopsight.evidence.hangs.waiting.pools import held_up
from oopsight.plumbing import base_name

_MOST_QUEUES = 1000
_MOST_ITEMS = 200


def queued(
    reader: StackReader, workers: list[Any], wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], tuple[str, list[Holder]]]:
    """Work items that are to signal what is wanted, and who holds them up, by what is wanted.

    A queue that may carry out only so many items at a time keeps the others on a list of its own;
    the next ones to begin are on the list of their pool.

    :param workers: ``struct worker *`` of all that carry out an item
    """
    from drgn import FaultError

    found: dict[tuple[str, int], tuple[str, list[Holder]]] = {}
    for items, holders in (*_of_pools(workers), *_of_queues(workers)):
        try:
            for item in items:
                function, address = item.func.value_(), item.value_()
                for key in reader.signals(function, {"rdi": address}) & wanted:
                    name = base_name(reader.names.code(function)[0])
                    found.setdefault(key, (name, holders))
        except FaultError:
            continue
    return {key: item for key, item in found.items() if item[1]}


_Waiting = Iterator[tuple[Iterator[Any], list[Holder]]]
"""Items, ``struct work_struct *``, and who holds them up."""


def _of_queues(workers: list[Any]) -> _Waiting:
    """What each queue keeps back."""
    from drgn import FaultError

    seen: set[int] = set()
    for worker in workers:
        try:
            queue = worker.current_pwq.wq.read_()
        except FaultError:
            continue
        if queue.value_() not in seen and len(seen) < _MOST_QUEUES:
            seen.add(queue.value_())
            yield _waiting(queue), _carrying_out(workers, queue.value_())


def _of_pools(workers: list[Any]) -> _Waiting:
    """What is next in each CPU's pool in which one runs without end."""
    from drgn import FaultError
    from drgn.helpers.linux.list import list_for_each_entry

    seen: set[int] = set()
    for worker in workers:
        try:
            pool = worker.pool.read_()
        except FaultError:
            continue
        if pool.value_() in seen or len(seen) >= _MOST_QUEUES:
            continue
        seen.add(pool.value_())
        holders = held_up(workers, pool)
        if holders:
            items = list_for_each_entry("struct work_struct", pool.worklist.address_of_(), "entry")
            yield islice(items, _MOST_ITEMS), holders


def _waiting(queue: Any) -> Iterator[Any]:
    """Items that wait until fewer are carried out: ``struct work_struct *``.

    :param queue: ``struct workqueue_struct *``
    """
    from drgn.helpers.linux.list import list_for_each_entry

    for count, part in enumerate(
        list_for_each_entry("struct pool_workqueue", queue.pwqs.address_of_(), "pwqs_node")
    ):
        if count >= _MOST_QUEUES:
            return
        try:
            # Since Linux 5.16 (commit f97a4a1a3f87).
            head = part.inactive_works.address_of_()
        except AttributeError:
            head = part.delayed_works.address_of_()
        for number, item in enumerate(list_for_each_entry("struct work_struct", head, "entry")):
            if number >= _MOST_ITEMS:
                break
            yield item


def _carrying_out(workers: list[Any], queue: int) -> list[Holder]:
    from drgn import FaultError

    found = []
    for worker in workers:
        try:
            if worker.current_pwq.wq.value_() == queue:
                found.append(Holder(task_pointer(worker.task), alive=True, known_by="queue"))
        except FaultError:
            continue
    return found
