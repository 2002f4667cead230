"""Whose memory an address of user space is."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, NamedTuple

from oopsight.errors import SymbolError
from oopsight.session import Session
from oopsight.text import c_string, printable

_MOST_TASKS = 4096


class UserArea(NamedTuple):
    """An area of an address space that holds the address."""

    text: str
    own: bool
    """Whether the address space is the crashed task's."""


def user_area(session: Session, address: int) -> UserArea | None:
    """The area of the crashed task's address space; of a thread of the kernel, of anybody's.

    Such a thread has none of its own, and uses whichever was there last.
    """
    from drgn import FaultError
    from drgn.helpers.linux.panic import panic_task
    from drgn.helpers.linux.pid import for_each_task

    try:
        task = panic_task(session.prog)
        if task.mm:
            return _area_of(task, address, own=True)
        for task in itertools.islice(for_each_task(session.prog), _MOST_TASKS):
            with contextlib.suppress(FaultError):
                area = _area_of(task, address, own=False) if task.mm else None
                if area is not None:
                    return area
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return None
    return None


def _area_of(task: Any, address: int, *, own: bool) -> UserArea | None:
    from drgn.helpers.linux.mm import vma_find

    area = vma_find(task.mm, address)
    if not area:
        return None
    name = printable(c_string(task.comm))
    begin, end = area.vm_start.value_(), area.vm_end.value_()
    return UserArea(f"in the address space of {name}, {begin:#x}-{end:#x}", own)
