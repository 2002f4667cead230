"""Display mounted file systems.

Examples
    crash> mount
    crash> mount /proc
    crash> mount -n 143
    crash> mount -i /tmp
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import task_expression
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Gap
from oopsight.shell.show import inode_type
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "mount [-f][-i] [-n pid|task] [mount|vfsmount|superblock|devname|dirname|inode]"
OPTIONS = {
    "-f": "open files of each file system, as the tasks have them",
    "-i": "inodes of each file system in memory, the dirty ones marked",
    "-n TASK": "in the namespace of a task",
}
DRGN = ("-n",)
_TITLE = "     MOUNT           SUPERBLK     TYPE   DEVNAME   DIRNAME"
# I_DIRTY_SYNC, I_DIRTY_DATASYNC, I_DIRTY_PAGES: include/linux/fs.h
_DIRTY = 7
MOST_INODES = 10_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """List the mounts."""
    from drgn.helpers.linux.fs import for_each_mount

    task = shell.find_task(args.value("-n") or "") if args.has("-n") else None
    namespace = None if task is None else task.nsproxy.mnt_ns.read_()
    walk = for_each_mount(shell.prog) if namespace is None else for_each_mount(namespace)
    wanted = args.rest[0] if args.rest else None
    single = args.has("-f", "-i")
    if not single:
        out.line(_TITLE)
    for mount in out.walk(walk, "list of mounts", 1_000_000):
        with out.item(f"mount {mount.value_():x}"):
            row = _row(mount, out)
            if wanted is not None and not _is(mount, row, wanted):
                continue
            if single:
                out.line(_TITLE)
            # A long type takes room from the device's column.
            width = 9 - max(0, len(str(row["type"])) - 6)
            out.row(
                f"{row['mount']:016x} {row['superblock']:016x} {row['type']!s:<6} "
                f"{row['device']!s:<{max(0, width)}} {row['directory']!s:<10}",
                **row,
            )
            if args.has("-f"):
                _files(shell, row, out)
            if args.has("-i"):
                _inodes(mount, out)


def _row(mount: Any, out: Out) -> dict[str, Any]:
    from drgn.helpers.linux.fs import mount_dst, mount_fstype, mount_src

    block = out.got(lambda: int(mount.mnt.mnt_sb.value_()), "superblock")
    return {
        "mount": Address(mount.value_()),
        "superblock": block if isinstance(block, Gap) else Address(block),
        "type": out.got(lambda: printable(mount_fstype(mount)), "type"),
        "device": out.got(lambda: printable(mount_src(mount)), "device"),
        "directory": out.got(lambda: printable(mount_dst(mount)), "directory"),
    }


def _is(mount: Any, row: dict[str, Any], wanted: str) -> bool:
    number = hexadecimal(wanted)
    if number is not None and number >> 47:
        if number in (row["mount"], row["superblock"], mount.mnt.address_):
            return True
        return bool(mount.mnt.mnt_root.d_inode.value_() == number)
    return wanted in (row["device"], row["directory"])


def _files(shell: Shell, row: dict[str, Any], out: Out) -> None:
    from drgn.helpers.linux.fs import for_each_file

    from oopsight.shell.commands.files import file_name

    out.line("OPEN FILES:\n     FILE            DENTRY           INODE       TYPE PATH")
    seen: set[int] = set()
    for task in shell.tasks():
        if out.got(lambda t=task: not t.files, "files") is not False:  # type: ignore[misc]
            continue
        for _, file in out.walk(for_each_file(task), "table of open files"):
            with out.item(f"file {file.value_():x}"):
                block = int(file.f_path.dentry.d_sb.value_())
                if block != row["superblock"] or file.value_() in seen:
                    continue
                seen.add(file.value_())
                dentry, inode = file.f_path.dentry.value_(), file.f_inode.value_()
                out.line(
                    f"{file.value_():016x} {dentry:016x} {inode:016x} "
                    f"{inode_type(file.f_inode):<4} {file_name(shell, file)}"
                )
    if not seen:
        out.line("No open files found")


def _inodes(mount: Any, out: Out) -> None:
    from drgn.helpers.linux.list import list_for_each_entry

    out.line("INODES:")
    head = mount.mnt.mnt_sb.s_inodes.address_of_()
    some = False
    for inode in out.walk(
        list_for_each_entry("struct inode", head, "i_sb_list"), "inodes", MOST_INODES
    ):
        with out.item(f"inode {inode.value_():x}"):
            some = True
            dirty = "  dirty" if _state(inode) & _DIRTY else ""
            out.line(f"{inode.value_():016x}{dirty}")
    if not some:
        out.line("No inodes found")


def _state(inode: Any) -> int:
    try:
        return int(inode.i_state.value_())
    except TypeError:
        return int(inode.i_state.member_("__state").value_())  # a struct since Linux 6.19


def drgn_code(shell: Shell, args: Args) -> str:
    """The mounts of a namespace."""
    task = shell.find_task(args.value("-n") or "") if args.has("-n") else None
    where = f"{task_expression(task)}.nsproxy.mnt_ns" if task is not None else "prog"
    return f"""
for mount in for_each_mount({where}):
    print(mount_src(mount).decode(), mount_dst(mount).decode(), mount_fstype(mount).decode())"""
