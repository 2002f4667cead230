"""Functions of modules that take what the memory is full of, where nothing tells whose it is.

Packets, pages and directory entries hold no pointer to who took them. What can be said is which of
the modules from outside the kernel take such things at all; of packets also to which of their
functions the kernel hands them.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.exhaustion.allocators import BY_SIZE, SIZE_IN, lies_before
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.memory_use import CacheUse, MemoryUse
from oopsight.evidence.exhaustion.packet_handlers import PacketHandler, packet_handlers
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.call_sites import addresses, calls
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_MODULES = 32
_MOST_BYTES = 4 << 20
_MOST_SITES = 200
_LARGEST_CACHES = 3
_SHARE = 0.05
"""Of all memory, from which on a cache that goes with the largest one tells what it is full of."""
_FEWER = 2
_NOPROF = "_noprof"  # since Linux 6.10, allocators are macros around functions named so
PACKETS = "packets"
PAGES = "pages"
ENTRIES = "directory entries and inodes"
_LARGEST_OBJECT = 8192
"""Bytes up to which kmalloc() takes from its caches: KMALLOC_MAX_CACHE_SIZE."""
_CACHES = {
    "skbuff_head_cache": PACKETS,
    "skbuff_fclone_cache": PACKETS,
    "skbuff_small_head": PACKETS,
    "dentry": ENTRIES,
    "inode_cache": ENTRIES,
    "filp": ENTRIES,
}
_TAKING = {
    PACKETS: (
        *("__alloc_skb", "alloc_skb_with_frags", "__netdev_alloc_skb", "netdev_alloc_skb"),
        *("napi_alloc_skb", "__napi_alloc_skb", "build_skb", "__build_skb", "napi_build_skb"),
        *("skb_copy", "skb_clone", "skb_clone_sk", "__pskb_copy_fclone", "skb_copy_expand"),
        *("skb_realloc_headroom", "skb_share_check", "sock_alloc_send_pskb"),
    ),
    PAGES: (
        *("alloc_pages", "__alloc_pages", "alloc_pages_node", "__get_free_pages"),
        *("get_free_pages", "get_zeroed_page", "alloc_pages_exact", "alloc_pages_current"),
        *("page_frag_alloc_align", "__page_frag_alloc_align", "alloc_pages_bulk"),
        *("__alloc_pages_bulk", "dma_alloc_attrs", "folio_alloc", "__folio_alloc"),
        *("kmalloc_large", "kmalloc_large_node", "__kmalloc_large", "__kmalloc_large_node"),
        *("kmalloc_order", "kmalloc_order_trace", "__alloc_percpu", "__alloc_percpu_gfp"),
        "pcpu_alloc",
    ),
    ENTRIES: (
        *("kern_path", "user_path_at", "user_path_at_empty", "vfs_path_lookup", "path_get"),
        *("dget_parent", "d_find_alias", "d_lookup", "lookup_one_len", "lockref_get"),
        *("igrab", "ihold", "iget_locked", "iget5_locked", "ilookup", "new_inode"),
        *("filp_open", "dentry_open", "fget", "get_file", "anon_inode_getfile"),
    ),
}
_SIZED = tuple(name for name in (*BY_SIZE, *SIZE_IN) if not name.endswith(_NOPROF))


@dataclass(frozen=True)
class Taker:
    """A function that calls what takes such things."""

    module: ModulePointer
    function: str
    calls: str


@dataclass(frozen=True)
class Takers:
    """What the memory is full of, and who takes it."""

    what: str
    functions: tuple[Taker, ...]
    handlers: tuple[PacketHandler, ...] = ()

    @property
    def modules(self) -> set[str]:
        """Names of the modules they are in."""
        taking = {one.module.name for one in self.functions}
        return taking | {one.module.name for one in self.handlers}


def collect(
    session: Session,
    use: MemoryUse,
    deleted: DeletedFiles | Missing,
    modules: Modules | Missing,
) -> Takers | Missing:
    """Search the code of the modules from outside the kernel for calls."""
    pages = deleted.pages if isinstance(deleted, DeletedFiles) else 0
    what = _full_of(use, pages)
    if what is None or isinstance(modules, Missing):
        return Missing(Why.NOT_APPLICABLE, "the memory is not full of what has no owner")
    prog: Any = session.prog
    reader = StackReader(session, modules)
    names = reader.names
    taking = (*_TAKING[what], *(_SIZED if what == PAGES else ()))
    wanted = [name + end for name in taking for end in ("", _NOPROF)]
    targets = addresses(prog, wanted)
    found: dict[tuple[str, str], Taker] = {}
    outside = [module for module in modules.loaded if module.taints]
    for module in outside[:_MOST_MODULES]:
        for start, end in module.ranges:
            size = min(end - start, _MOST_BYTES)
            for site, target in calls(prog, start, size, targets, jumps=True)[:_MOST_SITES]:
                name, begin, _ = names.code(site)
                if begin is None:
                    continue
                called = targets[target].removesuffix(_NOPROF)
                if called in _SIZED and not _may_be_large(prog, reader, site, begin, called):
                    continue
                key = (module.name, base_name(name))
                found.setdefault(key, Taker(module.pointer, base_name(name), called))
    handlers = packet_handlers(session, modules) if what == PACKETS else ()
    return Takers(what, tuple(found.values()), handlers)


def _may_be_large(prog: Any, reader: StackReader, site: int, begin: int, called: str) -> bool:
    """Whether a call may ask for so much that it comes from no cache."""
    function = reader.function(begin)
    register = SIZE_IN.get(called, "rdi")
    size = function.registers(site).get(register) if function is not None else None
    most = _LARGEST_OBJECT - lies_before(prog, called)
    return size is None or bool(size.base) or size.offset > most


def _full_of(use: MemoryUse, deleted: int) -> str | None:
    """What has most of the memory that tells no owner."""
    largest = use.caches[:_LARGEST_CACHES]
    top = largest[0].pages if largest else 0
    if deleted > max(top, use.pages.unaccounted):
        return ENTRIES
    if use.pages.unaccounted > top:
        return PAGES
    if any(_CACHES.get(c.name) == PACKETS and _one_each(c, largest[0]) for c in largest[1:]):
        return PACKETS
    for cache in largest:
        what = _CACHES.get(cache.name) or (ENTRIES if cache.name.endswith("_inode_cache") else None)
        if what is not None and cache.pages >= _SHARE * use.pages.total:
            return what
    return None


def _one_each(cache: CacheUse, largest: CacheUse) -> bool:
    """Whether there is one object of a cache to each of the largest, or to every other.

    A packet's data are larger than the packet itself.
    """
    counts = [one.pages / max(one.object_size, 1) for one in (cache, largest)]
    return counts[0] * _FEWER >= counts[1]
