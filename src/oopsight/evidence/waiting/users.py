"""Taking a file of ``/proc`` away: it waits until nobody is in its functions."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.stacks import TaskStack
from oopsight.evidence.waiting import Lock
from oopsight.evidence.waiting.scan import Scan, stack_size, value
from oopsight.text import printable

REMOVING = ("proc_entry_rundown",)
USING = ("proc_reg_*",)
"""Functions through which the files' own are called."""
_ENTRY = "struct proc_dir_entry"
_KERNEL = 1 << 63


def of_completion(scan: Scan, completion: int) -> Lock | None:
    """The entry, among what the stack's words lead to, that is to signal the completion."""
    from drgn import FaultError, Object

    for _, word in scan.words():
        if word < _KERNEL or word % 8:
            continue
        link = scan.memory(_ENTRY, word, "pde_unload_completion")
        if link is None or value(link) != completion:
            continue
        try:
            title = printable(Object(scan.prog, f"{_ENTRY} *", word).name.string_())
        except (FaultError, LookupError):
            title = "?"
        return Lock("users", Address(word), f"of the file {title} in /proc", because=(link,))
    return None


def used(prog: Any, task: Any, stack: TaskStack) -> Iterator[int]:
    """What a task can be using that is in a call of such a file's functions.

    :param task: ``struct task_struct *``
    """
    from drgn import FaultError

    if not stack.calls or stack.inside(*USING) is None:
        return
    start = int(stack.calls[0].sp)
    try:
        size = task.stack.value_() + stack_size(prog) - start
        data = prog.read(start, size & ~7) if 0 < size <= stack_size(prog) else b""
    except FaultError:
        return
    for (word,) in struct.iter_unpack("<Q", data):
        if word >= _KERNEL and word % 8 == 0:
            yield word
