"""Display the tasks that use a file or a mount point.

``cwd``, ``root``, ``exe``, ``mmap`` and ``fd`` tell how they use it.

Examples
    crash> fuser /proc/slabinfo
    crash> fuser /tmp
    crash> fuser ffff8ebac26090f8
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.kernel.paths import path_of
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import comm_of, pid_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "fuser [path | inode | dentry | vfsmount]"
OPTIONS: dict[str, str] = {}
_ORDER = ("cwd", "root", "exe", "mmap", "fd")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Look at every task's uses."""
    from oopsight.shell import CommandError

    if len(args.rest) != 1:
        raise CommandError(f"one path or address is needed; usage: {SYNOPSIS}")
    word = args.rest[0]
    wanted = None if word.startswith("/") else hexadecimal(word)
    title = False
    for task in shell.tasks():
        with out.item(f"task {task.value_():x}"):
            uses = {use for use, path in _uses(task, out) if _is(path, word, wanted)}
            if not uses:
                continue
            if not title:
                out.line(" PID         TASK        COMM             USAGE")
                title = True
            usage = [use for use in _ORDER if use in uses]
            comm = f'"{comm_of(task)}"'
            out.row(
                f"{pid_of(task):5}  {task.value_():016x}  {comm:<16} {' '.join(usage)} ",
                pid=pid_of(task),
                task=Address(task.value_()),
                command=comm_of(task),
                usage=usage,
            )
    if not title:
        out.line(f"No users of {word} found")


def _uses(task: Any, out: Out) -> Iterator[tuple[str, Any]]:
    """What a task uses, as ``struct path *`` each."""
    from drgn.helpers.linux.fs import for_each_file
    from drgn.helpers.linux.mm import for_each_vma

    if task.fs:
        yield "cwd", task.fs.pwd.address_of_()
        yield "root", task.fs.root.address_of_()
    if task.files:
        for _, file in out.walk(for_each_file(task), "table of open files"):
            yield "fd", file.f_path.address_of_()
    if task.mm:
        try:
            if task.mm.exe_file:
                yield "exe", task.mm.exe_file.f_path.address_of_()
            for vma in for_each_vma(task.mm):
                if vma.vm_file:
                    yield "mmap", vma.vm_file.f_path.address_of_()
        except readable_errors():
            pass


def _is(path: Any, word: str, wanted: int | None) -> bool:
    try:
        if wanted is not None:
            return wanted in (
                path.dentry.value_(),
                path.dentry.d_inode.value_(),
                path.mnt.value_(),
            )
        name = path_of(path)
        return name == word or (
            word != "/" and name.startswith(word.rstrip("/") + "/") and _mount(path, word)
        )  # one condition
    except readable_errors():
        return False


def _mount(path: Any, word: str) -> bool:
    """Whether the word is where the path's file system is mounted."""
    from drgn import container_of
    from drgn.helpers.linux.fs import mount_dst

    from oopsight.text import printable

    mount = container_of(path.mnt, "struct mount", "mnt")
    return printable(mount_dst(mount)) == word.rstrip("/")


def drgn_code(shell: Shell, args: Args) -> str:
    """All open files of all tasks, by their path."""
    del shell
    name = (args.rest[0] if args.rest else "/").encode()
    return f"""
for task in for_each_task(prog):
    if any(d_path(file.f_path) == {name!r} for _, file in for_each_file(task)):
        print(task.pid.value_(), task.comm.string_().decode())"""
