"""Types by the names that are typed at the prompt: ``task_struct``, ``struct page``, ``pid_t``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drgn import Program, Type

MEMBER = re.compile(r"[A-Za-z_]\w*(\[\d+\])*(\.[A-Za-z_]\w*(\[\d+\])*)*")
_NAME = re.compile(r"[A-Za-z_]\w*")


def find_struct(prog: Program, name: str, kind: str = "*") -> Type:
    """A struct, a union, or a typedef of one.

    :param kind: ``struct``, ``union``, or ``*`` for both
    :raises LookupError: if there is none
    """
    from drgn import TypeKind

    name = name.removeprefix("struct ").removeprefix("union ").strip()
    if not _NAME.fullmatch(name):
        raise LookupError(f"{name!r} is no type's name")
    for tag in ("struct", "union"):
        if kind in ("*", tag):
            try:
                return prog.type(f"{tag} {name}")
            except (LookupError, SyntaxError):
                continue
    found = prog.type(name)
    wanted = {"*": (TypeKind.STRUCT, TypeKind.UNION), "struct": (TypeKind.STRUCT,)}
    if found.unaliased_kind() not in wanted.get(kind, (TypeKind.UNION,)):
        raise LookupError(f"{name} is no {'struct or union' if kind == '*' else kind}")
    return found


def find_type(prog: Program, name: str) -> Type:
    """Any type by its C name, with or without the tag.

    :raises LookupError: if there is none
    """
    try:
        return find_struct(prog, name)
    except LookupError:
        pass
    try:
        return prog.type(name)
    except SyntaxError as error:
        raise LookupError(f"{name!r} is no type: {error}") from None
    except LookupError:
        return prog.type(f"enum {name}")


def unaliased(type_: Type) -> Type:
    """The type behind typedefs."""
    from drgn import TypeKind

    while type_.kind == TypeKind.TYPEDEF:
        type_ = type_.type
    return type_


def offset_of(prog: Program, word: str) -> int:
    """An offset in bytes: a number, or ``type.member``.

    :raises LookupError: if there is no such member
    :raises ValueError: if it is neither
    """
    from drgn import offsetof

    if "." in word:
        name, _, member = word.partition(".")
        return int(offsetof(find_struct(prog, name), member))
    try:
        return int(word, 0)
    except ValueError:
        return int(word, 16)


def member_of(value: Any, path: str) -> Any:
    """A member of an object by its path: ``f_path.dentry``, ``name[0]``, pointers followed."""
    for part in re.findall(r"[A-Za-z_]\w*|\[\d+\]", path):
        value = value[int(part[1:-1])] if part.startswith("[") else value.member_(part)
    return value


def type_names(shell: Any) -> list[str]:
    """Names of the structs that commands are mostly typed with: those that variables have."""
    if "type-names" not in shell.cache:
        found: set[str] = set()
        for name in _COMMON:
            try:
                shell.prog.type(f"struct {name}")
            except LookupError:
                continue
            found.add(name)
        shell.cache["type-names"] = sorted(found)
    names: list[str] = shell.cache["type-names"]
    return names


# drgn gives no list of all types; these are what a crash is looked into with.
_COMMON = [
    "task_struct",
    "thread_info",
    "mm_struct",
    "vm_area_struct",
    "file",
    "inode",
    "dentry",
    "super_block",
    "mount",
    "vfsmount",
    "address_space",
    "page",
    "folio",
    "slab",
    "kmem_cache",
    "kmem_cache_cpu",
    "kmem_cache_node",
    "zone",
    "pglist_data",
    "module",
    "list_head",
    "hlist_head",
    "hlist_node",
    "rb_node",
    "rb_root",
    "xarray",
    "maple_tree",
    "radix_tree_root",
    "cred",
    "signal_struct",
    "sighand_struct",
    "sigaction",
    "pid",
    "rq",
    "cfs_rq",
    "sched_entity",
    "sched_class",
    "timer_list",
    "hrtimer",
    "work_struct",
    "delayed_work",
    "workqueue_struct",
    "worker",
    "worker_pool",
    "mutex",
    "rw_semaphore",
    "semaphore",
    "spinlock",
    "raw_spinlock",
    "completion",
    "wait_queue_head",
    "wait_queue_entry",
    "socket",
    "sock",
    "tcp_sock",
    "inet_sock",
    "unix_sock",
    "sk_buff",
    "net_device",
    "net",
    "net_bridge",
    "neighbour",
    "irq_desc",
    "irqaction",
    "irq_data",
    "pci_dev",
    "device",
    "device_driver",
    "bus_type",
    "kobject",
    "kset",
    "gendisk",
    "block_device",
    "request",
    "request_queue",
    "bio",
    "blk_mq_hw_ctx",
    "cgroup",
    "css_set",
    "cgroup_subsys_state",
    "mem_cgroup",
    "pt_regs",
    "stack_frame",
    "file_operations",
    "inode_operations",
    "super_operations",
    "seq_file",
    "seq_operations",
    "proc_dir_entry",
    "proc_inode",
    "kernfs_node",
    "bpf_prog",
    "bpf_map",
    "perf_event",
    "tracepoint",
    "notifier_block",
    "rcu_head",
    "rcu_data",
    "srcu_struct",
    "ktime",
    "timespec64",
    "tty_struct",
    "console",
    "printk_record",
    "nsproxy",
]
