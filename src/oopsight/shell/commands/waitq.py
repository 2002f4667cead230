"""Display the tasks that wait on a wait queue.

Examples
By symbol, by address, and as a member of an object:

    crash> waitq log_wait
    crash> waitq ffff8ebac28b9880
    crash> waitq task_struct.signal.wait_chldexit ffff8ebac120a0c0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import one_address
from oopsight.shell.commands.runq import task_text
from oopsight.shell.tasks import pid_of
from oopsight.shell.types import find_struct, member_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "waitq [ symbol ] | [ struct.member struct_addr ] | [ address ]"
OPTIONS: dict[str, str] = {}
MOST = 1_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Walk the queue."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"a wait queue is needed; usage: {SYNOPSIS}")
    head = _head(shell, args)
    some = False
    for address, task in out.walk(_waiters(shell, head), "wait queue", MOST):
        some = True
        if task is None:
            out.row(
                f"{address:x}: no task waits here, a function is called", entry=Address(address)
            )
            continue
        with out.item(f"waiting task {task.value_():x}"):
            out.row(
                task_text(task),
                entry=Address(address),
                task=Address(task.value_()),
                pid=pid_of(task),
            )  # one row
    if not some:
        out.line(f'wait queue "{args.rest[0]}" ({head.value_():x}) is empty')


def _head(shell: Shell, args: Args) -> Any:
    from drgn import Object

    kind = "struct wait_queue_head *"
    try:
        shell.prog.type("struct wait_queue_head")
    except LookupError:
        kind = "struct __wait_queue_head *"  # before Linux 4.13 (commit 9d9d676f595b)
    name, dot, member = args.rest[0].partition(".")
    if dot and len(args.rest) > 1:
        owner = Object(
            shell.prog, find_struct(shell.prog, name), address=shell.address(args.rest[1])
        )
        value = member_of(owner, member)
        address = value.address_
        if value.type_.type_name().endswith("*"):
            address = value.value_()
        return Object(shell.prog, kind, address)
    return Object(shell.prog, kind, shell.address(args.rest[0]))


def _waiters(shell: Shell, head: Any) -> Any:
    """Entries of a queue with the task each wakes; ``None`` where it calls something else."""
    from drgn import Object
    from drgn.helpers.linux.list import list_for_each_entry

    prog = shell.prog
    try:
        entries = list_for_each_entry("struct wait_queue_entry", head.head.address_of_(), "entry")
    except (AttributeError, LookupError):
        entries = list_for_each_entry(
            "struct __wait_queue", head.task_list.address_of_(), "task_list"
        )
    known = {task.value_() for task in shell.tasks()}
    for entry in entries:
        private = int(entry.private.value_())
        if private in known:
            yield entry.value_(), Object(prog, "struct task_struct *", private)
            continue
        task = _of_poll(shell, entry, known)
        yield entry.value_(), task


def _of_poll(shell: Shell, entry: Any, known: set[int]) -> Any | None:
    """The task of an entry that select() or poll() made."""
    from drgn import Object, container_of

    named = shell.names.of(int(entry.func.value_()))
    if named is None or named.name != "pollwake":
        return None
    pollers = container_of(entry, "struct poll_table_entry", "wait")
    queues = Object(shell.prog, "struct poll_wqueues *", pollers.wait.private.value_())
    address = int(queues.polling_task.value_())
    return Object(shell.prog, "struct task_struct *", address) if address in known else None


def drgn_code(shell: Shell, args: Args) -> str:
    """The entries of the queue that are tasks."""
    where = one_address(shell, args)
    return f"""
queue = Object(prog, "wait_queue_head_t *", {where})
for task in waitqueue_for_each_task(queue):
    print(hex(task), task.comm.string_().decode())"""
