"""Which objects of the slab allocator are free, on all CPUs.

drgn looks through the lists of the CPUs that are online. The CPUs that panic() stopped are not any
more (stop_this_cpu() in arch/x86/kernel/process.c), but what they had freed is still on their own
lists. A CPU that was taken offline in good order has given its lists back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

MOST_FREE = 1 << 15
"""SLUB keeps the number of a slab's objects in 15 bits."""
_MASK = (1 << 64) - 1
_STOPPED = "oopsight:cpus-not-online"
_MOST_CPUS = 4096
_MOST_SLABS = 4096
_MOST_LISTS = 1 << 16


def slab_object_info(prog: Any, address: int) -> Any:
    """As drgn's function of that name; what is on a stopped CPU's list is free.

    So is the first of a list whose link to the next was destroyed, as ``init_on_free`` does when an
    object is freed again.

    :return: ``SlabObjectInfo``, ``None`` where no slab object is
    :raises drgn.FaultError: if the page's or the cache's structure cannot be read
    """
    from drgn.helpers.linux.slab import slab_object_info as of_online

    info = of_online(prog, address)
    if info is None:
        return None
    stopped = info.allocated and _on_a_stopped_cpu(prog, info)
    if stopped or (info.allocated is None and _heads_a_list(info)):
        info.allocated = False
    return info


def _heads_a_list(info: Any) -> bool:
    return any(start == info.address for start in islice(_free_lists(info.slab_cache), _MOST_LISTS))


def follow_free(cache: Any, start: int, most: int = MOST_FREE) -> set[int]:
    """Addresses of the objects on a free list.

    :param cache: ``struct kmem_cache *``
    :raises drgn.FaultError: if the list leads to where the dump has no memory
    """
    prog = cache.prog_
    offset = int(cache.offset.value_())
    try:
        secret = int(cache.random.value_())
    except AttributeError:
        secret = None
    found: set[int] = set()
    at = start
    while at and at not in found and len(found) < most:
        found.add(at)
        place = (at + offset) & _MASK
        word = prog.read_u64(place)
        if secret is None:
            at = word
        else:
            # mm/slub.c: the address of the pointer goes in byte-swapped (commit 1ad53d9fa3f6)
            at = word ^ secret ^ int.from_bytes(place.to_bytes(8, "little"), "big")
    return found


def slab_caches(prog: Any, most: int) -> Iterator[Any]:
    """The first so many caches, ``struct kmem_cache *``."""
    from drgn.helpers.linux.slab import for_each_slab_cache

    for number, cache in enumerate(for_each_slab_cache(prog)):
        if number >= most:
            return
        yield cache


def free_objects(cache: Any) -> Iterator[int]:
    """Addresses of objects on the lists of the CPUs and on those of slabs that are partly free.

    What is kept in sheaves has no link to another one and is left out.
    """
    from drgn import FaultError

    for start in _free_lists(cache):
        try:
            yield from follow_free(cache, start)
        except FaultError:
            continue


def _free_lists(cache: Any) -> Iterator[int]:
    """The first object of each list."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.list import list_for_each_entry
    from drgn.helpers.linux.nodemask import for_each_online_node
    from drgn.helpers.linux.percpu import per_cpu_ptr

    prog = cache.prog_
    kind = None
    for cpu in for_each_present_cpu(prog) if hasattr(cache, "cpu_slab") else ():
        try:
            own = per_cpu_ptr(cache.cpu_slab, cpu)
            yield own.freelist.value_()
            slab = own.member_("slab" if own.type_.type.has_member("slab") else "page").read_()
            kind = slab.type_.type
            if slab:
                yield slab.freelist.value_()
            slab = own.partial.read_()
            for _ in range(_MOST_SLABS):
                if not slab:
                    break
                yield slab.freelist.value_()
                slab = slab.next.read_()
        except (FaultError, AttributeError):
            continue
    for number in for_each_online_node(prog):
        try:
            node = cache.node[number].read_()
        except AttributeError:
            # Linux 7.0 keeps a barn of sheaves beside it.
            node = cache.per_node[number].node.read_()
        try:
            kind = kind if kind is not None else prog.type("struct slab")
            for count, slab in enumerate(
                list_for_each_entry(kind, node.partial.address_of_(), "slab_list")
            ):
                yield slab.freelist.value_()
                if count >= _MOST_SLABS:
                    break
        except (FaultError, LookupError):
            continue


def _on_a_stopped_cpu(prog: Any, info: Any) -> bool:
    from drgn import FaultError

    for cpu in _stopped(prog):
        try:
            if _in_own_slab(info, cpu) or _in_sheaves(info, cpu):
                return True
        except FaultError:
            continue
    return False


def _stopped(prog: Any) -> list[int]:
    """CPUs that are there and not online."""
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_online_cpu, for_each_present_cpu

    known: list[int] | None = prog.cache.get(_STOPPED)
    if known is None:
        known = []
        try:
            online = set(for_each_online_cpu(prog))
            known = [cpu for cpu in for_each_present_cpu(prog) if cpu not in online]
        except (FaultError, LookupError):
            pass
        prog.cache[_STOPPED] = known = known[:_MOST_CPUS]
    return known


def _in_own_slab(info: Any, cpu: int) -> bool:
    """Whether the object is on the list of the slab that a CPU hands out of."""
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        own = per_cpu_ptr(info.slab_cache.cpu_slab, cpu)
    except AttributeError:
        # Sheaves took its place (commit 32c894c7274b, Linux 7.0).
        return False
    # struct slab since Linux 5.17 (commit bb192ed9aa71), struct page before.
    slab = own.member_("slab" if own.type_.type.has_member("slab") else "page")
    if slab.value_() != info.slab.value_():
        return False
    return info.address in follow_free(info.slab_cache, int(own.freelist.value_()))


def _in_sheaves(info: Any, cpu: int) -> bool:
    """Whether the object is in a CPU's sheaves of free ones (commit 2d517aa09bbc, Linux 6.18)."""
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        sheaves = info.slab_cache.cpu_sheaves
    except AttributeError:
        return False
    if not sheaves:
        return False
    own = per_cpu_ptr(sheaves, cpu)
    for name in ("main", "spare"):
        sheaf = own.member_(name).read_()
        if sheaf and any(
            one.value_() == info.address for one in sheaf.objects[: min(sheaf.size, MOST_FREE)]
        ):
            return True
    return False
