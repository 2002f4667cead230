"""Functions of a module that allocate from the slab cache that has filled the memory."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.exhaustion.memory_use import CacheUse, MemoryUse
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.call_sites import addresses, calls
from oopsight.kernel.machine_code import Expression
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_BYTES = 4 << 20
_MOST_SITES = 400
_MOST_MODULES = 32
MOST = 0.5
"""Share of the sampled objects from which on a module is suspect."""
NEW_SLAB = ("allocate_slab", "new_slab", "alloc_slab_page", "cache_grow_begin")
"""Functions that get memory for more objects of a cache."""
# The first argument is the cache.
_FROM_CACHE = (
    "kmem_cache_alloc",
    "kmem_cache_alloc_noprof",
    "kmem_cache_alloc_node",
    "kmem_cache_alloc_node_noprof",
    "kmem_cache_alloc_lru",
    "kmem_cache_alloc_lru_noprof",
    "kmem_cache_alloc_trace",
    "kmem_cache_alloc_node_trace",
    "kmalloc_trace",
    "kmalloc_node_trace",
    "__kmalloc_cache_noprof",
    "__kmalloc_cache_node_noprof",
)
# The first argument is the size.
BY_SIZE = (
    "__kmalloc",
    "__kmalloc_noprof",
    "__kmalloc_node",
    "__kmalloc_node_noprof",
    "__kmalloc_track_caller",
)
_DEVRES = 40
"""Bytes of ``struct devres`` where no type tells it."""
_MANAGED = "devm_"
# Another one is the size; of what is freed with a device, without what lies before it.
SIZE_IN = {
    **dict.fromkeys(("kmemdup", "kmemdup_noprof", "memdup_user", "devm_kmalloc"), "rsi"),
    **dict.fromkeys(("__seq_open_private", "devm_kmemdup", "devm_krealloc"), "rdx"),
}
# The size is their own affair.
_COPYING = (
    "kstrdup",
    "kstrdup_noprof",
    "kstrndup",
    "kstrndup_noprof",
    "kmemdup_nul",
    "memdup_user_nul",
    "kasprintf",
    "kvasprintf",
    "krealloc",
    "krealloc_noprof",
    "krealloc_node_align_noprof",
    "kvmalloc_node",
    "__kvmalloc_node_noprof",
    *("devm_kstrdup", "devm_kasprintf", "devm_kvasprintf"),
    "__kmalloc_node_track_caller",
    "__kmalloc_node_track_caller_noprof",
)


@dataclass(frozen=True)
class Allocator:
    """A function that allocates objects of the cache."""

    function: str
    at: str
    """Symbol and offset of the call."""


@dataclass(frozen=True)
class Allocators:
    """Of the module that the cache or its objects lead to.

    Else of the one that asked for more of it as the memory ran out, or alone allocates from it.
    """

    module: str
    functions: tuple[Allocator, ...]
    whole: bool = True
    """Whether that is all of them: each other call that allocates is known to be for another."""
    pointer: ModulePointer | None = None
    sure: bool = True
    """Whether the cache or its objects lead to the module."""


def collect(
    session: Session,
    use: MemoryUse,
    modules: Modules | Missing,
    backtrace: Backtrace | Missing,
) -> Allocators | Missing:
    """Follow the module's functions to where they allocate, and see from which cache."""
    cache = use.caches[0] if use.caches else None
    if cache is None or isinstance(modules, Missing):
        return Missing(Why.NOT_APPLICABLE, "no cache is known to be the largest")

    sure, likely = _named(cache, backtrace)

    def told(module: Module) -> Allocators:
        found = allocating(session, modules, module, cache.address, cache.object_size)
        return Allocators(module.name, *found, module.pointer, sure=sure is not None)

    named = {m.name: m for m in modules.loaded}
    if sure is not None:
        module = named.get(sure)
        return (
            told(module)
            if module is not None
            else Missing(Why.NOT_APPLICABLE, f"{sure} is not loaded")
        )
    for name in likely:
        if name in named and (one := told(named[name])).functions:
            return one
    outside = [m for m in modules.loaded if m.taints][:_MOST_MODULES]
    can = [one for one in map(told, outside) if one.functions]
    if len(can) != 1:
        return Missing(Why.NOT_APPLICABLE, "no module is known to use the largest cache")
    return can[0]


def _named(cache: CacheUse, backtrace: Backtrace | Missing) -> tuple[str | None, list[str]]:
    """The module that the cache or most of its objects lead to; failing it, who may have it.

    That is who was asking for another slab, and whom some objects lead to.
    """
    if cache.constructor_module is not None:
        return cache.constructor_module.name, []
    if cache.variable_module is not None:
        return cache.variable_module.name, []
    hint = cache.hint
    if hint is not None and hint.objects >= MOST * hint.sampled:
        return hint.module.name, []
    likely = [hint.module.name] if hint is not None else []
    if isinstance(backtrace, Backtrace):
        asking = {base_name(frame.function) for frame in backtrace.crash_path}
        first = next((f.module for f in backtrace.blamable if f.module is not None), None)
        if first is not None and not asking.isdisjoint(NEW_SLAB):
            likely.insert(0, first)
    return None, likely


def lies_before(prog: Any, called: str) -> int:
    """Bytes that an allocator takes beside those that it is asked for, before them."""
    from drgn import sizeof

    if not called.startswith(_MANAGED):
        return 0
    try:
        return int(sizeof(prog.type("struct devres")))
    except LookupError:
        return _DEVRES


def allocating(
    session: Session, modules: Modules, module: Module, cache: int, object_size: int
) -> tuple[tuple[Allocator, ...], bool]:
    """A module's functions that allocate from a cache.

    :param cache: address of the cache
    :param object_size: of the cache, in bytes
    :return: the functions, and whether that is all of them: each other call tells by its argument
        that it is for another cache
    """
    prog: Any = session.prog
    reader = StackReader(session, modules)
    known = addresses(prog, (*_FROM_CACHE, *BY_SIZE, *SIZE_IN))
    targets = known | addresses(prog, _COPYING)
    found: dict[str, Allocator] = {}
    whole = True
    left = _MOST_BYTES
    for start, end in module.ranges:
        size = min(end - start, left)
        left -= size
        sites = calls(prog, start, size, targets, jumps=True)
        whole = whole and len(sites) <= _MOST_SITES
        for site, target in sites[:_MOST_SITES]:
            name, begin, _ = reader.names.code(site)
            function = reader.function(begin) if begin is not None else None
            place = function.at(site, calling=False) if function is not None else None
            register = SIZE_IN.get(targets[target], "rdi")
            argument = place.registers.get(register) if place is not None else None
            if argument is not None:
                argument = argument.plus(lies_before(prog, targets[target]))
            fits = None
            if argument is not None and target in known:
                fits = _fits(prog, argument, cache, object_size)
            if fits and begin is not None:
                own = base_name(name)
                found.setdefault(own, Allocator(own, f"{name}+{site - begin:#x}"))
            whole = whole and fits is not None
    return tuple(found.values()), whole


def _fits(prog: Any, argument: Expression, cache: int, object_size: int) -> bool | None:
    """Whether the first argument is the cache, from a variable, or a size that comes from it.

    ``None`` where the argument is not known.
    """
    from drgn import FaultError

    if not argument.base:
        return object_size // 2 < argument.offset <= object_size
    if argument.offset or not argument.base.startswith("[0x"):
        return None
    try:
        return bool(prog.read_u64(int(argument.base[1:-1], 16)) == cache)
    except (FaultError, ValueError):
        return None
