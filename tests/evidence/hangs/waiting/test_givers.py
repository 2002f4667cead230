"""Whose code has what names no owner."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from handmade_waits import LOCK_A, call, held, stack

from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.hangs.waiting.givers import gives, holds

READER = cast("StackReader", SimpleNamespace(prog=None, ahead=lambda *_: []))
OWNING = call(4, "tcp_recvmsg", module=None, holds=(held(LOCK_A, "socket", "lock_sock_nested"),))


def test_whoever_sleeps_with_a_socket_owned_holds_it() -> None:
    inner = call(3, "drv_send", module="drv")
    assert gives(READER, None, stack(1, inner, OWNING)) == {("socket", LOCK_A)}


def test_a_function_that_waits_for_data_gives_the_socket_back_meanwhile() -> None:
    inner = call(3, "sk_wait_data", module=None)
    assert gives(READER, None, stack(1, inner, OWNING)) == set()


def test_what_a_stack_holds() -> None:
    reading = call(5, "event", holds=(held(LOCK_A, "srcu", "__srcu_read_lock"),))
    assert holds(stack(1, call(3, "drop"), reading, OWNING)) == {
        ("srcu", LOCK_A),
        ("socket", LOCK_A),
    }
