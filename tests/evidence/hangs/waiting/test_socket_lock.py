"""A socket that is owned keeps others waiting in ``lock_sock()``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from handmade_memory import BASE, Kernel

from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.hangs.waiting.scan import Scan
from oopsight.evidence.hangs.waiting.socket_lock import find
from oopsight.evidence.pointers import TaskPointer

TASK = BASE + 0x100
STACK = BASE + 0x4000
WAITER = STACK + 0x3000
SOCKET = BASE + 0x8040
QUEUE = SOCKET + 16
PROTOCOL = BASE + 0x9000


def kernel(owned: int) -> Kernel:
    """A task that waits to own a socket."""
    made = Kernel()
    word, lists = made.word, made.type("list_head")
    made.struct("task_struct", flags=word, stack=made.prog.pointer_type(made.prog.void_type()))
    made.struct("wait_queue_entry", private=word, entry=lists)
    made.struct("wait_queue_head", head=lists)
    made.struct("socket_lock_t", owned=word, wq=made.type("wait_queue_head"))
    made.struct("proto", name=made.prog.array_type(made.prog.int_type("char", 1, True), 32))
    made.struct("sock_common", skc_prot=made.prog.pointer_type(made.type("proto")))
    made.struct(
        "sock",
        __sk_common=made.type("sock_common"),
        sk_lock=made.type("socket_lock_t"),
    )
    made.put(TASK + 8, STACK)
    made.put(SOCKET, PROTOCOL)
    made.put(PROTOCOL, int.from_bytes(b"TEST\0\0\0\0", "little"))
    made.put(SOCKET + 8, owned)
    made.put(WAITER, TASK)
    made.put(WAITER + 8, QUEUE)
    made.put(WAITER + 16, QUEUE)
    made.put(QUEUE, WAITER + 8)
    made.put(QUEUE + 8, WAITER + 8)
    return made


def scan(made: Kernel) -> Scan:
    waiting = TaskStack(TaskPointer(1, "worker", Address(TASK)), 0, "D", ())
    reader = cast("StackReader", SimpleNamespace(names=SimpleNamespace(data=lambda _: None)))
    return Scan(made.prog, reader, waiting, (STACK + 0x2000, STACK + 0x4000), {})


def test_the_socket_is_found_by_its_queue() -> None:
    found = find(scan(kernel(1)))
    assert found is not None
    assert (found.kind, found.address) == ("socket", SOCKET)
    assert found.name == f"of protocol TEST at {SOCKET:#x}"
    assert found.because


def test_one_that_nobody_owns_is_not_waited_for() -> None:
    assert find(scan(kernel(0))) is None
