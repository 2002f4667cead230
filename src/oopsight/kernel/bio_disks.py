"""Which disk a task waits for, where no request tells: by the page, buffer or bio in question."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from oopsight.text import c_string

_MAPPING_FLAGS = 0x3  # include/linux/page-flags.h: PAGE_MAPPING_FLAGS
_TYPE, _BLOCK = 0xF000, 0x6000  # S_IFMT, S_IFBLK
_MOST_WORDS = 2048


def disk_of_page(prog: Any, page: int) -> Any:
    """The disk that a page of a file, or of the disk itself, is read from.

    :param page: address of ``struct page``
    :return: ``struct gendisk *``
    :raises drgn.FaultError: if it is not in the dump
    """
    from drgn import Object, container_of

    mapping = Object(prog, "struct page *", page).mapping.value_() & ~_MAPPING_FLAGS
    inode = Object(prog, "struct address_space *", mapping).host.read_()
    if inode.i_mode.value_() & _TYPE == _BLOCK:
        return container_of(inode, "struct bdev_inode", "vfs_inode").bdev.bd_disk.read_()
    return inode.i_sb.s_bdev.bd_disk.read_()


def disk_of_buffer(prog: Any, buffer: int) -> Any:
    """The disk of a buffer.

    :param buffer: address of ``struct buffer_head``
    :return: ``struct gendisk *``
    :raises drgn.FaultError: if it is not in the dump
    """
    from drgn import Object

    return Object(prog, "struct buffer_head *", buffer).b_bdev.bd_disk.read_()


def disk_of_bio(prog: Any, words: Iterable[int]) -> Any:
    """The disk of the first bio that one of some words leads to.

    :return: ``struct gendisk *``, ``None`` where there is no bio
    """
    for word in itertools.islice(words, _MOST_WORDS):
        address = _bio_at(prog, word) if word >> 63 else None
        # Those of direct I/O to a disk begin with what the block layer's caller keeps there.
        for embedded in (False, True) if address is not None else ():
            disk = _disk(prog, address, embedded=embedded)
            if disk is not None:
                return disk
    return None


def _bio_at(prog: Any, word: int) -> int | None:
    """Where the object of a cache of bios begins that has an address; of ``biovec-`` none is."""
    from drgn import FaultError

    from oopsight.kernel.slab_objects import slab_object_info

    try:
        info = slab_object_info(prog, word)
        name = c_string(info.slab_cache.name) if info is not None else b""
    except (FaultError, LookupError, ValueError):
        return None
    return int(info.address) if name.startswith(b"bio-") else None


def _disk(prog: Any, address: int | None, *, embedded: bool) -> Any:
    from drgn import FaultError, Object

    try:
        bio = Object(prog, "struct blkdev_dio *" if embedded else "struct bio *", address)
        disk = (bio.bio if embedded else bio).bi_bdev.bd_disk.read_()
        return disk if disk.fops.read_() else None
    except (FaultError, LookupError, AttributeError):
        return None  # another layout, or no bio
