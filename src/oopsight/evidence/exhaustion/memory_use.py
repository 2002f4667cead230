"""Who had the memory when it ran out: processes, the page cache, slab caches, vmalloc, the rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.stacks import task_pointer
from oopsight.evidence.memory.slab_caches import MOST_CACHES, memory_of
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import Memory, ModulePointer, TaskPointer, Variable
from oopsight.kernel.names import Names
from oopsight.kernel.slab_sample import sample
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import c_string, printable

_MOST_TASKS = 200_000
_MOST_AREAS = 500_000
_TOP = 10
_LARGEST_DATA = 8 << 20
_VM_ALLOC = 0x2  # include/linux/vmalloc.h
# Stacks are counted apart; their areas have this caller.
_STACKS = ("dup_task_struct", "alloc_thread_stack_node", "copy_process", "kernel_clone")


@dataclass(frozen=True)
class Pages:
    """The kernel's own counts, in pages."""

    total: int
    free: int
    anonymous: int
    """Of processes: their data, heap and stacks."""
    file: int
    """Page cache, without shmem."""
    shmem: int
    slab_reclaimable: int
    slab_unreclaimable: int
    kernel_stacks: int
    page_tables: int
    vmalloc: int
    unaccounted: int
    """Of the total, in none of the above: taken by the kernel page by page, or for per-CPU data;
    and what kmalloc() gave that is larger than its caches' objects: the kernel counts it as slabs.
    """
    because: tuple[Variable, ...] = ()


@dataclass(frozen=True)
class ProcessUse:
    """A process, with those of the same name."""

    task: TaskPointer
    pages: int
    count: int


@dataclass(frozen=True)
class ModuleHint:
    """A module that objects of a cache point into."""

    module: ModulePointer
    objects: int
    """Of those sampled."""
    sampled: int
    symbol: str | None
    """What most of them point to."""
    function: Address | None = None
    """The same, if it is a function."""


@dataclass(frozen=True)
class CacheUse:
    """A slab cache."""

    name: str
    address: Address
    pages: int
    object_size: int
    because: tuple[Memory, ...]
    constructor: str | None = None
    """Name of its constructor function."""
    constructor_module: ModulePointer | None = None
    variable: Variable | None = None
    """A module's variable that points to the cache."""
    variable_module: ModulePointer | None = None
    hint: ModuleHint | None = None


@dataclass(frozen=True)
class VmallocUse:
    """What one function has taken with vmalloc()."""

    function: str
    offset: int
    module: ModulePointer | None
    areas: int
    pages: int
    because: tuple[Memory, ...]
    """A few of the areas."""


@dataclass(frozen=True)
class MemoryUse:
    """The memory, by who has it, largest first."""

    pages: Pages
    processes: tuple[ProcessUse, ...]
    caches: tuple[CacheUse, ...]
    vmalloc: tuple[VmallocUse, ...]
    page_size: int


def collect(session: Session, symptom: Symptom, modules: Modules | Missing) -> MemoryUse | Missing:
    """Count, for crashes that come from exhaustion."""
    if symptom.kind not in (Kind.OOM, Kind.MEMORY_LEAK):
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} does not come from exhaustion")
    counter = _Counter(session, modules)
    vmalloc, vmalloc_pages = counter.vmalloc()
    caches, in_caches = counter.caches()
    return MemoryUse(
        pages=counter.pages(vmalloc_pages, in_caches),
        processes=counter.processes(),
        caches=caches,
        vmalloc=vmalloc,
        page_size=counter.page_size,
    )


class _Counter:
    def __init__(self, session: Session, modules: Modules | Missing) -> None:
        self._session = session
        self._prog: Any = session.prog
        self._modules = modules
        self._names = Names(session.prog)
        self.page_size = int(self._prog["PAGE_SIZE"])

    def pages(self, vmalloc: int, in_caches: int | None) -> Pages:
        """The kernel's counters.

        :param in_caches: pages of all slab caches, if all are known
        """
        from drgn.helpers.linux.mm import totalram_pages
        from drgn.helpers.linux.vmstat import nr_free_pages

        total, free = int(totalram_pages(self._prog)), int(nr_free_pages(self._prog))
        shmem, because = self._count("NR_SHMEM")
        anonymous, anonymous_because = self._count("NR_ANON_MAPPED")
        slab, slab_because = self._count("NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE")
        reclaimable = self._count("NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE")[0]
        file = max(self._count("NR_FILE_PAGES")[0] - shmem, 0)
        stacks = self._count("NR_KERNEL_STACK_KB")[0] * 1024 // self.page_size
        tables = self._count("NR_PAGETABLE")[0]
        slabs = slab + reclaimable if in_caches is None else min(slab + reclaimable, in_caches)
        known = free + shmem + anonymous + slabs + file + stacks + tables + vmalloc
        return Pages(
            total=total,
            free=free,
            anonymous=anonymous,
            file=file,
            shmem=shmem,
            slab_reclaimable=reclaimable,
            slab_unreclaimable=slab,
            kernel_stacks=stacks,
            page_tables=tables,
            vmalloc=vmalloc,
            unaccounted=max(total - known, 0),
            because=(*anonymous_because, *slab_because, *because),
        )

    def _count(self, *names: str) -> tuple[int, tuple[Variable, ...]]:
        """A node's counter over all nodes, by the first name that this kernel has."""
        from drgn import FaultError

        for name in names:
            try:
                item = int(self._prog.constant(name))
            except LookupError:
                continue
            address = self._prog.symbol("vm_node_stat").address + 8 * item
            try:
                raw = self._prog.read(address, 8)
            except FaultError:
                return 0, ()
            count = int.from_bytes(raw, "little", signed=True)
            return max(count, 0), (Variable("vm_node_stat", 8 * item, Address(address), raw.hex()),)
        return 0, ()

    def processes(self) -> tuple[ProcessUse, ...]:
        """Processes by name, the largest first, with the pages they have and their tables'."""
        from drgn import FaultError
        from drgn.helpers.linux.mm import task_rss
        from drgn.helpers.linux.pid import for_each_task

        largest: dict[str, tuple[int, TaskPointer]] = {}
        pages: Counter[str] = Counter()
        count: Counter[str] = Counter()
        seen: set[int] = set()
        try:
            for number, task in enumerate(for_each_task(self._prog)):
                if number >= _MOST_TASKS:
                    break
                try:
                    mm = task.mm.value_()
                    if not mm or mm in seen:
                        continue
                    seen.add(mm)
                    own = task_rss(task).total + self._tables(task.mm)
                    pointer = task_pointer(task.group_leader.read_())
                except FaultError:
                    continue
                pages[pointer.comm] += own
                count[pointer.comm] += 1
                if own >= largest.get(pointer.comm, (0, pointer))[0]:
                    largest[pointer.comm] = (own, pointer)
        except FaultError:
            pass  # those read before stand
        return tuple(
            ProcessUse(largest[name][1], total, count[name])
            for name, total in pages.most_common(_TOP)
        )

    def _tables(self, mm: Any) -> int:
        """Pages of the tables that map an address space; 0 where the kernel does not count them."""
        try:
            return int(mm.pgtables_bytes.counter.value_()) // self.page_size
        except AttributeError:
            return 0

    def caches(self) -> tuple[tuple[CacheUse, ...], int | None]:
        """Slab caches by the pages of their slabs; of the largest, also whose they are.

        :return: the largest, and the pages of all; ``None`` if some cannot be read
        """
        from drgn import FaultError
        from drgn.helpers.linux.slab import for_each_slab_cache

        found: list[tuple[int, Any, tuple[Memory, ...]]] = []
        whole = True
        try:
            for number, cache in enumerate(for_each_slab_cache(self._prog)):
                if number >= MOST_CACHES:
                    break
                try:
                    found.append(self._size(cache))
                except (FaultError, AttributeError):
                    whole = False
        except FaultError:
            whole = False  # those read before stand
        found.sort(key=lambda item: -item[0])
        largest = tuple(
            self._cache(pages, cache, because, whose=rank < 2)
            for rank, (pages, cache, because) in enumerate(found[:_TOP])
        )
        return largest, sum(pages for pages, _, _ in found) if whole and found else None

    def _size(self, cache: Any) -> tuple[int, Any, tuple[Memory, ...]]:
        from drgn.helpers.linux.nodemask import for_each_online_node
        from drgn.helpers.linux.slab import slab_cache_pages_per_slab

        slabs = 0
        because = []
        for node in for_each_online_node(self._prog):
            try:
                # Since Linux 7.0 the nodes are reached through per_node.
                pointer = cache.node[node].read_()
            except AttributeError:
                pointer = cache.per_node[node].node.read_()
            if pointer:
                slabs += pointer.nr_slabs.counter.value_()
                because.append(memory_of(pointer, "nr_slabs"))
        return slabs * slab_cache_pages_per_slab(cache), cache, tuple(because)

    def _cache(
        self, pages: int, cache: Any, because: tuple[Memory, ...], *, whose: bool
    ) -> CacheUse:
        from drgn import FaultError

        address = cache.value_()
        try:
            name = printable(c_string(cache.name), 128)
        except FaultError:
            name = f"cache at {address:#x}"
        use = CacheUse(name, Address(address), pages, cache.object_size.value_(), because)
        if not whose:
            return use
        constructor = cache.ctor.value_()
        owner = self._owner(constructor) if constructor else None
        variable, variable_module = self._variable(address)
        return CacheUse(
            **{
                **vars(use),
                "constructor": self._function(constructor) if owner else None,
                "constructor_module": owner.pointer if owner is not None else None,
                "variable": variable,
                "variable_module": variable_module,
                "hint": self._hint(cache),
            }
        )

    def _function(self, address: int) -> str | None:
        name, start, _ = self._names.code(address)
        return base_name(name) if start is not None else None

    def _owner(self, address: int) -> Module | None:
        return self._modules.owner(address) if isinstance(self._modules, Modules) else None

    def _variable(self, value: int) -> tuple[Variable | None, ModulePointer | None]:
        """A variable of a module that holds a value."""
        from drgn import FaultError

        wanted = value.to_bytes(8, "little")
        for module in self._modules.loaded if isinstance(self._modules, Modules) else ():
            for start, end in module.ranges:
                if end - start > _LARGEST_DATA:
                    continue
                try:
                    data = self._prog.read(start, end - start)
                except FaultError:
                    continue
                at = data.find(wanted)
                while at >= 0:
                    found = self._named(start + at, wanted) if at % 8 == 0 else None
                    if found is not None:
                        return found, module.pointer
                    at = data.find(wanted, at + 1)
        return None, None

    def _named(self, address: int, raw: bytes) -> Variable | None:
        try:
            symbol = self._prog.symbol(address)
        except LookupError:
            return None
        offset = address - symbol.address
        name = printable(symbol.name, 128)
        return Variable(name, offset, Address(address), raw.hex()) if offset < 4096 else None

    def _hint(self, cache: Any) -> ModuleHint | None:
        """The module that most of a cache's objects, by a sample, point into."""
        if isinstance(self._modules, Missing):
            return None
        loaded = self._modules
        objects: Counter[str] = Counter()
        symbols: Counter[tuple[str, int]] = Counter()
        count = 0
        for words in sample(self._prog, cache):
            count += 1
            owners = {w: owner for w in words if loaded.in_area(w) and (owner := loaded.owner(w))}
            objects.update({owner.name for owner in owners.values()})
            symbols.update((owner.name, word) for word, owner in owners.items())
        if not objects:
            return None
        name, hits = objects.most_common(1)[0]
        module = next(m for m in loaded.loaded if m.name == name)
        address = next((w for (n, w), _ in symbols.most_common() if n == name), None)
        symbol = None
        function = None
        if address is not None:
            text, start, _ = self._names.code(address)
            symbol = base_name(text) if start is not None else None
            function = Address(address) if start == address and self._is_code(address) else None
        return ModuleHint(module.pointer, hits, count, symbol, function)

    def _is_code(self, address: int) -> bool:
        from drgn import SymbolKind

        return bool(self._prog.symbol(address).kind == SymbolKind.FUNC)

    def vmalloc(self) -> tuple[tuple[VmallocUse, ...], int]:
        """Areas by the function that asked for them."""
        from drgn import FaultError
        from drgn.helpers.linux.mm import for_each_vmap_area

        pages: Counter[int] = Counter()
        areas: Counter[int] = Counter()
        examples: dict[int, list[Memory]] = {}
        try:
            for number, area in enumerate(for_each_vmap_area(self._prog)):
                if number >= _MOST_AREAS:
                    break
                try:
                    vm = area.vm.read_()
                    if not vm or not vm.flags.value_() & _VM_ALLOC:
                        continue
                    caller, size = vm.caller.value_(), int(vm.nr_pages)
                    pages[caller] += size
                    areas[caller] += 1
                    if areas[caller] <= 2:
                        examples.setdefault(caller, []).append(memory_of(vm, "caller"))
                except (FaultError, AttributeError):
                    continue
        except (FaultError, LookupError):
            pass  # those read before stand
        found: list[VmallocUse] = []
        total = 0
        for caller, size in pages.most_common():
            name, start, _ = self._names.code(caller)
            if base_name(name) in _STACKS:
                continue
            total += size
            if len(found) < _TOP:
                owner = self._owner(caller)
                found.append(
                    VmallocUse(
                        function=base_name(name),
                        offset=caller - start if start is not None else 0,
                        module=owner.pointer if owner is not None else None,
                        areas=areas[caller],
                        pages=size,
                        because=tuple(examples[caller]),
                    )
                )
        return tuple(found), total
