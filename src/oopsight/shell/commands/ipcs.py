"""Display System V inter-process communication: shared memory, semaphores, message queues.

Examples
    crash> ipcs
    crash> ipcs -m
    crash> ipcs -M 32768
    crash> ipcs -n 1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import hexadecimal

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "ipcs [-smMq] [-n pid|task] [id | addr]"
OPTIONS = {
    "-s": "semaphore arrays",
    "-m": "shared memory",
    "-M": "shared memory with its pages and swap",
    "-q": "message queues",
    "-n TASK": "in the namespace of a task",
}
DRGN = ("-m", "-s", "-q")
MOST = 1_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """List what is asked for."""
    from drgn.helpers.linux.ipc import (
        for_each_sysv_msg_queue,
        for_each_sysv_sem_array,
        for_each_sysv_shm,
    )

    place: Any = shell.prog
    if args.has("-n"):
        place = shell.find_task(args.value("-n") or "").nsproxy.ipc_ns.read_()
    wanted = args.rest[0] if args.rest else None
    every = not args.has("-s", "-m", "-M", "-q")
    if every or args.has("-m", "-M"):
        out.line("SHMID_KERNEL     KEY      SHMID      UID   PERMS BYTES      NATTCH STATUS")
        _list(for_each_sysv_shm(place), wanted, out, lambda s: _shared(shell, s, args, out))
    if every or args.has("-s"):
        if every:
            out.line()
        out.line("SEM_ARRAY        KEY      SEMID      UID   PERMS NSEMS     ")
        _list(for_each_sysv_sem_array(place), wanted, out, lambda s: _semaphores(s, out))
    if every or args.has("-q"):
        if every:
            out.line()
        out.line("MSG_QUEUE        KEY      MSQID      UID   PERMS USED-BYTES   MESSAGES    ")
        _list(for_each_sysv_msg_queue(place), wanted, out, lambda q: _messages(q, out))


def _list(walk: Any, wanted: str | None, out: Out, show: Any) -> None:
    some = False
    for item in out.walk(walk, "list", MOST):
        with out.item(f"object {item.value_():x}"):
            permission = item.member_(
                "q_perm" if _is_queue(item) else "shm_perm" if _is_shm(item) else "sem_perm"
            )  # one choice
            number = int(permission.id.value_())
            if (
                wanted is not None
                and wanted != str(number)
                and hexadecimal(wanted) != item.value_()
            ):
                continue
            some = True
            show(item)
    if not some:
        out.line("(none allocated)")


def _is_queue(item: Any) -> bool:
    return "msg_queue" in item.type_.type_name()


def _is_shm(item: Any) -> bool:
    return "shmid_kernel" in item.type_.type_name()


def _columns(item: Any, permission: Any) -> tuple[str, dict[str, Any]]:
    key = int(permission.key.value_()) & 0xFFFFFFFF
    number, mode = int(permission.id.value_()), int(permission.mode.value_()) & 0o777
    user = int(permission.uid.val.value_())
    text = f"{item.value_():016x} {key:08x} {number:<10} {user:<5} {mode:<5o} "
    return text, {
        "address": Address(item.value_()),
        "key": key,
        "id": number,
        "uid": user,
        "mode": mode,
    }  # one row


def _shared(shell: Shell, item: Any, args: Args, out: Out) -> None:
    from drgn.helpers.linux.ipc import decode_sysv_shm_mode_flags

    text, row = _columns(item, item.shm_perm)
    size, attached = int(item.shm_segsz.value_()), int(item.shm_nattch.value_())
    status = out.got(lambda: decode_sysv_shm_mode_flags(shell.prog, item.shm_perm.mode), "mode")
    out.row(f"{text}{size:<10} {attached:<6} {status}", **row, bytes=size, attached=attached)
    if args.has("-M"):
        inode = item.shm_file.f_inode.read_()
        pages = out.got(lambda: int(inode.i_mapping.nrpages.value_()), "pages")
        allocated = (size + 4095) // 4096
        swapped = out.got(lambda: _swapped(inode), "swapped pages")
        out.line(f"PAGES ALLOCATED/RESIDENT/SWAPPED: {allocated}/{pages}/{swapped}")
        out.line(f"INODE: {inode.value_():x}")


def _swapped(inode: Any) -> int:
    from drgn import container_of

    return int(container_of(inode, "struct shmem_inode_info", "vfs_inode").swapped.value_())


def _semaphores(item: Any, out: Out) -> None:
    text, row = _columns(item, item.sem_perm)
    count = int(item.sem_nsems.value_())
    out.row(f"{text}{count:<10}", **row, semaphores=count)


def _messages(item: Any, out: Out) -> None:
    text, row = _columns(item, item.q_perm)
    used, count = int(item.q_cbytes.value_()), int(item.q_qnum.value_())
    out.row(f"{text}{used:<12} {count:<12}", **row, bytes=used, messages=count)


def drgn_code(shell: Shell, args: Args) -> str:
    """Segments, arrays and queues of the first namespace."""
    del shell
    kinds = {
        "-m": ("for_each_sysv_shm", "shm_perm"),
        "-s": ("for_each_sysv_sem_array", "sem_perm"),
        "-q": ("for_each_sysv_msg_queue", "q_perm"),
    }
    wanted = [kind for kind in kinds if args.has(kind)] or list(kinds)
    return "\n".join(
        f"for one in {kinds[kind][0]}(prog):\n    print(hex(one), one.{kinds[kind][1]}.id.value_())"
        for kind in wanted
    )
