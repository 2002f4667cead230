"""Slab caches: how much each holds, and its objects, in use or free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass, field
from oopsight.evidence import Address
from oopsight.kernel.slab_objects import follow_free, slab_object_info
from oopsight.shell.output import Gap, gap_from, readable_errors
from oopsight.shell.pages import page_flags
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

TITLE = "CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME"
_SLAB_TITLE = "  SLAB              MEMORY            NODE  TOTAL  ALLOCATED  FREE"
MOST_CACHES = 100_000
MOST_SLABS = 1_000_000
MOST_OBJECTS = 1 << 16


@dataclass
class Slab:
    """One slab of a cache."""

    slab: Any
    """``struct slab *`` (``struct page *`` before Linux 5.17)."""
    objects: int
    inuse: int
    free: set[int] | None = None
    """Addresses of free objects, where the free list was walked."""
    cpu_free: set[int] = field(default_factory=set)
    """Of these the ones on a CPU's own list."""

    @property
    def allocated(self) -> int:
        """Objects in use."""
        return self.inuse - len(self.cpu_free)


@dataclass
class Usage:
    """What a cache holds."""

    total: int = 0
    slabs: int = 0
    free: int = 0

    @property
    def allocated(self) -> int:
        """Objects in use."""
        return max(0, self.total - self.free)


def name_of(cache: Any, out: Out) -> tuple[str, Gap | None]:
    """The name to show of a cache, and the reason where its own cannot be read."""
    try:
        return printable(c_string(cache.name), 128), None
    except readable_errors() as error:
        gap = out.count(gap_from(error, "name of the cache"))
    try:
        known = printable(c_string(cache.kobj.name), 128)
    except readable_errors():
        known = ""
    created = f", created as {known}" if known else ""
    where = "" if gap.address is None else f" at {gap.address:x}"
    return f"(damaged: its name{where} cannot be read: {gap.why}{created})", gap


def caches(shell: Shell, out: Out) -> list[Any]:
    """All caches, ``struct kmem_cache *``, in the order of the kernel's list."""
    from drgn.helpers.linux.slab import for_each_slab_cache

    walk = for_each_slab_cache(shell.prog)
    return list(out.walk(walk, "list of slab caches", MOST_CACHES))


def nodes_of(cache: Any) -> Iterator[tuple[int, Any]]:
    """Each ``struct kmem_cache_node *`` of a cache with its node's number."""
    from drgn.helpers.linux.nodemask import for_each_online_node

    for node in for_each_online_node(cache.prog_):
        try:
            value = cache.node[node].read_()
        except AttributeError:
            # Linux 7.0 keeps a barn of sheaves beside it
            value = cache.per_node[node].node.read_()
        if value:
            yield node, value


def _slab(pointer: Any) -> Slab:
    return Slab(pointer, int(pointer.objects.value_()), int(pointer.inuse.value_()))


def cpu_slabs(cache: Any, cpu: int) -> tuple[Any, Slab | None, list[Slab]] | None:
    """A CPU's own slab and its list of partial ones.

    :return: the ``struct kmem_cache_cpu``, the slab, the partial ones; ``None`` where this kernel
        has none (sheaves took their place in Linux 7.0)
    """
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        pointer = cache.cpu_slab
    except AttributeError:
        return None
    own = per_cpu_ptr(pointer, cpu)
    try:
        current = own.slab.read_()
    except AttributeError:
        current = own.page.read_()
    active = None
    if current:
        active = _slab(current)
        # The CPU's list holds objects that the slab counts as in use.
        active.cpu_free = follow_free(cache, int(own.freelist.value_()))
        active.free = active.cpu_free | follow_free(cache, int(current.freelist.value_()))
    partial: list[Slab] = []
    try:
        following = own.partial.read_()
    except AttributeError:
        return own, active, partial
    seen: set[int] = set()
    while following and following.value_() not in seen and len(partial) < MOST_SLABS:
        seen.add(following.value_())
        partial.append(_slab(following))
        following = following.next.read_()
    return own, active, partial


def node_partial(node: Any) -> Iterator[Slab]:
    """Slabs on a node's list of partial ones."""
    from drgn.helpers.linux.list import list_for_each_entry

    prog = node.prog_
    try:
        kind, link = prog.type("struct slab"), "slab_list"
    except LookupError:
        kind, link = prog.type("struct page"), "slab_list"
    for slab in list_for_each_entry(kind, node.partial.address_of_(), link):
        yield _slab(slab)


def usage(shell: Shell, cache: Any) -> Usage:
    """Count a cache's objects, as the allocator's own lists have them.

    :raises drgn.FaultError: if one of the lists cannot be read
    """
    from drgn.helpers.linux.cpumask import for_each_possible_cpu

    found = Usage()
    for _, node in nodes_of(cache):
        found.slabs += int(node.nr_slabs.counter.value_())
        found.total += int(node.total_objects.counter.value_())
        for count, slab in enumerate(node_partial(node)):
            found.free += slab.objects - slab.inuse
            if count > MOST_SLABS:
                break
    found.free += _in_barns(cache)
    for cpu in for_each_possible_cpu(shell.prog):
        found.free += _in_sheaves(cache, cpu)
        own = cpu_slabs(cache, cpu)
        if own is None:
            continue
        _, active, partial = own
        if active is not None:
            found.free += active.objects - active.allocated
        found.free += sum(slab.objects - slab.inuse for slab in partial)
    return found


def _in_sheaves(cache: Any, cpu: int) -> int:
    """Free objects in a CPU's sheaves (Linux 6.18 and later, commit 2d517aa09bbc)."""
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        if not cache.cpu_sheaves:
            return 0
        own = per_cpu_ptr(cache.cpu_sheaves, cpu)
    except AttributeError:
        return 0
    count = 0
    for name in ("main", "spare"):
        sheaf = own.member_(name).read_()
        if sheaf:
            count += int(sheaf.size.value_())
    return count


def _in_barns(cache: Any) -> int:
    """Free objects in the full sheaves that each node keeps."""
    from drgn.helpers.linux.list import list_for_each_entry
    from drgn.helpers.linux.nodemask import for_each_online_node

    count = 0
    for node in for_each_online_node(cache.prog_):
        try:
            barn = cache.per_node[node].barn.read_()
        except AttributeError:
            return 0
        if not barn:
            continue
        sheaves = list_for_each_entry(
            "struct slab_sheaf", barn.sheaves_full.address_of_(), "barn_list"
        )
        for number, sheaf in enumerate(sheaves):
            count += int(sheaf.size.value_())
            if number > MOST_SLABS:
                break
    return count


def slab_bytes(cache: Any) -> int:
    """Size of a slab in bytes."""
    from drgn.helpers.linux.slab import slab_cache_pages_per_slab

    return int(slab_cache_pages_per_slab(cache)) * int(cache.prog_["PAGE_SIZE"].value_())


def cache_row(shell: Shell, cache: Any, out: Out) -> None:
    """The line of one cache; what cannot be read of it is marked."""
    name, damage = name_of(cache, out)
    size = out.got(lambda: int(cache.object_size.value_()), "object_size")
    held = out.got(lambda: usage(shell, cache), "lists of the cache")
    bytes_ = out.got(lambda: slab_bytes(cache), "order of the cache")
    counts: list[Any] = (
        ["?"] * 3 if isinstance(held, Gap) else [held.allocated, held.total, held.slabs]
    )  # one row
    each = bytes_ if isinstance(bytes_, Gap) else f"{bytes_ >> 10}k"
    tail = f"  {held}" if isinstance(held, Gap) else ""
    out.row(
        f"{cache.value_():016x} {size!s:>8} {counts[0]!s:>10} {counts[1]!s:>9} {counts[2]!s:>6} "
        f"{each!s:>6}  {name}{tail}",
        cache=Address(cache.value_()),
        object_size=size,
        allocated=held if isinstance(held, Gap) else held.allocated,
        total=held if isinstance(held, Gap) else held.total,
        slabs=held if isinstance(held, Gap) else held.slabs,
        slab_bytes=bytes_,
        name=name if damage is None else damage,
        shown_name=name,
    )


# -- the objects of a cache ------------------------------------------------------------------------


def objects_of(cache: Any, slab: Slab) -> list[int]:
    """Addresses of the objects in a slab."""
    start = slab_start(slab)
    stride = int(cache.size.value_())
    red = int(cache.red_left_pad.value_()) if int(cache.flags.value_()) & 0x400 else 0
    return [start + red + index * stride for index in range(min(slab.objects, MOST_OBJECTS))]


def slab_start(slab: Slab) -> int:
    """Address of the memory of a slab."""
    from drgn import cast
    from drgn.helpers.linux.mm import page_to_virt

    return int(page_to_virt(cast("struct page *", slab.slab)).value_())


def _node_of(slab: Slab) -> int:
    from drgn import cast

    page = cast("struct page *", slab.slab)
    # The node stands in the top bits of the flags, where there is more than one.
    try:
        flags = page_flags(page)
        return flags >> 54 & 0x3FF if _many_nodes(page.prog_) else 0
    except readable_errors():
        return 0


def _many_nodes(prog: Any) -> bool:
    from drgn.helpers.linux.nodemask import for_each_online_node

    return len(list(for_each_online_node(prog))) > 1


def show_slab(cache: Any, slab: Slab, out: Out, *, cpu: int | None = None) -> None:
    """One slab and its objects, those in use in brackets.

    :param cpu: whose own slab it is: all that is free in it is that CPU's
    """
    start = slab_start(slab)
    out.line(_SLAB_TITLE)
    used = slab.allocated
    out.line(
        f"  {slab.slab.value_():016x}  {start:016x} {_node_of(slab):5} {slab.objects:6} "
        f"{used:10} {slab.objects - used:5}"
    )
    out.line("  FREE / [ALLOCATED]")
    free = slab.free
    if free is None:
        free = follow_free(cache, int(slab.slab.freelist.value_()))
    for address in objects_of(cache, slab):
        is_free = address in free
        mark = f"  (cpu {cpu} cache)" if is_free and cpu is not None else ""
        out.row(
            f"   {address:x}{mark}" if is_free else f"  [{address:x}]",
            cache=Address(cache.value_()),
            object=Address(address),
            allocated=not is_free,
        )


def show_cache(cache: Any, out: Out, cpus: list[int]) -> None:
    """Every slab that the allocator has on a list, with its objects."""
    for cpu in cpus:
        with out.item(f"CPU {cpu} of the cache"):
            own = cpu_slabs(cache, cpu)
            if own is None:
                out.line(f"CPU {cpu}: {_in_sheaves(cache, cpu)} free objects in sheaves")
                continue
            pointer, active, partial = own
            out.line(f"CPU {cpu} KMEM_CACHE_CPU:\n  {pointer.value_():x}\nCPU {cpu} SLAB:")
            if active is None:
                out.line("  (empty)")
            else:
                show_slab(cache, active, out, cpu=cpu)
            out.line(f"CPU {cpu} PARTIAL:")
            for slab in partial:
                with out.item(f"slab {slab.slab.value_():x}"):
                    show_slab(cache, slab, out)
            if not partial:
                out.line("  (empty)")
    for number, node in out.walk(nodes_of(cache), "nodes of the cache"):
        with out.item(f"node {number} of the cache"):
            held = sum(1 for cpu in cpus for s in _of_cpu(cache, cpu) if s is not None)
            out.line("KMEM_CACHE_NODE   NODE  SLABS  PARTIAL  PER-CPU")
            out.line(
                f"{node.value_():016x} {number:5} {int(node.nr_slabs.counter.value_()):6} "
                f"{int(node.nr_partial.value_()):8} {held:8}"
            )
            out.line(f"NODE {number} PARTIAL:")
            some = False
            for slab in out.walk(node_partial(node), "partial slabs", MOST_SLABS):
                some = True
                with out.item(f"slab {slab.slab.value_():x}"):
                    show_slab(cache, slab, out)
            if not some:
                out.line("  (empty)")
            out.line(f"NODE {number} FULL:\n  (not tracked)")


def _of_cpu(cache: Any, cpu: int) -> list[Slab | None]:
    try:
        own = cpu_slabs(cache, cpu)
    except readable_errors():
        return []
    return [] if own is None else [own[1], *own[2]]


def show_object(shell: Shell, address: int, out: Out) -> bool:
    """The cache, slab and object that hold an address; whether one does."""
    from drgn import Object
    from drgn.helpers.linux.slab import find_containing_slab_cache

    pointer = Object(shell.prog, "void *", address)
    cache = find_containing_slab_cache(pointer)
    if not cache:
        return False
    out.line(TITLE)
    cache_row(shell, cache, out)
    info = slab_object_info(shell.prog, address)
    if info is None:
        return True
    slab = _slab(_as_slab(info.slab))
    start = slab_start(slab)
    allocated = slab.inuse
    for cpu in range(4096):
        try:
            own = cpu_slabs(cache, cpu)
        except readable_errors():
            break
        if own is None:
            break
        if own[1] is not None and own[1].slab.value_() == slab.slab.value_():
            allocated = own[1].allocated
    out.line(_SLAB_TITLE)
    out.line(
        f"  {slab.slab.value_():016x}  {start:016x} {_node_of(slab):5} {slab.objects:6} "
        f"{allocated:10} {slab.objects - allocated:5}"
    )
    out.line("  FREE / [ALLOCATED]")
    at = int(info.address)
    out.row(
        f"  [{at:x}]" if info.allocated else f"   {at:x}",
        cache=Address(cache.value_()),
        object=Address(at),
        allocated=bool(info.allocated),
        offset=address - at,
    )
    return True


def _as_slab(slab: Any) -> Any:
    from drgn import cast

    try:
        return cast("struct slab *", slab)
    except LookupError:
        return cast("struct page *", slab)
