from __future__ import annotations

import pytest

from oopsight.kinds import Kind
from oopsight.oops.blame import (
    by_its_name,
    guilty_file,
    innermost,
    outermost,
    thread_of,
    title_name,
)
from oopsight.oops.facts import Frame


def frames(*names: str) -> list[Frame]:
    return [Frame(name, 1, 2) for name in names]


def test_the_innermost_that_serves_nobody_is_to_blame() -> None:
    function, skipped = innermost(frames("memcpy", "kfree", "widget_read", "vfs_read"))
    assert function == "widget_read"
    assert [one.function for one in skipped] == ["memcpy", "kfree"]
    assert all(one.reason for one in skipped)


def test_leftovers_and_inlined_calls_are_never_to_blame() -> None:
    path = [Frame("stale", 1, 2, reliable=False), Frame("small", inline=True), *frames("big")]
    assert innermost(path)[0] == "big"


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (("spin", "widget_ioctl", "do_vfs_ioctl", "ksys_ioctl"), "widget_ioctl"),
        (("spin", "widget_write", "vfs_write", "ksys_write", "__x64_sys_write"), "widget_write"),
        (("spin", "widget_timer", "call_timer_fn", "run_timer_softirq"), "widget_timer"),
        (("spin", "widget_rcv", "__netif_receive_skb_core", "process_backlog"), "widget_rcv"),
        (("spin", "widget_work", "process_one_work", "worker_thread", "kthread"), "widget_work"),
        (("spin", "widget_show", "seq_read_iter", "proc_reg_read_iter", "vfs_read"), "widget_show"),
        (("spin", "widget_compat_ioctl", "__ia32_compat_sys_ioctl"), "spin"),
        (("spin", "widget_mount", "__x64_sys_mount", "do_syscall_64"), "sys_mount"),
        (("spin", "cpu_startup_entry"), None),
    ],
)
def test_a_stall_is_of_the_subsystem_that_was_entered(
    path: tuple[str, ...], entry: str | None
) -> None:
    assert outermost(frames(*path)) == entry


def test_a_kernel_thread_is_named_by_its_function() -> None:
    assert thread_of(frames("schedule", "widget_thread", "kthread", "ret_from_fork")) == (
        "widget_thread"
    )
    assert thread_of(frames("worker_thread", "kthread")) is None


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("__x64_sys_mount", "sys_mount"),
        ("__arm64_sys_recvmmsg", "sys_recvmmsg"),
        ("__se_sys_mremap", "mremap"),
        ("SyS_rmdir", "rmdir"),
        ("compat_SyS_mount", "mount"),
        ("widget_read.constprop.0.cold", "widget_read"),
        ("do_sys_poll", "do_sys_poll"),
    ],
)
def test_a_system_call_has_one_name(symbol: str, name: str) -> None:
    assert title_name(symbol) == name


def test_a_subsystems_own_allocator_does_not_leak_what_it_gives_away() -> None:
    told = by_its_name(Kind.MEMORY_LEAK)
    assert told is not None
    assert told("widget_alloc") is not None
    assert told("widget_open") is None
    assert by_its_name(Kind.BUG) is None


def test_the_guilty_file_serves_nobody() -> None:
    path = [
        Frame("kfree", 1, 2, file="mm/slub.c", line=1),
        Frame("list_del", file="include/linux/list.h", line=1, inline=True),
        Frame("widget_free", file="drivers/widget/main.c", line=7, inline=True),
    ]
    assert guilty_file(path) == "drivers/widget/main.c"
    assert guilty_file(path[:2]) is None
