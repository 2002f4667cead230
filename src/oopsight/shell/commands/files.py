"""Display the open files of tasks, or what a dentry or inode is.

Examples
The open files of the task that crashed, and of others:

    crash> files
    crash> files 1 137

The name of a dentry, as its file system shows it:

    crash> files -d ffff8ebac25e9600

Only files whose name, inode or number is this; with the pages they have in memory:

    crash> files -R slabinfo
    crash> files -c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.kernel.paths import path_of
from oopsight.shell.code import for_tasks
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.show import header_of, inode_type, task_data
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "files [-d dentry] | [-p inode] | [-c] [-n] [-R reference] [pid | task] ..."
OPTIONS = {
    "-d DENTRY": "what this dentry is",
    "-p INODE": "the pages of this inode",
    "-c": "each file's mapping and number of pages in memory",
    "-n": "with the task's namespace root and mount of each file",
    "-R REF": "only files of this number, name, or address of file, dentry or inode",
}
DRGN = ("-d",)
MOST_PAGES = 1_000_000
_DENTRY_TITLE = "     DENTRY           INODE           SUPERBLK     TYPE PATH"
_SOCKET_TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 10: "PACKET"}
# include/linux/socket.h
_FAMILIES = {1: "UNIX", 2: "INET", 10: "INET6", 16: "NETLINK", 17: "PACKET", 38: "ALG", 40: "VSOCK"}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show files."""
    if args.has("-d"):
        _dentry(shell, args.value("-d") or "", out)
    elif args.has("-p"):
        _pages(shell, args.value("-p") or "", out)
    else:
        for number, task in enumerate([shell.find_task(w) for w in args.rest] or [shell.task]):
            if number:
                out.line()
            show_task(shell, task, args, out)


def _dentry(shell: Shell, word: str, out: Out) -> None:
    from drgn import Object

    dentry = Object(shell.prog, "struct dentry *", shell.address(word))
    out.line(_DENTRY_TITLE)
    inode = out.got(lambda: int(dentry.d_inode.value_()), "inode")
    block = out.got(lambda: int(dentry.d_sb.value_()), "superblock")
    kind = out.got(lambda: inode_type(dentry.d_inode) if inode else "N/A", "type")
    path = out.got(lambda: dentry_path(shell, dentry), "path")
    out.row(
        f"{dentry.value_():016x} {inode:016x} {block:016x} {kind!s:<4} {path}",
        dentry=Address(dentry.value_()),
        inode=inode if isinstance(inode, Gap) else Address(inode),
        superblock=block if isinstance(block, Gap) else Address(block),
        type=kind,
        path=path,
    )


def dentry_path(shell: Shell, dentry: Any) -> str:
    """The path of a dentry, below the mount of its file system where one is found."""
    from drgn.helpers.linux.fs import dentry_path as below_root

    path = printable(below_root(dentry))
    mount = mount_of(shell, int(dentry.d_sb.value_()))
    path = "/" + path.lstrip("/")
    if mount and mount != "/":
        return mount + ("" if path == "/" else path)
    return path


def mount_of(shell: Shell, superblock: int) -> str | None:
    """Where a file system is mounted in init's namespace."""
    if "mount-points" not in shell.cache:
        from drgn.helpers.linux.fs import for_each_mount, mount_dst

        points: dict[int, str] = {}
        try:
            for mount in for_each_mount(shell.prog):
                try:
                    points.setdefault(int(mount.mnt.mnt_sb.value_()), printable(mount_dst(mount)))
                except readable_errors():
                    continue
        except readable_errors():
            pass
        shell.cache["mount-points"] = points
    found: str | None = shell.cache["mount-points"].get(superblock)
    return found


def _pages(shell: Shell, word: str, out: Out) -> None:
    from drgn import Object

    from oopsight.shell.pages import TITLE, page_row

    inode = Object(shell.prog, "struct inode *", shell.address(word))
    out.line("     INODE        NRPAGES")
    count = int(inode.i_mapping.nrpages.value_())
    out.line(f"{inode.value_():016x}  {count:7}\n")
    out.line(TITLE)
    from drgn.helpers.linux.xarray import xa_for_each

    pages = xa_for_each(inode.i_mapping.i_pages.address_of_())
    for _, entry in out.walk(pages, "pages of the inode", MOST_PAGES):
        if entry.value_() & 1:
            continue
        with out.item(f"page {entry.value_():x}"):
            page_row(shell, Object(shell.prog, "struct page *", entry.value_()), out)


def show_task(shell: Shell, task: Any, args: Args, out: Out) -> None:
    """One task's files."""
    from drgn.helpers.linux.fs import for_each_file

    data = task_data(out, task)
    reference = args.value("-R")
    lines: list[tuple[str, dict[str, Any]]] = []
    top = [header_of(data)]
    root = out.got(lambda: path_of(task.fs.root.address_of_()) if task.fs else "(none)", "root")
    cwd = out.got(lambda: path_of(task.fs.pwd.address_of_()) if task.fs else "(none)", "pwd")
    top.append(f"ROOT: {root}    CWD: {cwd}")
    no_files = out.got(lambda: not task.files, "files")
    if no_files is True:
        if reference is None:
            out.lines("\n".join([*top, "No open files"]))
        return
    top.append(
        " FD      INODE          I_MAPPING     NRPAGES TYPE PATH"
        if args.has("-c")
        else " FD       FILE            DENTRY           INODE       TYPE PATH"
    )
    if reference is None:
        out.lines("\n".join(top))
    if isinstance(no_files, Gap):
        out.line(no_files.line)
        return
    for fd, file in out.walk(for_each_file(task), "table of open files", 1_000_000):
        row = _row(shell, fd, file, args, out)
        if reference is None:
            out.row(row[0], **data, **row[1])
        elif _is(row[1], reference):
            lines.append(row)
    if reference is not None and lines:
        out.lines("\n".join(top))
        for text, found in lines:
            out.row(text, **data, **found)


def _is(row: dict[str, Any], reference: str) -> bool:
    address = hexadecimal(reference)
    return (
        (reference.isdecimal() and row["fd"] == int(reference))
        or reference in str(row["path"]).split("/")
        or reference == row["path"]
        or address in (row.get("file"), row.get("dentry"), row.get("inode"))
    )


def _row(shell: Shell, fd: int, file: Any, args: Args, out: Out) -> tuple[str, dict[str, Any]]:
    def address(value: Any) -> Any:
        return value if isinstance(value, Gap) else Address(value)

    dentry = out.got(lambda: int(file.f_path.dentry.value_()), "dentry")
    inode = out.got(lambda: int(file.f_inode.value_()), "inode")
    kind = out.got(lambda: inode_type(file.f_inode), "type")
    path = out.got(lambda: file_name(shell, file), "path")
    found = {
        "fd": fd,
        "file": Address(file.value_()),
        "dentry": address(dentry),
        "inode": address(inode),
        "type": kind,
        "path": path,
    }
    if args.has("-c"):
        mapping = out.got(lambda: int(file.f_inode.i_mapping.value_()), "mapping")
        pages = out.got(lambda: int(file.f_inode.i_mapping.nrpages.value_()), "nrpages")
        found |= {"mapping": address(mapping), "pages": pages}
        return f"{fd:3} {inode:016x} {mapping:016x} {pages!s:>7} {kind!s:<4} {path}", found
    text = f"{fd:3} {file.value_():016x} {dentry:016x} {inode:016x} {kind!s:<4} {path}"
    if args.has("-n"):
        mount = out.got(lambda: int(file.f_path.mnt.value_()), "mount")
        found["mount"] = address(mount)
        text += f"  (mount {mount:x})"
    return text, found


def file_name(shell: Shell, file: Any) -> str:
    """A file's path; of a socket its family and type, and ports of the Internet ones."""
    if int(file.f_inode.i_mode.value_()) >> 12 == 0o14:
        return socket_name(shell, file)
    return path_of(file.f_path.address_of_())


def socket_name(shell: Shell, file: Any) -> str:
    """``UNIX-STREAM``, ``INET-STREAM`` … of a socket's file."""
    from drgn import cast

    socket = cast("struct socket *", file.private_data)
    if not socket.sk:
        return "(no socket)"
    family = int(socket.sk.member_("__sk_common").skc_family.value_())
    kind = int(socket.type.value_())
    return f"{_FAMILIES.get(family, family)}-{_SOCKET_TYPES.get(kind, kind)}"


def drgn_code(shell: Shell, args: Args) -> str:
    """The table of open files, or the path of one dentry."""
    if args.has("-d"):
        where = shell.address(args.value("-d") or "")
        return f'print(dentry_path(Object(prog, "struct dentry *", {where:#x})).decode())'
    body = """
for fd, file in for_each_file(task):
    print(fd, hex(file), d_path(file.f_path).decode())"""
    return for_tasks(shell, args.rest, body)
