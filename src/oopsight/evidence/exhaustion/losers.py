"""Functions of the module that has the memory which can have lost it, most suspect first.

Who allocates memory mostly did not lose it. By the module's code: who returns with it on a way on
which nobody has it; who stores it over what a field held before; who is called to undo what made
it, and does not free it; who takes objects off a list and lets go of them; who frees the entries of
an array by another count than the one they were entered by.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.exhaustion.allocators import Allocators
from oopsight.evidence.exhaustion.loss_signs import Loser, LossSigns
from oopsight.evidence.exhaustion.memory_use import MemoryUse
from oopsight.evidence.exhaustion.object_links import LINKED, links
from oopsight.evidence.exhaustion.takers import PACKETS, PAGES, Takers
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import Ownership, frees
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.call_sites import addresses, calls
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_BYTES = 4 << 20
_MOST_SITES = 100
_NOPROF = "_noprof"  # since Linux 6.10, allocators are macros around functions named so
_VMALLOC = (
    *("vmalloc", "vzalloc", "__vmalloc", "vmalloc_user", "vmalloc_32", "vmalloc_node"),
    *("vzalloc_node", "__vmalloc_node", "kvmalloc_node", "__kvmalloc_node"),
)
# What gives back what.
_OF_VMALLOC = ("vfree", "kvfree", "kvfree_call_rcu")
_OF_KMALLOC = ("kfree", "kvfree", "kfree_sensitive", "kvfree_call_rcu", "call_rcu")
_OF_CACHE = ("kmem_cache_free", "call_rcu", "mempool_free", "kfree", "kvfree_call_rcu")
_OF_PAGES = ("free_pages", "free_pages_exact", "put_page", "folio_put", "dma_free_attrs")
_OF_PERCPU = ("free_percpu",)
_OF_PACKETS = ("kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "consume_skb")


@dataclass(frozen=True)
class Losers:
    """Of one module."""

    module: ModulePointer
    found: tuple[Loser, ...]
    makers: tuple[str, ...]
    """Functions that allocate such memory."""
    frees: tuple[str, ...]
    """Other functions of the module that free memory."""
    linked: bool
    """Whether most of the objects are on a list still: they are not lost, but too many."""
    whole: bool = True
    """Whether no other function of the module can have allocated such memory."""


def collect(
    session: Session,
    use: MemoryUse,
    modules: Modules,
    allocators: Allocators | Missing,
    takers: Takers | Missing,
    backtrace: Backtrace | Missing,
) -> Losers | Missing:
    """Read the code of the module, from where it allocates such memory."""
    asked = _asked(use, allocators, takers, backtrace)
    module = next((m for m in modules.loaded if asked and m.name == asked.module), None)
    if asked is None or module is None:
        return Missing(Why.NOT_APPLICABLE, "no module is known to have the memory")
    cache = use.caches[0] if asked.cache else None
    state = None if cache is None else _links(session, cache.address)
    called = cache.hint.function if cache is not None and cache.hint is not None else None
    whole = not (asked.cache and isinstance(allocators, Allocators) and not allocators.whole)
    return _read(session, modules, module, asked, _Seen(state, called, whole))


def from_cache(
    session: Session, modules: Modules, module: Module, allocators: Allocators, state: str | None
) -> Losers | Missing:
    """The same, of a module's own cache.

    :param allocators: the functions that allocate from it
    :param state: whether the objects are on lists still, or were taken off
    """
    asked = _Asked(
        module.name,
        frozenset(one.function for one in allocators.functions),
        (),
        _OF_CACHE,
        tuple(one.at for one in allocators.functions),
        cache=True,
    )
    return _read(session, modules, module, asked, _Seen(state, None, allocators.whole))


def _read(
    session: Session, modules: Modules, module: Module, asked: _Asked, seen: _Seen
) -> Losers | Missing:
    """Read the code of a module, from where it allocates."""
    code = Ownership(session, modules, module)
    sources = code.sources(_sites(session, module, code, asked))
    if not sources:
        return Missing(Why.NOT_APPLICABLE, f"no function of {module.name} is seen to allocate it")
    signs = LossSigns(session, module, code, sources, asked.frees)
    found = tuple(signs.all(seen.state, seen.called))
    known = {one.function for one in found} | {base_name(one.function.name) for one in sources}
    return Losers(
        module=module.pointer,
        found=found,
        makers=tuple(dict.fromkeys(base_name(one.function.name) for one in sources)),
        frees=tuple(
            dict.fromkeys(
                name
                for one in code.functions
                if frees(one, asked.frees) and (name := base_name(one.name)) not in known
            )
        ),
        linked=seen.state == LINKED,
        whole=seen.whole,
    )


@dataclass(frozen=True)
class _Seen:
    """What the objects tell."""

    state: str | None
    """Whether they are on lists still, or were taken off."""
    called: Address | None
    """The module's function that most of them point to."""
    whole: bool
    """Whether no other function of the module can have allocated such memory."""


@dataclass(frozen=True)
class _Asked:
    """What is looked for, and in which module."""

    module: str
    functions: frozenset[str]
    """Those that allocate."""
    calls: tuple[str, ...]
    """What they call for that; none where :attr:`at` tells."""
    frees: tuple[str, ...]
    """What gives such memory back."""
    at: tuple[str, ...] = ()
    """Symbols and offsets of the calls."""
    cache: bool = False
    """Whether it is the largest slab cache."""


def _asked(
    use: MemoryUse,
    allocators: Allocators | Missing,
    takers: Takers | Missing,
    backtrace: Backtrace | Missing,
) -> _Asked | None:
    """Of the largest holder of memory in the kernel."""
    cache, area = use.caches[:1], use.vmalloc[:1]
    in_cache, in_area = (sum(one.pages for one in ones) for ones in (cache, area))
    if area and in_area > max(in_cache, use.pages.unaccounted):
        module = area[0].module
        if module is None:
            return None
        return _Asked(module.name, frozenset((area[0].function,)), _VMALLOC, _OF_VMALLOC)
    known = isinstance(allocators, Allocators) and allocators.functions
    packets = isinstance(takers, Takers) and takers.what == PACKETS
    if isinstance(allocators, Allocators) and packets and not allocators.sure:
        known = ()
    if known and isinstance(allocators, Allocators) and in_cache >= use.pages.unaccounted:
        shared = "kmalloc" in cache[0].name
        return _Asked(
            allocators.module,
            frozenset(one.function for one in allocators.functions),
            (),
            _OF_KMALLOC if shared else _OF_CACHE,
            tuple(one.at for one in allocators.functions),
            cache=True,
        )
    if isinstance(takers, Missing) or takers.what not in (PAGES, PACKETS):
        return None
    modules = {one.module.name for one in takers.functions}
    asking = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    first = next((one.module for one in asking if one.module in modules), None)
    if first is None and len(modules) != 1:
        return None
    name = first or modules.pop()
    own = [one for one in takers.functions if one.module.name == name]
    called = tuple(one.calls for one in own)
    frees = _OF_PACKETS if takers.what == PACKETS else _frees_of(called)
    return _Asked(name, frozenset(one.function for one in own), called, frees)


def _frees_of(called: tuple[str, ...]) -> tuple[str, ...]:
    """What gives back what these take outside the caches."""
    found: dict[str, None] = {}
    for name in called:
        percpu, large = "percpu" in name or "pcpu" in name, "malloc" in name or "memdup" in name
        by = _OF_PERCPU if percpu else _OF_KMALLOC if large else _OF_PAGES
        found |= dict.fromkeys(by)
    return tuple(found)


def _sites(session: Session, module: Module, code: Ownership, asked: _Asked) -> list[int]:
    """Where the module calls what allocates."""
    prog: Any = session.prog
    by_name = {one.name: one.start for one in code.functions}
    found = []
    for at in asked.at:
        name, _, offset = at.rpartition("+")
        if name in by_name:
            found.append(by_name[name] + int(offset, 16))
    targets = addresses(prog, [name + end for name in asked.calls for end in ("", _NOPROF)])
    for start, end in module.ranges if targets else ():
        size = min(end - start, _MOST_BYTES)
        for site, _ in calls(prog, start, size, targets, jumps=True)[:_MOST_SITES]:
            one = code.holding(site)
            if one is not None and base_name(one.name) in asked.functions:
                found.append(site)
    return found


def _links(session: Session, address: int) -> str | None:
    from drgn import FaultError, Object

    try:
        return links(session.prog, Object(session.prog, "struct kmem_cache *", address))
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return None
