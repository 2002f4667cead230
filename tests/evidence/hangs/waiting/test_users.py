"""Whoever takes a file away waits for those that are in its functions, itself among them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import drgn
import pytest
from handmade_memory import BASE, Kernel
from handmade_waits import call

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting import users
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.pointers import TaskPointer

TASK = BASE + 0x100
FILE, INODE, DENTRY = BASE + 0x200, BASE + 0x300, BASE + 0x400
NODE, NAME = BASE + 0x500, BASE + 0x600
RECORD = BASE + 0x700
STACK = BASE + 0x4000
SP = STACK + 0x3F00
DEACTIVATED = 0x80000001


def kernel() -> Kernel:
    """A file of sysfs and debugfs whose functions a task is in, by its open file."""
    made = Kernel()
    word = made.word
    pointer = made.prog.pointer_type(made.prog.void_type())
    made.struct("task_struct", flags=word, stack=pointer)
    made.struct("thread_union", stack=made.prog.array_type(word, 0x4000 // 8))
    made.struct("inode", i_private=pointer)
    text = made.prog.pointer_type(made.prog.int_type("char", 1, True))
    made.struct("qstr", name=text)
    inode = made.prog.pointer_type(made.type("inode"))
    made.struct("dentry", d_inode=inode, d_name=made.type("qstr"), d_fsdata=pointer)
    made.struct("path", dentry=made.prog.pointer_type(made.type("dentry")))
    made.struct("file", f_path=made.type("path"), f_inode=inode)
    made.struct("atomic_t", counter=made.prog.int_type("int", 4, True))
    made.struct("kernfs_node", active=made.type("atomic_t"), name=text)
    made.struct("debugfs_fsdata", real_fops=pointer, active_users_drained=word)
    made.put(TASK + 8, STACK)
    made.put(FILE, DENTRY)
    made.put(FILE + 8, INODE)
    made.put(DENTRY, INODE)
    made.put(DENTRY + 8, NAME)
    made.put(DENTRY + 16, RECORD)
    made.put(INODE, NODE)
    made.put(NODE, DEACTIVATED + 1)
    made.put(NODE + 8, NAME)
    made.put(NAME, int.from_bytes(b"delete\0\0", "little"))
    return made


@pytest.fixture(autouse=True)
def _size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "stack_size", lambda _: 0x4000)


def stack(*functions: str) -> TaskStack:
    calls = tuple(
        call(i, name, module=None, sp=Address(SP + 8 * i)) for i, name in enumerate(functions)
    )
    return TaskStack(TaskPointer(1, "worker", Address(TASK)), 0, "D", calls)


def used(made: Kernel, *functions: str) -> set[int]:
    task = drgn.Object(made.prog, made.prog.pointer_type(made.type("task_struct")), TASK)
    return set(users.used(made.prog, task, stack(*functions)))


def scan(made: Kernel, *functions: str) -> Scan:
    reader = cast("StackReader", SimpleNamespace())
    return Scan(made.prog, reader, stack(*functions), (SP, STACK + 0x4000), {})


def test_a_task_in_a_files_functions_uses_what_its_open_file_leads_to() -> None:
    made = kernel()
    made.put(SP + 0x40, FILE)
    assert used(made, "drv_store", "kernfs_fop_write_iter") == {NODE}
    assert used(made, "drv_write", "full_proxy_write") == {RECORD}
    assert used(made, "drv_store", "vfs_write") == set()


def test_what_a_task_takes_away_is_not_what_it_uses() -> None:
    """The node and its record stand on the stack, but the open file is another's."""
    made = kernel()
    for at, value in enumerate((NODE, RECORD, DENTRY, INODE)):
        made.put(SP + 0x40 + 8 * at, value)
    assert used(made, "kernfs_drain", "drv_store", "kernfs_fop_write_iter") == set()


def test_a_node_that_goes_and_has_users_left_is_waited_for() -> None:
    made = kernel()
    made.put(SP + 0x40, NODE)
    found = users.find(scan(made, "schedule", "kernfs_drain"))
    assert found is not None
    assert (found.kind, found.address) == ("users", NODE)
    assert found.name == "of the file delete in sysfs"
    made.put(NODE, DEACTIVATED)
    assert users.find(scan(made, "schedule", "kernfs_drain")) is None
    made.put(NODE, 1)
    assert users.find(scan(made, "schedule", "kernfs_drain")) is None


def test_a_file_of_debugfs_is_found_by_the_completion_of_its_last_user() -> None:
    made = kernel()
    made.put(SP + 0x40, DENTRY)
    removing = scan(made, "__wait_for_common", "remove_one")
    found = users.of_completion(removing, RECORD + 8)
    assert found is not None
    assert (found.address, found.name) == (RECORD, "of the file delete in debugfs")
    assert users.of_completion(removing, RECORD) is None
    assert users.of_completion(scan(made, "__wait_for_common"), RECORD + 8) is None
