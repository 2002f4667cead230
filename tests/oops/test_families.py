"""Every machine's and release's words for a crash, as the kernel's print statements have them."""

from __future__ import annotations

import pytest

from oopsight.kinds import Kind
from oopsight.oops import parse

X86_TRACE = """\
CPU: 1 PID: 77 Comm: reader Tainted: G        W  O      {release} #1
RIP: 0010:widget_read+0x1a/0x40 [widget]
Call Trace:
 <TASK>
 vfs_read+0x9d/0x2a0
 ksys_read+0x6f/0xf0
 do_syscall_64+0x5c/0xc0
"""
STACK = "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nCall Trace:\n"

CASES = {
    "x86 NULL, 5.x": (
        "BUG: kernel NULL pointer dereference, address: 0000000000000010\n"
        "#PF: supervisor read access in kernel mode\n" + X86_TRACE,
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "x86 paging, 4.x": (
        "BUG: unable to handle kernel paging request at ffffffffa0395070\n"
        "IP: [<ffffffff812ae3a9>] widget_read+0x9/0x20\nOops: 0000 [#1] SMP\n" + X86_TRACE,
        Kind.PAGE_FAULT,
        "BUG: unable to handle kernel paging request in widget_read",
    ),
    "x86 page fault within the first page": (
        "BUG: unable to handle page fault for address: 0000000000000038\n" + X86_TRACE,
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "x86 GPF, 6.10": (
        "Oops: general protection fault, probably for non-canonical address "
        "0xdead000000000108: 0000 [#1] PREEMPT SMP\n" + X86_TRACE,
        Kind.GENERAL_PROTECTION,
        "general protection fault in widget_read",
    ),
    "x86 divide": (
        "divide error: 0000 [#1] SMP\n" + X86_TRACE,
        Kind.DIVIDE_ERROR,
        "divide error in widget_read",
    ),
    "x86 BUG": (
        "------------[ cut here ]------------\nkernel BUG at drivers/widget.c:33!\n"
        "invalid opcode: 0000 [#1] SMP\n" + X86_TRACE,
        Kind.BUG,
        "kernel BUG in widget_read",
    ),
    "WARN, 2.6.32": (
        "WARNING: at drivers/widget.c:33 widget_open+0x33/0x44() (Not tainted)\n"
        "Pid: 1, comm: a Not tainted 2.6.32-71.el6 #1\nCall Trace:\n"
        " [<ffffffff8106b8b7>] ? warn_slowpath_common+0x87/0xc0\n"
        " [<ffffffff8106b90a>] warn_slowpath_null+0x1a/0x20\n"
        " [<ffffffffa0000123>] widget_open+0x33/0x44 [widget]\n",
        Kind.WARNING,
        "WARNING in widget_open",
    ),
    "WARN, 7.x": (
        "WARNING: [count > 3] drivers/widget.c:33 at widget_open+0x33/0x44, CPU#0: a/1\n"
        "CPU: 0 UID: 0 PID: 1 Comm: a Not tainted 7.2.0 #1 PREEMPT\n"
        "RIP: 0010:widget_open+0x33/0x44\nCall Trace:\n vfs_open+0x1/0x2\n",
        Kind.WARNING,
        "WARNING in widget_open",
    ),
    "refcount": (
        "refcount_t: underflow; use-after-free.\n"
        "WARNING: CPU: 0 PID: 1 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110\n"
        + STACK
        + " refcount_warn_saturate+0xba/0x110\n widget_put+0x1/0x2\n",
        Kind.REFCOUNT,
        "WARNING: refcount bug in widget_put",
    ),
    "list": (
        "list_del corruption. prev->next should be ffff8880, but was 0000\n"
        "------------[ cut here ]------------\nkernel BUG at lib/list_debug.c:53!\n"
        "invalid opcode: 0000 [#1] SMP\nCPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\n"
        "RIP: 0010:__list_del_entry_valid+0x1/0x2\nCall Trace:\n widget_free+0x1/0x2\n",
        Kind.LIST_CORRUPTION,
        "BUG: corrupted list in widget_free",
    ),
    "KASAN": (
        "BUG: KASAN: slab-use-after-free in widget_read+0x1a/0x40 [widget]\n"
        "Read of size 8 at addr ffff888012345678 by task reader/77\n" + STACK
        + " dump_stack_lvl+0x1/0x2\n kasan_report+0x1/0x2\n widget_read+0x1a/0x40 [widget]\n",
        Kind.USE_AFTER_FREE,
        "KASAN: slab-use-after-free Read in widget_read",
    ),
    "arm64": (
        "Unable to handle kernel paging request at virtual address ffff000012345678\n"
        "Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP\n"
        "CPU: 1 PID: 77 Comm: reader Not tainted 6.1.0 #1\npc : widget_read+0x1a/0x40 [widget]\n"
        "lr : vfs_read+0x1/0x2\nx29: ffff800008123d80 x28: ffff000012340000\nCall trace:\n"
        " widget_read+0x1a/0x40 [widget]\n vfs_read+0x9d/0x2a0\n el0_svc+0x1/0x2\n",
        Kind.PAGE_FAULT,
        "BUG: unable to handle kernel paging request in widget_read",
    ),
    "arm": (
        "Unable to handle kernel NULL pointer dereference at virtual address 00000004 when read\n"
        "[00000004] *pgd=00000000\nInternal error: Oops: 5 [#1] SMP ARM\n"
        "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nPC is at widget_read+0x10/0x20\n"
        "LR is at vfs_read+0x1/0x2\npc : [<80123456>]    lr : [<80123450>]    psr: 60000013\n"
        " widget_read from vfs_read+0x1/0x2\n vfs_read from ksys_read+0x1/0x2\n",
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "riscv": (
        "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000008\n"
        "Oops [#1]\nCPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\n"
        "epc : widget_read+0x10/0x20\n ra : vfs_read+0x1/0x2\n"
        "[<ffffffff80123456>] widget_read+0x10/0x20\n[<ffffffff80123460>] vfs_read+0x1/0x2\n",
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "s390": (
        "Unable to handle kernel pointer dereference in virtual kernel address space\n"
        "Failing address: 0000000000000000 TEID: 0000000000000483\n"
        "Oops: 0004 ilc:2 [#1] SMP\nCPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\n"
        "Krnl PSW : 0704c00180000000 000003ff80123456 (widget_read+0x10/0x20 [widget])\n"
        "Call Trace:\n [<000003ff80123456>] widget_read+0x10/0x20 [widget]\n"
        " [<0000000000223456>] vfs_read+0x1/0x2\n",
        Kind.PAGE_FAULT,
        "BUG: unable to handle kernel paging request in widget_read",
    ),
    "powerpc, 5.x": (
        "BUG: Kernel NULL pointer dereference on read at 0x00000008\n"
        "Faulting instruction address: 0xc008000000123456\n"
        "Oops: Kernel access of bad area, sig: 11 [#1]\n"
        "CPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\nNIP:  c008000000123456 LR: c000000000123456\n"
        "NIP [c008000000123456] widget_read+0x10/0x20 [widget]\n"
        "LR [c000000000123456] vfs_read+0x1/0x2\nCall Trace:\n"
        "[c0000000012ab000] [c000000000123456] vfs_read+0x1/0x2 (unreliable)\n"
        "[c0000000012ab100] [c000000000123456] ksys_read+0x1/0x2\n",
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "mips": (
        "CPU 0 Unable to handle kernel paging request at virtual address 00000000, epc == 80123456"
        ", ra == 80123460\nOops[#1]:\nCPU: 0 PID: 1 Comm: a Not tainted 6.1.0 #1\n"
        "$ 0   : 00000000 00000001 80123456 00000000\n"
        "epc   : 80123456 widget_read+0x10/0x20\nra    : 80123460 vfs_read+0x1/0x2\n"
        "Call Trace:\n[<80123456>] widget_read+0x10/0x20\n[<80123460>] vfs_read+0x1/0x2\n",
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "32-bit x86": (
        "BUG: unable to handle kernel NULL pointer dereference at 00000004\n"
        "IP: [<c0123456>] widget_read+0x10/0x20\nOops: 0000 [#1] SMP\n"
        "Pid: 77, comm: reader Not tainted (2.6.35 #1) x\n"
        "EIP: 0060:[<c0123456>] EFLAGS: 00010246 CPU: 0\nEIP is at widget_read+0x10/0x20\n"
        "EAX: 00000000 EBX: c0123456 ECX: 00000001 EDX: 00000002\n"
        "Call Trace:\n [<c0223456>] ? vfs_read+0x1/0x2\n",
        Kind.NULL_DEREF,
        "BUG: unable to handle kernel NULL pointer dereference in widget_read",
    ),
    "guard page, 5.10": (
        "BUG: stack guard page was hit at 00000000a1 (stack is 00000000b2..00000000c3)\n"
        "kernel stack overflow (page fault): 0000 [#1] SMP\n" + X86_TRACE,
        Kind.STACK_OVERFLOW,
        "BUG: stack guard page was hit in widget_read",
    ),
    "soft lockup": (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [a:1]\n"
        "CPU: 1 PID: 1 Comm: a Not tainted 6.1.0 #1\nRIP: 0010:widget_spin+0x1/0x2\n"
        "Call Trace:\n widget_ioctl+0x1/0x2\n vfs_ioctl+0x1/0x2\n __x64_sys_ioctl+0x1/0x2\n",
        Kind.SOFT_LOCKUP,
        "BUG: soft lockup in widget_ioctl",
    ),
    "RCU stall": (
        "rcu: INFO: rcu_preempt self-detected stall on CPU\n"
        "rcu: \t1-....: (5249 ticks this GP) idle=2a3/1/0x4000000000000000\n" + STACK
        + " <IRQ>\n rcu_sched_clock_irq+0x1/0x2\n </IRQ>\n widget_timer+0x1/0x2\n"
        " call_timer_fn+0x1/0x2\n run_timer_softirq+0x1/0x2\n",
        Kind.RCU_STALL,
        "INFO: rcu detected stall in widget_timer",
    ),
    "hung task": (
        "INFO: task reader:77 blocked for more than 120 seconds.\n"
        "      Not tainted 6.1.0 #1\ntask:reader state:D stack:0 pid:77 ppid:1 flags:0x4\n"
        "Call Trace:\n <TASK>\n __schedule+0x1/0x2\n schedule+0x1/0x2\n"
        " schedule_preempt_disabled+0x1/0x2\n __mutex_lock.constprop.0+0x1/0x2\n"
        " widget_read+0x1/0x2\n vfs_read+0x1/0x2\n",
        Kind.HUNG_TASK,
        "INFO: task hung in widget_read",
    ),
    "hard lockup": (
        "watchdog: Watchdog detected hard LOCKUP on cpu 3\n"
        "CPU: 3 PID: 1 Comm: a Not tainted 6.1.0 #1\nRIP: 0010:native_queued_spin_lock_slowpath+1\n"
        "Call Trace:\n _raw_spin_lock_irqsave+0x1/0x2\n widget_write+0x1/0x2\n vfs_write+0x1/0x2\n",
        Kind.HARD_LOCKUP,
        "NMI watchdog: Watchdog detected hard LOCKUP in widget_write",
    ),
    "lockdep": (
        "WARNING: possible circular locking dependency detected\n6.1.0 #1 Not tainted\n"
        "reader/77 is trying to acquire lock:\n"
        "ffff888012345678 (&w->lock){+.+.}-{3:3}, at: widget_read+0x1/0x2\n\n"
        "but task is already holding lock:\n"
        "ffff888012345679 (&v->lock){+.+.}-{3:3}, at: widget_open+0x1/0x2\n",
        Kind.DEADLOCK,
        "possible deadlock in widget_read",
    ),
    "sleeping": (
        "BUG: sleeping function called from invalid context at mm/slab.h:494\n"
        "in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 1, name: a\n" + STACK
        + " dump_stack_lvl+0x1/0x2\n __might_resched.cold+0x1/0x2\n kmem_cache_alloc+0x1/0x2\n"
        " widget_read+0x1/0x2\n",
        Kind.SLEEPING_IN_ATOMIC,
        "BUG: sleeping function called from invalid context in widget_read",
    ),
    "slub": (
        "=============================================================================\n"
        "BUG kmalloc-64 (Tainted: G    B  ): Poison overwritten\n"
        "-----------------------------------------------------------------------------\n" + STACK
        + " check_bytes_and_report+0x1/0x2\n kmem_cache_alloc+0x1/0x2\n widget_read+0x1/0x2\n",
        Kind.MEMORY_CORRUPTION,
        "BUG: Poison overwritten in widget_read",
    ),
    "hung task panic": (
        "Kernel panic - not syncing: hung_task: blocked tasks\n" + STACK + " panic+0x1/0x2\n",
        Kind.HUNG_TASK,
        "kernel panic: hung_task: blocked tasks",
    ),
    "machine check": (
        "Kernel panic - not syncing: Fatal machine check on current CPU\n" + STACK,
        Kind.HARDWARE_ERROR,
        "kernel panic: Fatal machine check on current CPU",
    ),
    "no root": (
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n" + STACK,
        Kind.PANIC_OTHER,
        "kernel panic: VFS: Unable to mount root fs on unknown-block(NUM,NUM)",
    ),
    "kmemleak": (
        'unreferenced object 0xffff888012345678 (size 64):\n  comm "a", pid 1, jiffies 4294\n'
        "  backtrace:\n    [<00000000>] kmalloc_trace+0x1/0x2\n"
        "    [<00000000>] widget_open+0x1/0x2\n",
        Kind.MEMORY_LEAK,
        "memory leak in widget_open",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_first_report_has_its_kind_and_title(name: str) -> None:
    text, kind, title = CASES[name]
    first = parse(text.replace("{release}", "6.1.0-9-amd64"))[0]
    assert first.kind is kind
    assert first.title == title


@pytest.mark.parametrize("name", CASES)
def test_and_no_second_one_is_made_of_it(name: str) -> None:
    assert len(parse(CASES[name][0])) == 1


@pytest.mark.parametrize(
    "line",
    [
        "[    0.000000] WARNING: RO_VPD is uninitialized or empty.",
        "traps: prog[12] general protection fault ip:7f00 sp:7ffe error:0 in libc.so[7f00+1000]",
        "prog[12]: segfault at 0 ip 0000 sp 0000 error 4 in prog[1000+1000]",
        "Linux version 6.1.0 (gcc) #1 SMP PREEMPT",
        "mce: [Hardware Error]: Machine check events logged",
        "Alignment trap: not handling instruction f46107cf at [<004e5c4c>]",
        "ACPI BIOS Error (bug): Could not resolve symbol",
        "watchdog: Delayed init of the lockup detector",
        "rcu: Hierarchical RCU implementation.",
        "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.",
        "Warning: Permanently added '10.0.0.1' (ECDSA) to the list of known hosts.",
    ],
)
def test_a_healthy_line_is_no_report(line: str) -> None:
    assert parse(line) == ()
