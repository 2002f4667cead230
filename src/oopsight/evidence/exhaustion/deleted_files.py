"""Files in memory that are deleted and not open, yet keep their pages: somebody holds a reference.

A file of a tmpfs lives in memory. Deleted, it goes with the last open file, mapping or segment,
all of which are a ``struct file``. One without any is held by the kernel's own hand: a path, a
directory entry or an inode was taken and not put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.pointers import Memory
from oopsight.kinds import Kind
from oopsight.session import Session

_MOST_FILES = 100_000
_MOST_INODES = 200_000
_MOST_MOUNTS = 256
_MAGIC = 0x01021994  # TMPFS_MAGIC, include/uapi/linux/magic.h
_SHOWN = 2


@dataclass(frozen=True)
class DeletedFiles:
    """All of them."""

    files: int
    pages: int
    because: tuple[Memory, ...]
    """How many links some of them have."""


def collect(session: Session, symptom: Symptom) -> DeletedFiles | Missing:
    """Walk the inodes of the file systems in memory; compare them with all open files."""
    from drgn import FaultError

    if symptom.kind not in (Kind.OOM, Kind.MEMORY_LEAK):
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from exhaustion")
    prog: Any = session.prog
    try:
        deleted = list(_deleted(prog))
        opened = _open(prog) if deleted else set()
    except (FaultError, LookupError, AttributeError, ValueError) as error:
        return Missing(Why.UNREADABLE, f"the inodes or the open files cannot be read: {error}")
    held = [(inode, pages) for inode, pages in deleted if inode.value_() not in opened]
    held.sort(key=lambda item: -item[1])
    return DeletedFiles(
        files=len(held),
        pages=sum(pages for _, pages in held),
        because=tuple(memory_of(inode, "i_nlink") for inode, _ in held[:_SHOWN]),
    )


def _deleted(prog: Any) -> Iterator[tuple[Any, int]]:
    """Deleted inodes in memory with their pages."""
    from drgn.helpers.linux.list import list_for_each_entry

    count = 0
    mounts = list_for_each_entry("struct super_block", prog["super_blocks"].address_of_(), "s_list")
    for number, mount in enumerate(mounts):
        if number >= _MOST_MOUNTS:
            return
        if mount.s_magic.value_() != _MAGIC:
            continue
        inodes = list_for_each_entry("struct inode", mount.s_inodes.address_of_(), "i_sb_list")
        for inode in inodes:
            count += 1
            if count > _MOST_INODES:
                return
            pages = inode.i_data.nrpages.value_()
            if pages and not inode.i_nlink.value_():
                yield inode, pages


def _open(prog: Any) -> set[int]:
    """Addresses of the inodes of which somebody has a ``struct file``.

    :raises ValueError: there are more files than are looked at
    """
    from drgn.helpers.linux.slab import find_slab_cache, slab_cache_for_each_allocated_object

    cache = find_slab_cache(prog, "filp")
    if cache is None:
        raise LookupError("no slab cache filp")
    found = set()
    for number, file in enumerate(slab_cache_for_each_allocated_object(cache, "struct file")):
        if number >= _MOST_FILES:
            raise ValueError(f"more than {_MOST_FILES} files")
        found.add(file.f_inode.value_())
    return found
