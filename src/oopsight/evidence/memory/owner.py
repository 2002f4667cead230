"""Whose memory an address is: slab object, module, kernel variable, stack, page, or nobody's.

Not a fact by itself: :mod:`oopsight.evidence.flow.data_flow` asks it for the addresses that matter.
"""

from __future__ import annotations

import array
import bisect
import contextlib
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.address import nonsense
from oopsight.evidence.memory import kasan, page_owner
from oopsight.evidence.memory.slab_tracks import Track, tracks
from oopsight.evidence.memory.user_area import user_area
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session
from oopsight.symbols.lookup import symbols_between
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from drgn import Program

_POISON_FREE = 0x6B  # include/linux/poison.h
_POISON_END = 0xA5
_MOST_OBJECT_BYTES = 8192
_PAGE = 4096
# Who allocates stacks in the vmalloc area (CONFIG_VMAP_STACK).
_STACK_MAKERS = {
    "irq_init_percpu_irqstack": "an interrupt stack",
    "alloc_thread_stack_node": "the stack of another task",
    "dup_task_struct": "the stack of another task",
    "copy_process": "the stack of another task",
    "kernel_clone": "the stack of another task",
}
_SHOWN_BYTES = 64
MOST_REFERENCES = 8
_MOST_CPUS = 8192  # CONFIG_NR_CPUS_RANGE_END
_PER_CPU_SYMBOLS = "oopsight_per_cpu_symbols"
"""In the program's cache: (address, name) of the static per-CPU symbols, ascending."""


@dataclass(frozen=True)
class Reference:
    """A pointer to a module's code or data that lies in an object: whose object it is."""

    offset: int
    value: Address
    symbol: str
    module: str
    memory: BytesPointer


@dataclass(frozen=True)
class SlabObject:
    """A slab object, allocated or free."""

    cache: str
    address: Address
    size: int
    """``object_size``: what the user of the object asked for."""
    stride: int
    """Distance of objects in the slab."""
    state: str
    """``allocated``, ``free`` or ``unknown``, after the free lists."""
    poisoned: bool
    """Whether it is filled with the pattern of freed objects (slub_debug=P)."""
    cache_address: Address
    head: BytesPointer | None
    """Its first bytes, as they are in the dump."""
    tracks: tuple[Track, ...]
    """Who allocated and who freed it last, where slub_debug=U or KASAN keeps that."""
    refers: tuple[Reference, ...]
    """Its pointers to modules, the first :data:`MOST_REFERENCES`."""
    merged: bool = False
    """Whether caches of other names share this one: its name does not tell what the object is."""

    @property
    def end(self) -> int:
        """Past its last byte."""
        return self.address + self.size

    @property
    def freed(self) -> bool:
        """Whether the dump shows that it is free."""
        return self.state == "free" or self.poisoned

    def track(self, what: str) -> Track | None:
        """The last ``allocated`` or ``freed``."""
        return next((track for track in self.tracks if track.what == what), None)


@dataclass(frozen=True)
class Owner:
    """What an address is."""

    address: Address
    kind: str
    """``slab``, ``module``, ``module-area-gap``, ``kernel``, ``stack``, ``per-cpu``, ``vmalloc``,
    ``other-user`` (of a process, met by a thread of the kernel),
    ``free-page``, ``page``, ``direct-map-hole``, or one of :func:`~oopsight.evidence.address.
    nonsense`: ``null``, ``error-pointer``, ``poison``, ``user``, ``non-canonical``; ``unknown``."""
    detail: str
    """In words."""
    module: str | None = None
    symbol: str | None = None
    """Variable or function that holds it."""
    offset: int | None = None
    """From the symbol's or object's beginning, bytes."""
    slab: SlabObject | None = None
    mapped: bool = False
    """Whether the memory there can be read."""
    tracks: tuple[Track, ...] = ()
    """Of a page: who allocated and who freed it, where the kernel records that."""

    @property
    def is_memory(self) -> bool:
        """Whether a valid pointer could hold this address."""
        return self.kind in ("slab", "module", "kernel", "stack", "per-cpu", "vmalloc", "page")


def _mapped(session: Session, address: int) -> bool:
    from drgn import FaultError

    try:
        session.read(address & ~7, 8)
    except (FaultError, OverflowError):
        return False
    return True


def _per_cpu(session: Session, address: int) -> tuple[int, str, int] | None:
    """CPU, symbol and offset of an address in a CPU's static per-CPU area."""
    from drgn import FaultError

    prog = session.prog
    try:
        # On x86-64 per-CPU symbols are offsets from zero, or since Linux 6.15 addresses.
        start = prog.symbol("__per_cpu_start").address
        end = prog.symbol("__per_cpu_end").address
        count = min(prog["nr_cpu_ids"].value_(), _MOST_CPUS)
        offsets = array.array("Q", session.read(prog["__per_cpu_offset"].address_, 8 * count))
    except (LookupError, FaultError, SymbolError):
        return None
    for cpu, offset in enumerate(offsets):
        inside = (address - offset) & ((1 << 64) - 1)
        if start <= inside < end:
            name, begin = _per_cpu_symbol(prog, inside)
            return cpu, name, inside - begin
    return None


def _per_cpu_symbol(prog: Program, inside: int) -> tuple[str, int]:
    """Name and address of the last per-CPU symbol at or before one.

    drgn finds symbols by address only within modules, and at these offsets there is none.
    """
    known = prog.cache.get(_PER_CPU_SYMBOLS)
    if known is None:
        start, end = (prog.symbol(f"__per_cpu_{place}").address for place in ("start", "end"))
        known = symbols_between(prog, start, end)
        prog.cache[_PER_CPU_SYMBOLS] = known
    position = bisect.bisect_right(known, (inside, "\U0010ffff")) - 1
    if position < 0:
        return "", 0
    begin, name = known[position]
    return printable(name), begin


def _slab(session: Session, modules: Modules | None, address: int) -> SlabObject | None:
    from drgn import FaultError
    from drgn.helpers import ValidationError

    from oopsight.kernel.slab_objects import slab_object_info

    try:
        info = slab_object_info(session.prog, address)
    except (FaultError, LookupError, ValidationError, AttributeError, ValueError, SymbolError):
        return None
    if info is None or not info.address:
        return None
    return slab_object(session, modules, info)


def slab_object(session: Session, modules: Modules | None, info: Any) -> SlabObject | None:
    """Describe what ``slab_object_info`` found."""
    from drgn import FaultError

    cache = info.slab_cache
    try:
        size, stride = cache.object_size.value_(), cache.size.value_()
        name = printable(c_string(cache.name), 128)
    except FaultError:
        return None
    if not 0 < size <= stride:
        return None
    kept_back = kasan.freed(session.prog, cache, info.address)
    allocated = False if kept_back else info.allocated
    state = {True: "allocated", False: "free", None: "unknown"}[allocated]
    data = b""
    with contextlib.suppress(FaultError):
        data = session.read(info.address, min(size, _MOST_OBJECT_BYTES))
    body = data[:-1]
    poisoned = (
        len(data) >= 16
        and data[-1] == _POISON_END
        and body.count(_POISON_FREE) * 4 >= len(body) * 3
    )
    head = BytesPointer(Address(info.address), data[:_SHOWN_BYTES].hex()) if data else None
    return SlabObject(
        cache=name,
        address=Address(info.address),
        size=size,
        stride=stride,
        state=state,
        poisoned=poisoned,
        cache_address=Address(cache.value_()),
        head=head,
        tracks=tracks(session, modules, cache, info.address)
        or kasan.records(session, modules, cache, info.address),
        refers=_references(session, modules, info.address, data),
        merged=_merged(cache),
    )


def _merged(cache: Any) -> bool:
    """Whether SLUB uses the cache for several that would be alike."""
    from drgn import FaultError

    try:
        return bool(cache.refcount.value_() > 1)
    except (FaultError, AttributeError):
        return False


def _references(
    session: Session, modules: Modules | None, address: int, data: bytes
) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for offset in range(0, len(data) - 7, 8):
        value = int.from_bytes(data[offset : offset + 8], "little")
        if modules is None or not modules.in_area(value):
            continue
        owner = modules.owner(value)
        symbol, inside = _symbol(session, value)
        if owner is None or symbol is None:
            continue
        name = f"{symbol}+{inside:#x}" if inside else symbol
        memory = BytesPointer(Address(address + offset), data[offset : offset + 8].hex())
        found.append(Reference(offset, Address(value), name, owner.name, memory))
        if len(found) >= MOST_REFERENCES:
            break
    return tuple(found)


def neighbour(
    session: Session, modules: Modules | None, one: SlabObject, steps: int
) -> SlabObject | None:
    """The object that many places further in the same slab."""
    other = _slab(session, modules, one.address + steps * one.stride)
    if other is None or other.cache_address != one.cache_address:
        return None
    return other if other.address == one.address + steps * one.stride else None


def _page(session: Session, address: int) -> tuple[str, str]:
    """Kind and words for an address of the direct map that no slab holds."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import virt_to_page

    try:
        page = virt_to_page(session.prog, address)
        count = page.member_("_refcount").counter.value_()
        kind = page.page_type.value_() & 0xFFFFFFFF
    except (FaultError, LookupError, AttributeError, SymbolError):
        return "unknown", "memory of which nothing is known"
    # PG_buddy is in page_type, inverted before Linux 6.11: either way a count of 0 means free.
    if count == 0:
        return "free-page", f"a free page (its reference count is 0, page type {kind:#x})"
    return "page", f"a page in use (reference count {count})"


def owner_of(session: Session, modules: Modules | None, address: int) -> Owner:
    """Say what an address is."""
    where = Address(address & ((1 << 64) - 1))
    known = nonsense(int(where))
    if known and known[0] == "user":
        area = user_area(session, where)
        if area is None:
            return Owner(where, *known)
        return Owner(where, "user" if area.own else "other-user", area.text, mapped=True)
    if known:
        return Owner(where, *known)
    if where >> 47 != 0x1FFFF and not _five_levels(session):
        return Owner(where, "non-canonical", "no address at all: its upper bits are not all 1")
    mapped = _mapped(session, where)
    symbol, offset = _symbol(session, where)
    if modules is not None:
        owner = modules.owner(where)
        if owner is not None:
            inside = f"{symbol}+{offset:#x}" if symbol else f"{where - owner.base:#x}"
            text = f"{inside} in module {owner.name}"
            return Owner(where, "module", text, owner.name, symbol, offset, mapped=mapped)
        if modules.in_area(where):
            return Owner(where, "module-area-gap", "the module area, where no module is loaded")
    if symbol is not None and where >= 0xFFFFFFFF80000000:
        text = f"{symbol}+{offset:#x} of the kernel"
        return Owner(where, "kernel", text, None, symbol, offset, mapped=mapped)
    cpu = _per_cpu(session, where)
    if cpu is not None:
        text = (
            f"{cpu[1]}+{cpu[2]:#x} of CPU {cpu[0]}" if cpu[1] else f"per-CPU data of CPU {cpu[0]}"
        )
        return Owner(where, "per-cpu", text, None, cpu[1] or None, cpu[2], mapped=mapped)
    found = _slab(session, modules, where)
    if found is not None:
        begin = where - found.address
        state = "free" if found.freed else found.state
        text = (
            f"offset {begin:#x} of the {state} object {found.address} of slab cache {found.cache}"
        )
        if found.merged and not found.cache.startswith("kmalloc"):
            text += ", which others share"
        return Owner(where, "slab", text, offset=begin, slab=found, mapped=mapped)
    return _other(session, modules, where, mapped=mapped)


def _five_levels(session: Session) -> bool:
    """Whether addresses have 57 bits; they have where that is not known."""
    from drgn import FaultError

    try:
        return bool(session.prog["pgdir_shift"].value_() > 39)
    except (LookupError, FaultError, SymbolError):
        return True


def _symbol(session: Session, address: int) -> tuple[str | None, int | None]:
    try:
        symbol = session.prog.symbol(address)
    except LookupError:
        return None, None
    return printable(symbol.name), address - symbol.address


def _other(session: Session, modules: Modules | None, where: Address, *, mapped: bool) -> Owner:
    """Stacks, vmalloc areas and pages."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import find_vmap_area, in_direct_map

    prog = session.prog
    stack = _stack(session, where)
    if stack is not None:
        return Owner(where, "stack", stack, mapped=mapped)
    try:
        direct = in_direct_map(prog, where)
    except (FaultError, LookupError, ValueError, SymbolError):
        direct = False
    if direct:
        if not mapped:
            return Owner(where, "unknown", "a page that is not in the dump")
        kind, text = _page(session, where)
        kept = page_owner.records(session, modules, where)
        return Owner(where, kind, text, mapped=mapped, tracks=kept)
    try:
        area = find_vmap_area(prog, where)
    except (FaultError, LookupError, ValueError, AttributeError, SymbolError):
        area = None
    if area:
        caller = None
        with contextlib.suppress(FaultError, LookupError, AttributeError, SymbolError):
            caller = prog.symbol(area.vm.caller.value_()).name if area.vm else None
        if caller in _STACK_MAKERS:
            return Owner(where, "stack", _STACK_MAKERS[caller], mapped=mapped)
        by = f" allocated by {printable(caller)}" if caller else ""
        return Owner(where, "vmalloc", f"a vmalloc area{by}", mapped=mapped)
    if _in_vmalloc(session, where):
        return Owner(where, "vmalloc-hole", "the vmalloc range, where nothing is allocated now")
    return Owner(where, "unknown", "belongs to nothing that is known", mapped=mapped)


def same_area(session: Session, one: int, other: int) -> bool:
    """Whether two addresses lie in the same area of vmalloc, its guard page included."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import find_vmap_area

    try:
        area = find_vmap_area(session.prog, one)
        return bool(area) and bool(area.va_start <= other < area.va_end)
    except (FaultError, LookupError, ValueError, AttributeError, SymbolError):
        return False


def area_bounds(session: Session, address: int) -> tuple[int, int] | None:
    """Where an area of vmalloc begins, and ends without its guard page."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import find_vmap_area

    try:
        area = find_vmap_area(session.prog, address)
        return (int(area.va_start), int(area.va_end) - _PAGE) if area else None
    except (FaultError, LookupError, ValueError, AttributeError, SymbolError):
        return None


def area_caller(session: Session, address: int) -> int | None:
    """An address in the function that had an area of vmalloc made, after the kernel's record."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import find_vmap_area

    try:
        area = find_vmap_area(session.prog, address)
        caller = area.vm.caller.value_() if area and area.vm else 0
    except (FaultError, LookupError, ValueError, AttributeError, SymbolError):
        return None
    return int(caller) or None


def _in_vmalloc(session: Session, address: int) -> bool:
    from drgn import FaultError

    try:
        # x86-64 places the range at random; a terabyte is its least size, 32 its usual.
        start = session.prog["vmalloc_base"].value_()
        size = 12800 << 40 if _five_levels(session) else 32 << 40
    except (LookupError, FaultError, SymbolError):
        return False
    return bool(start <= address < start + size)


def _stack(session: Session, address: int) -> str | None:
    """Whether it is on the crashed task's stack or an interrupt stack of its CPU."""
    from drgn import FaultError
    from drgn.helpers.linux.panic import panic_task

    try:
        task = panic_task(session.prog)
        base = task.stack.value_()
        size = stack_size(session)
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    if base <= address < base + size:
        return f"the stack of {printable(c_string(task.comm))} (pid {task.pid.value_()})"
    return None


def stack_size(session: Session) -> int:
    """THREAD_SIZE, from the union that the first task's stack is."""
    try:
        size = session.prog["init_thread_union"].type_.size
    except LookupError:
        size = None
    return size or 16384
