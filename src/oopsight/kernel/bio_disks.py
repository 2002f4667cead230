"""Which disk a task waits for, where no request tells: by the page, buffer or bio in question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
    from drgn import FaultError, Object

    from oopsight.kernel.slab_objects import slab_object_info

    for _, word in zip(range(_MOST_WORDS), words, strict=False):
        try:
            info = slab_object_info(prog, word) if word >> 63 else None
            if info is None or not info.cache.name.string_().startswith(b"bio"):
                continue
            for type_name in ("struct bio *", "struct blkdev_dio *"):
                found = _disk(Object(prog, type_name, info.address))
                if found is not None:
                    return found
        except (FaultError, LookupError, AttributeError, ValueError):
            continue
    return None


def _disk(one: Any) -> Any:
    from drgn import FaultError

    try:
        bio = one if one.type_.type.tag == "bio" else one.bio
        disk = bio.bi_bdev.bd_disk.read_()
        return disk if disk.fops.read_() else None
    except (FaultError, LookupError, AttributeError):
        return None
