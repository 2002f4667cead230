"""The task on whose kernel stack an address lies."""

from __future__ import annotations

import itertools
from typing import Any

from oopsight.evidence.memory.owner import stack_size
from oopsight.session import Session

_MOST_TASKS = 20_000


def task_with_stack_at(session: Session, address: int) -> Any | None:
    """The ``struct task_struct *`` whose stack has the address.

    :return: ``None`` where it is on no stack of the first :data:`_MOST_TASKS` tasks, or where the
        list of tasks cannot be read up to the one
    """
    from drgn import FaultError
    from drgn.helpers.linux.pid import for_each_task

    size = stack_size(session)
    try:
        for task in itertools.islice(for_each_task(session.prog), _MOST_TASKS):
            begin = task.stack.value_()
            if begin <= address < begin + size:
                return task
    except (FaultError, LookupError, AttributeError):
        return None
    return None
