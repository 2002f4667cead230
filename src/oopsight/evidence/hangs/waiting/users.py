"""Taking a file of ``/proc``, sysfs or debugfs away: it waits until nobody is in its functions.

Whoever is in them has the open file on its stack, which leads to what is taken away. A function of
the file that takes away its own waits for itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import TaskStack
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan, stack_size, value
from oopsight.text import c_string, printable

FUNCTIONS = ("kernfs_drain",)
_ENTRY = "struct proc_dir_entry"
_NODE = "struct kernfs_node"
_RECORD = "struct debugfs_fsdata"
_KERNEL = 1 << 63
_DEACTIVATED = -(1 << 31) + 1
"""KN_DEACTIVATED_BIAS: what ``kernfs_node.active`` counts from once the node goes."""
_MOST_USERS = 10_000


def find(scan: Scan) -> Lock | None:
    """The node of sysfs, among what the stack's words lead to, that goes and has users left."""
    for _, word in scan.words():
        if word < _KERNEL or word % 8:
            continue
        active = scan.memory(_NODE, word, "active.counter")
        if active is None or not 0 < _signed(value(active)) - _DEACTIVATED <= _MOST_USERS:
            continue
        title = _title(scan.object(_NODE, word), "name")
        if title is not None:
            return Lock("users", Address(word), f"of the file {title} in sysfs", because=(active,))
    return None


def of_completion(scan: Scan, completion: int) -> Lock | None:
    """The file whose last user is to signal the completion."""
    if scan.stack.inside("proc_entry_rundown"):
        return _of_proc(scan, completion)
    if scan.stack.inside("debugfs_remove*", "remove_one", "__debugfs_file_removed"):
        return _of_debugfs(scan, completion)
    return None


def _of_proc(scan: Scan, completion: int) -> Lock | None:
    for _, word in scan.words():
        if word < _KERNEL or word % 8:
            continue
        link = scan.memory(_ENTRY, word, "pde_unload_completion")
        if link is None or value(link) != completion:
            continue
        title = _title(scan.object(_ENTRY, word), "name") or "?"
        return Lock("users", Address(word), f"of the file {title} in /proc", because=(link,))
    return None


def _of_debugfs(scan: Scan, completion: int) -> Lock | None:
    offset = scan.offset(_RECORD, "active_users_drained")
    if offset is None:
        return None
    for _, word in scan.words():
        if word < _KERNEL or word % 8:
            continue
        link = scan.memory("struct dentry", word, "d_fsdata")
        if link is None or value(link) != completion - offset:
            continue
        title = _title(scan.object("struct dentry", word), "d_name.name") or "?"
        record = Address(completion - offset)
        return Lock("users", record, f"of the file {title} in debugfs", because=(link,))
    return None


def _signed(number: int) -> int:
    number &= (1 << 32) - 1
    return number - (1 << 32) if number >> 31 else number


def _title(pointer: Any, member: str) -> str | None:
    from drgn import FaultError

    try:
        return printable(c_string(pointer[0].subobject_(member))) or None
    except (FaultError, LookupError, AttributeError):
        return None


class Users(NamedTuple):
    """Who is in a file system's files."""

    inside: tuple[str, ...]
    """Functions through which the files' own are called."""
    thing: Callable[[Any], Any]
    """What of an open file is taken away: ``struct file *`` to a pointer."""


def _entry(file: Any) -> Any:
    from drgn import container_of

    return container_of(file.f_inode, "struct proc_inode", "vfs_inode").pde


USERS = (
    Users(("proc_reg_*",), _entry),
    Users(("kernfs_fop_*", "kernfs_seq_*", "kernfs_vma_*"), lambda file: file.f_inode.i_private),
    Users(("full_proxy_*", "debugfs_attr_*"), lambda file: file.f_path.dentry.d_fsdata),
)


def used(prog: Any, task: Any, stack: TaskStack) -> Iterator[int]:
    """What a task uses that is in a call of such a file's functions, as its open files tell.

    :param task: ``struct task_struct *``
    """
    from drgn import FaultError, Object

    inside = [users for users in USERS if stack.inside(*users.inside) is not None]
    if not stack.calls or not inside:
        return
    for word in _pointers(prog, task, int(stack.calls[0].sp)):
        file = Object(prog, "struct file *", word)
        for users in inside:
            try:
                if file.f_inode.value_() != file.f_path.dentry.d_inode.value_():
                    break  # no open file
                thing = users.thing(file).value_()
            except (FaultError, LookupError, AttributeError):
                continue
            if thing >= _KERNEL:
                yield thing


def _pointers(prog: Any, task: Any, start: int) -> set[int]:
    """The words of a task's stack, from an address on, that can point to an object."""
    from drgn import FaultError

    try:
        size = task.stack.value_() + stack_size(prog) - start
        data = prog.read(start, size & ~7) if 0 < size <= stack_size(prog) else b""
    except FaultError:
        return set()
    words = (word for (word,) in struct.iter_unpack("<Q", data))
    return {word for word in words if word >= _KERNEL and word % 8 == 0}
