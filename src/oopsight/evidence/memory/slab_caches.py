"""Slab caches, and the pointers in them that leave the kernel: name and constructor."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, missing_from
from oopsight.evidence.pointers import Memory
from oopsight.session import Session
from oopsight.text import c_string, printable

MOST_CACHES = 100_000


@dataclass(frozen=True)
class SlabCache:
    """A ``struct kmem_cache`` on ``slab_caches``."""

    address: Address
    name: str | Missing
    created_as: str | None
    """The name that sysfs was given when the cache was created, from its kobject."""
    object_size: int
    name_pointer: Memory
    constructor: Memory | None
    """``None`` where the cache has none."""


@dataclass(frozen=True)
class SlabCaches:
    """All slab caches."""

    caches: tuple[SlabCache, ...]
    damaged: tuple[Missing, ...]


def memory_of(pointer: Any, member: str) -> Memory:
    """A member of the object behind a pointer, with its bytes.

    :param pointer: a pointer to a struct
    :param member: a name or a designator, ``a.b[1].c``
    :raises drgn.FaultError: if the member cannot be read
    """
    value = pointer[0].subobject_(member)
    return Memory(
        object_type=pointer.type_.type.type_name(),
        object=Address(pointer.value_()),
        member=member,
        address=Address(value.address_),
        bytes=value.to_bytes_().hex(),
    )


def target(memory: Memory) -> Address:
    """The pointer that the bytes are, little endian."""
    return Address(int.from_bytes(bytes.fromhex(memory.bytes), "little"))


def _created_as(cache: Any) -> str | None:
    from drgn import FaultError

    try:
        name = cache.kobj.name.read_()
        return printable(c_string(name), 128) if name else None
    except (AttributeError, FaultError):  # no sysfs for slabs (CONFIG_SLUB_TINY, SLAB)
        return None


def collect(session: Session) -> SlabCaches:
    """Walk ``slab_caches``, an unreadable name kept as the reason why."""
    from drgn import FaultError
    from drgn.helpers.linux.slab import for_each_slab_cache

    caches: list[SlabCache] = []
    damaged: list[Missing] = []
    try:
        for count, cache in enumerate(for_each_slab_cache(session.prog)):
            if count >= MOST_CACHES:
                break
            name: str | Missing
            try:
                name = printable(c_string(cache.name), 128)
            except FaultError as error:
                name = missing_from(error)
            try:
                caches.append(
                    SlabCache(
                        address=Address(cache.value_()),
                        name=name,
                        created_as=_created_as(cache),
                        object_size=cache.object_size.value_(),
                        name_pointer=memory_of(cache, "name"),
                        constructor=memory_of(cache, "ctor") if cache.ctor else None,
                    )
                )
            except FaultError as error:
                damaged.append(missing_from(error))
    except FaultError as error:
        damaged.append(missing_from(error))
    return SlabCaches(tuple(caches), tuple(damaged))
