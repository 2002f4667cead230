"""What every debugger reads before its first prompt.

The kernel's own variables, and the ORC rows by which it unwinds the stacks that are shown.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oopsight.evidence.modules.modules import Module
from oopsight.minicore.record import PAGE
from oopsight.text import c_string

if TYPE_CHECKING:
    from drgn import Program

_RANGES = (
    ("_sdata", "_edata"),
    ("__start_ro_after_init", "__end_ro_after_init"),
    ("__bss_start", "__bss_stop"),
    # Where every sleeping task and every system call has its last frames.
    ("__sched_text_start", "__sched_text_end"),
    ("__entry_text_start", "__entry_text_end"),
)
# Constants that crash compares with the vmlinux, or reads before its prompt.
_CONSTANTS = {"linux_banner": 512, "pageflag_names": 1024}
# Functions whose beginning crash looks at to learn how the kernel was compiled.
_SAMPLES = (
    "common_interrupt",
    "__x64_sys_open",
    "__x64_sys_read",
    "__x64_sys_fork",
    "__ia32_sys_fork",
    "sys_open",
    "sys_read",
    "sys_fork",
    "schedule",
    "__schedule",
    "vfs_read",
    "do_syscall_64",
    "entry_SYSCALL_64",
    "__do_fast_syscall_32",
    "do_int80_emulation",
    "do_futex",
    "default_do_nmi",
    "ret_from_fork",
    "ret_from_fork_asm",
)
_PER_CPU = ("runqueues", "cpu_tss_rw", "cpu_number", "pcpu_hot", "current_task", "irq_stack_ptr")
_FEW_CPUS = 16
_MOST_FLAGS = 64
_MOST_DEPTH = 64
"""Directories above an open file."""
_EXCEPTION_STACK = 8192
_MOST = 256 << 20
MOST_TASKS = 1024
MOST_MODULE = 4 << 20
"""Bytes kept of each module on the crash path or out of tree; and of all others together."""
_MOST_CODE = 16 << 10
_BEFORE = 512
"""Bytes of code kept before a program counter, and after it."""
_ORC_BLOCK = 256
"""Bytes of text for which ``orc_lookup`` has an entry: arch/x86/include/asm/orc_lookup.h."""
_ORC_ENTRY = 6
_ROOTS = 16 << 10
"""Bytes of ``mem_section``'s table of roots that are looked at."""


def _stack_size(prog: Program) -> int:
    """THREAD_SIZE, which drgn finds out."""
    try:
        return int(prog["THREAD_SIZE"].value_())
    except LookupError:
        return 16 << 10  # x86-64's without KASAN


def _touch(prog: Program, start: int, size: int) -> None:
    """Read what can be read of a range, page by page."""
    from drgn import FaultError

    for address in range(start & -PAGE, start + min(size, _MOST), PAGE):
        with contextlib.suppress(FaultError):
            prog.read(address, PAGE)


def _address(prog: Program, name: str) -> int | None:
    try:
        return int(prog.symbol(name).address)
    except LookupError:
        return None


def keep_variables(prog: Program) -> None:
    """Read the kernel's data, zeroed data, and data that is read-only after boot."""
    from drgn import FaultError

    for first, last in _RANGES:
        start, stop = _address(prog, first), _address(prog, last)
        if start is not None and stop is not None and start < stop:
            _touch(prog, start, stop - start)
    for name, size in _CONSTANTS.items():
        address = _address(prog, name)
        if address is not None:
            _touch(prog, address, size + address % PAGE)
    keep_code(prog, [a for a in (_address(prog, name) for name in _SAMPLES) if a is not None])
    with contextlib.suppress(LookupError, FaultError):
        for flag in itertools.islice(prog["pageflag_names"], _MOST_FLAGS):
            c_string(flag.name)
    _keep_sections(prog)
    _keep_nodes(prog)


def keep_per_cpu(prog: Program) -> None:
    """Read the CPUs' own variables: all of them where the CPUs are few."""
    from drgn import FaultError, sizeof
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    cpus = list(for_each_possible_cpu(prog))
    start, end = _address(prog, "__per_cpu_start"), _address(prog, "__per_cpu_end")
    for cpu in cpus:
        _keep_page_directory(prog, cpu)
        for name in _PER_CPU:
            with contextlib.suppress(FaultError, LookupError):
                variable = per_cpu(prog[name], cpu)
                _touch(prog, variable.address_, sizeof(variable) + variable.address_ % PAGE)
        if len(cpus) <= _FEW_CPUS:
            _keep_exception_stacks(prog, cpu)
        if len(cpus) <= _FEW_CPUS and start is not None and end is not None:
            with contextlib.suppress(FaultError, LookupError):
                base = prog["__per_cpu_offset"][cpu].value_()
                _touch(prog, base + start & (1 << 64) - 1, end - start)


def _keep_page_directory(prog: Program, cpu: int) -> None:
    """Read the page directory that was in use on a CPU.

    QEMU notes it, and libkdumpfile then begins all its walks there. With page table isolation
    the user's half lies beside the kernel's.
    """
    from drgn import FaultError
    from drgn.helpers.linux.sched import cpu_curr

    with contextlib.suppress(FaultError, LookupError, AttributeError):
        directory = cpu_curr(prog, cpu).active_mm.pgd.value_()
        _touch(prog, directory & -2 * PAGE, 2 * PAGE)


def _keep_exception_stacks(prog: Program, cpu: int) -> None:
    """Read the stacks of NMIs, double faults and the like, and the way to them."""
    from drgn import FaultError
    from drgn.helpers.linux.percpu import per_cpu

    with contextlib.suppress(FaultError, LookupError, AttributeError):
        for top in per_cpu(prog["cpu_tss_rw"], cpu).x86_tss.ist:
            if top:
                _touch(prog, top.value_() - _EXCEPTION_STACK, _EXCEPTION_STACK)


def keep_tasks(prog: Program) -> None:
    """Read whole ``struct task_struct`` and stacks: debuggers take them in one piece."""
    from drgn import FaultError, sizeof
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import idle_task

    with contextlib.suppress(FaultError, LookupError):
        size = sizeof(prog.type("struct task_struct"))
        stack = _stack_size(prog)
        idle = (idle_task(prog, cpu) for cpu in for_each_possible_cpu(prog))
        tasks = itertools.chain(idle, for_each_task(prog))
        for task in itertools.islice(tasks, MOST_TASKS):
            _touch(prog, task.value_(), size + task.value_() % PAGE)
            with contextlib.suppress(FaultError, LookupError, AttributeError):
                _touch(prog, task.stack.value_(), stack)


def keep_files(prog: Program, task: int, files: Iterable[int]) -> None:
    """Read a task's table of files and its open files, with their directory entries and inodes.

    :param files: addresses of ``struct file``
    """
    from drgn import FaultError, Object, sizeof

    def keep(pointer: Any) -> None:
        address = pointer.value_()
        _touch(prog, address, sizeof(pointer.type_.type) + address % PAGE)

    with contextlib.suppress(FaultError, LookupError, AttributeError):
        pointer = Object(prog, "struct task_struct *", task)
        for member in ("files", "fs", "mm", "signal", "cred"):
            keep(pointer.member_(member).read_())
        keep(pointer.files.fdt.read_())
    for address in files:
        with contextlib.suppress(FaultError, LookupError, AttributeError):
            file = Object(prog, "struct file *", address)
            keep(file)
            keep(file.f_inode)
            entry = file.f_path.dentry.read_()
            for _ in range(_MOST_DEPTH):
                keep(entry)
                keep(entry.d_inode)
                parent = entry.d_parent.read_()
                if parent == entry:
                    break
                entry = parent


def keep_modules(prog: Program, modules: Iterable[Module], near: set[str | None]) -> None:
    """Read the memory of the modules that matter, and of the others as long as it is little.

    :param near: names of the modules on the crash path
    """
    others = 0
    for module in modules:
        size = sum(end - start for start, end in module.ranges)
        if module.name not in near and not module.taints:
            others += size
            if others > MOST_MODULE:
                continue
        for start, end in module.ranges:
            _touch(prog, start, min(end - start, MOST_MODULE))


def text_on_stack(prog: Program, task: int) -> list[int]:
    """Every word of a task's stack that is an address of the kernel's code.

    Debuggers that search the stack for return addresses look at the code of each.
    """
    from drgn import FaultError, Object

    start, end = _address(prog, "_stext"), _address(prog, "_etext")
    if start is None or end is None:
        return []
    try:
        stack = Object(prog, "struct task_struct *", task).stack.value_()
        data = prog.read(stack, _stack_size(prog))
    except (FaultError, LookupError, AttributeError):
        return []
    words = {int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)}
    return sorted(word for word in words if start <= word < end)


def keep_code(prog: Program, addresses: Iterable[int]) -> None:
    """Read the code around some program counters, and where their functions begin."""
    for address in addresses:
        _touch(prog, address - _BEFORE, PAGE + (address - _BEFORE) % PAGE)
        with contextlib.suppress(LookupError):
            symbol = prog.symbol(address)
            _touch(prog, symbol.address, min(symbol.size, _MOST_CODE) + PAGE)


def _keep_nodes(prog: Program) -> None:
    """Read the memory nodes with their zones: ``node_data``."""
    from drgn import FaultError, sizeof

    with contextlib.suppress(FaultError, LookupError):
        size = sizeof(prog.type("struct pglist_data"))
        for node in prog["node_data"]:
            if node:
                _touch(prog, node.value_(), size + node.value_() % PAGE)


def _keep_sections(prog: Program) -> None:
    """Read the tables by which memory's ``struct page`` are found: ``mem_section``."""
    from drgn import FaultError

    with contextlib.suppress(FaultError, LookupError, ValueError, TypeError):
        table = prog["mem_section"].value_()
        for page in range(table, table + _ROOTS, PAGE):
            data = prog.read(page, PAGE)
            for at in range(0, PAGE, 8):
                root = int.from_bytes(data[at : at + 8], "little")
                if root:
                    _touch(prog, root, PAGE)


def keep_unwinding(prog: Program, addresses: Iterable[int]) -> None:
    """Read the ORC rows of some program counters, where the kernel has ORC.

    :param addresses: in the kernel itself
    """
    from drgn import FaultError

    names = ("_stext", "_etext", "orc_lookup", "__start_orc_unwind_ip", "__start_orc_unwind")
    found = [_address(prog, name) for name in names]
    places = [address for address in found if address is not None]
    if len(places) < len(names):
        return
    text, end, lookup, counters, rows = places
    for address in addresses:
        if not text <= address < end:
            continue
        block = lookup + (address - text) // _ORC_BLOCK * 4
        with contextlib.suppress(FaultError):
            first, last = prog.read_u32(block), prog.read_u32(block + 4)
            count = min(max(last - first, 0) + 2, PAGE)
            _touch(prog, counters + 4 * first, 4 * count)
            _touch(prog, rows + _ORC_ENTRY * first, _ORC_ENTRY * count)
