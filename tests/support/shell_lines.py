# ruff: noqa: E501  # tables, a line of the file for several of theirs
"""Command lines with all options of all commands, with addresses that mean something on a dump."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.shell import Shell
from oopsight.shell.output import readable_errors

# Values for the arguments of options, by their name in the documentation.
_VALUES = {
    "CPUS": "0", "WHICH": "idle", "REF": "init", "IP": "{text}", "SP": "{stack}", "POLICY": "0",
    "OFFSET": "8", "COUNT": "2", "ADDR": "{task}", "STRUCT": "task_struct.pid", "MEMBER": "flags",
    "SLAB": "kmalloc-8", "DENTRY": "{dentry}", "INODE": "{inode}", "VMA": "{vma}", "MM": "{mm}",
    "FLAGS": "8000075", "TASK": "1", "RANGE": "16", "TYPE": "rbtree", "END": "{end}",
    "START": "{stack}", "LENGTH": "1000", "MASK": "fff", "SIGSET": "8800", "ID": "1", "NAME": "read",
    "FILE": "/dev/null", "NUM": "2", "shared": "shared", "INDEX": "0", "MODULE": "{module}",
    "STRING": "slab_show", "CPU": "0",
}  # fmt: skip
# What each command needs beside options.
_ARGUMENTS = {
    "*": "task_struct.pid {task}", "ascii": "62697370", "btop": "512a000", "dis": "{text} 4",
    "eval": "128m", "files": "1", "fuser": "/dev/null", "gdb": "print jiffies", "help": "bt",
    "ipcs": "", "irq": "", "kmem": "{task}", "list": "-H modules module.list", "net": "1",
    "p": "jiffies", "pte": "8000000001234063", "ptob": "512a", "ptov": "56e000",
    "rd": "{task} 4", "repeat": "1 p jiffies", "rustfilt": "_RNvC7mycrate3foo",
    "sbitmapq": "{task}", "search": "{task}", "sig": "1", "struct": "task_struct.pid {task}",
    "sym": "{text}", "task": "-R pid", "tree": "vmap_area_root", "union": "thread_union",
    "vm": "1", "vtop": "{task}", "waitq": "{task}", "whatis": "list_head", "wr": "jiffies 1",
    "foreach": "1 bt", "bt": "1", "refs": "{task}", "what": "{task}", "alias": "kp kmem -p",
}  # fmt: skip
_SLOW = ("search", "refs", "kmem -p", "kmem -m", "kmem -F")
# Lines that options alone do not give.
_MORE = (
    "bt", "bt -a -s -x", "bt -FF", "foreach bt", "foreach files", "foreach vm", "foreach task -R pid",
    "foreach sig", "foreach set", "foreach net -s", "foreach kernel ps", "foreach RU ps",
    "foreach vtop {task}", "ps", "ps -k", "ps init", "ps 'no.*such'", "struct task_struct",
    "struct task_struct -o", "struct task_struct {task}", "struct task_struct -o {task}",
    "struct list_head 0", "struct nosuchthing", "struct task_struct.nosuch {task}",
    "struct task_struct.mm.pgd,comm {task}", "rq runqueues:a", "p runqueues:a", "p nosuch", "p 1/0",
    "p *(struct task_struct *)0x{task}", "p init_task.tasks.next->next", "p (char)65", "p -x jiffies",
    "rd 0", "rd ffffffffffffffff 2", "rd -8 {task} 40", "rd -SS {stack} 16", "dis 0", "dis nosuch",
    "dis -r {text}", "dis -l {text} 8", "list {task}", "list -h {task} -o task_struct.tasks -r -B",
    "list task_struct.tasks -h {task} -s task_struct.comm,pid", "tree -t maple {mm}",
    "tree -t xarray {mapping} -p", "tree 0", "kmem -s list", "kmem -S kmalloc-64", "kmem {stack}",
    "kmem {text}", "kmem 1000", "kmem nosuch", "vtop 0", "vtop -u 400000", "pte 0", "pte ff00",
    "sym nosuch", "sym 0", "sym panic+8", "net", "mount", "mount /", "dev", "irq 0", "set", "set 1",
    "set -p", "set radix 16", "set radix 10", "waitq log_wait", "help all", "nosuch", "bt nosuch",
    "why", "why 1", "why 99", "what 0", "what rip", "what {stack}", "unloaded", "suspects", "locks",
    "timeline", "ps --json", "kmem -s --json", "mod --json", "bt --json", "net -S 1", "fuser /",
    "files -R null", "foreach files -R null", "vm -R 400000", "sys -c 59", "sys config", "log -T",
    "kmem -g 1fffff", "whatis -m mm_struct", "whatis task_struct", "bpf -P", "bpf -M", "runq -g",
)  # fmt: skip


def places(shell: Shell) -> dict[str, str]:
    """Addresses of things in the dump; zero where there are none."""
    found: dict[str, str] = dict.fromkeys(
        ("task", "stack", "end", "text", "dentry", "inode", "mapping", "mm", "vma"), "0"
    )
    found["module"] = "nosuch"

    def put(name: str, read: Any) -> None:
        try:
            found[name] = f"{int(read()):x}"
        except readable_errors():
            return

    task = shell.task
    put("task", task.value_)
    put("stack", lambda: task.stack.value_() + 0x3000)
    put("end", lambda: task.stack.value_() + 0x3800)
    put("text", lambda: shell.names.address_of("vfs_read") or 0)
    try:
        from drgn.helpers.linux.fs import for_each_file
        from drgn.helpers.linux.mm import for_each_vma

        file = next(f for t in shell.tasks() if t.files for _, f in for_each_file(t))
        put("dentry", file.f_path.dentry.value_)
        put("inode", file.f_inode.value_)
        put("mapping", lambda: file.f_inode.i_mapping.i_pages.address_)
        user = next(t for t in shell.tasks() if t.mm)
        put("mm", user.mm.value_)
        put("vma", lambda: next(iter(for_each_vma(user.mm))).value_())
    except (StopIteration, *readable_errors()):
        pass
    modules = shell.names.modules
    if modules is not None and modules.loaded:
        found["module"] = modules.loaded[0].name
    return found


def lines(shell: Shell, *, slow: bool = True) -> Iterator[str]:
    """Every command bare, with its arguments, and with each of its options."""
    known = places(shell)
    for name in shell.command_names():
        command = shell.command(name)
        if command is None or name in ("exit", "q", "extend"):
            continue
        argument = _ARGUMENTS.get(name, "")
        templates = [name, f"{name} {argument}".strip()]
        for option in command.options.values():
            value = _VALUES.get(option.metavar or "", "1")
            flag = option.flag
            given = f"{flag}={value}" if option.optional else f"{flag} {value}"
            templates += [f"{name} {given if option.metavar else flag} {argument}".strip()]
            templates += [f"{name} {given if option.metavar else flag}"]
        yield from _filled(templates, known, slow=slow)
    yield from _filled(list(_MORE), known, slow=slow)


def _filled(templates: list[str], known: dict[str, str], *, slow: bool) -> Iterator[str]:
    for template in dict.fromkeys(templates):
        if not slow and template.startswith(_SLOW):
            continue
        text = template
        for name, value in known.items():
            text = text.replace("{" + name + "}", value)
        yield text
