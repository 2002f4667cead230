from __future__ import annotations

from oopsight.kinds import Kind
from oopsight.oops import parse

FAULT = """\
<1>[   12.000001][  T77] BUG: kernel NULL pointer dereference, address: 0000000000000010
<4>[   12.000002][  T77] CPU: 1 PID: 77 Comm: reader Not tainted 6.1.0-9-amd64 #1
<4>[   12.000003][  T77] RIP: 0010:widget_read+0x1a/0x40 [widget]
<4>[   12.000004][  T77] RAX: 0000000000000000 RBX: 0000000000000001 RCX: 0000000000000002
<4>[   12.000005][  T77] Call Trace:
<4>[   12.000006][  T77]  ? stale_leftover+0x1/0x20
<4>[   12.000007][  T77]  vfs_read+0x9d/0x2a0
"""


def test_a_null_dereference_is_read_whole() -> None:
    (report,) = parse(FAULT.replace("BUG: kernel", "BUG: unable to handle kernel"))
    assert report.kind is Kind.NULL_DEREF
    assert report.function == "widget_read"
    assert report.instruction is not None
    assert report.instruction.module == "widget"
    assert report.task is not None
    assert (report.task.name, report.task.pid, report.task.cpu) == ("reader", 77, 1)
    assert dict(report.registers)["RAX"] == 0
    assert [frame.reliable for frame in report.trace] == [True, False, True]


def test_an_allocator_is_passed_over_with_its_reason() -> None:
    (report,) = parse(
        "BUG: KASAN: use-after-free in kfree+0x1/0x2\nRead of size 8 at addr ffff8880\n"
        "Call Trace:\n kfree+0x1/0x2\n widget_free+0x3/0x4\n"
    )
    assert report.title == "KASAN: use-after-free Read in widget_free"
    assert report.skipped[0].reason == "allocates or frees memory for its caller"


def test_a_warning_and_the_panic_it_ends_in_are_one_report() -> None:
    (report,) = parse(
        "WARNING: CPU: 0 PID: 1 at drivers/w.c:3 widget_open+0x1/0x2\n"
        "Kernel panic - not syncing: panic_on_warn set ...\nCall Trace:\n panic+0x1/0x2\n"
    )
    assert report.kind is Kind.WARNING
    assert report.function == "widget_open"


def test_a_loaded_kdump_kernel_is_no_part_of_the_task_s_name() -> None:
    (report,) = parse(FAULT.replace("Comm: reader", "Comm: reader Kdump: loaded"))
    assert report.task is not None
    assert report.task.name == "reader"


def test_a_boot_log_holds_no_crash() -> None:
    log = "[    0.0] Linux version 6.1\n[    0.1] printk: console enabled\n"
    assert parse(log) == ()
