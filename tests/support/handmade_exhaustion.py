"""Memory by who has it, made by hand: a machine of 10,000 pages of 4 KiB."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from handmade_waits import task

from oopsight.evidence import Address
from oopsight.evidence.exhaustion.memory_use import (
    CacheUse,
    MemoryUse,
    ModuleHint,
    Pages,
    ProcessUse,
    VmallocUse,
)
from oopsight.evidence.pointers import Memory, ModulePointer, Variable

MODULE = ModulePointer("drv", loaded=True, base=Address(0xFFFFFFFFC0000000))
COUNTER = Variable("vm_node_stat", 136, Address(0xFFFFFFFF82000088), "0010000000000000")
CACHE = CacheUse(
    name="kmalloc-512",
    address=Address(0xFFFF888000001000),
    pages=100,
    object_size=512,
    because=(Memory("struct kmem_cache_node", Address(1 << 63), "nr_slabs", Address(1 << 63), ""),),
)
AREA = VmallocUse(
    function="snap",
    offset=15,
    module=MODULE,
    areas=2,
    pages=20,
    because=(Memory("struct vm_struct", Address(1 << 63), "caller", Address(1 << 63), ""),),
)
HINT = ModuleHint(MODULE, objects=90, sampled=100, symbol="done")


def use(*, cache: int = 100, vmalloc: int = 20, hog: int = 100, **pages: Any) -> MemoryUse:
    """Mostly free, unless told otherwise."""
    counts = Pages(
        total=10_000,
        free=100,
        anonymous=hog,
        file=100,
        shmem=0,
        slab_reclaimable=50,
        slab_unreclaimable=cache,
        kernel_stacks=10,
        page_tables=10,
        vmalloc=vmalloc,
        unaccounted=50,
        because=(COUNTER,),
    )
    return MemoryUse(
        pages=replace(counts, **pages),
        processes=(ProcessUse(task(9, "hog"), hog, 1),),
        caches=(replace(CACHE, pages=cache),),
        vmalloc=(replace(AREA, pages=vmalloc),),
        page_size=4096,
    )
