"""Disks by the bios that words lead to."""

from __future__ import annotations

import drgn
import pytest
from drgn.helpers.linux.slab import SlabObjectInfo
from handmade_memory import BASE, Kernel

from oopsight.kernel.bio_disks import disk_of_bio

CACHE, BIO, DEVICE, DISK, FOPS = (BASE + 0x1000 * number for number in range(1, 6))
NAME = CACHE + 0x100


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """One object of a cache of bios, and a disk."""
    kernel = Kernel()
    kernel.linked("kmem_cache", name="char *")
    kernel.linked("gendisk", fops="list_head *")
    kernel.linked("block_device", bd_disk="gendisk *")
    kernel.linked("bio", bi_next="bio *", bi_bdev="block_device *")
    kernel.linked("blkdev_dio", iocb="list_head *", size="long", bio="bio")
    kernel.put(CACHE, NAME)
    kernel.text(NAME, b"bio-264")
    kernel.put(BIO, 0, DEVICE)
    kernel.put(DEVICE, DISK)
    kernel.put(DISK, FOPS)
    cache = drgn.Object(kernel.prog, "struct kmem_cache *", CACHE)

    def info(prog: drgn.Program, address: int) -> SlabObjectInfo | None:
        inside = BIO <= address < BIO + 0x100
        return SlabObjectInfo(cache, cache, BIO, True) if inside else None

    monkeypatch.setattr("oopsight.kernel.slab_objects.slab_object_info", info)
    return kernel


def found(kernel: Kernel, *words: int) -> int | None:
    disk = disk_of_bio(kernel.prog, words)
    return None if disk is None else disk.value_()


def test_a_word_leads_into_a_bio(kernel: Kernel) -> None:
    assert found(kernel, 7, DEVICE, BIO + 0x20) == DISK
    assert found(kernel, 7, DEVICE) is None


def test_a_bio_of_direct_io_stands_behind_what_its_maker_keeps(kernel: Kernel) -> None:
    kernel.put(BIO, 0, 4096, 0, DEVICE)
    assert found(kernel, BIO) == DISK


@pytest.mark.parametrize("name", [b"biovec-16", b"kmalloc-256"])
def test_objects_of_other_caches_are_no_bios(kernel: Kernel, name: bytes) -> None:
    kernel.text(NAME, name)
    assert found(kernel, BIO) is None
