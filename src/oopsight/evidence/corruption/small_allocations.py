"""Functions that allocate fewer bytes than they use of what they get.

``kzalloc(sizeof(struct relay_wiring), …)`` for a ``struct relay``: what lies behind the allocated
bytes is the next object's. The function that allocates has the size as a number, and accesses what
it got at distances that it has as numbers, too, itself or by a function of its module that it hands
the pointer to.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.element_sizes import too_small
from oopsight.evidence.corruption.index_limits import Root, operand_sum, sum_of
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.effects import slot_of
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import ARGUMENTS, Memory
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject, neighbour
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.init_function import init_function
from oopsight.evidence.modules.module_roles import holding_variables, inner_functions, is_copy
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_MOST_MODULES = 16
_MOST = 3
_DEEPEST = 2
"""Functions that are handed the pointer, and these."""
_LARGEST_OBJECT = 1 << 13
_WORD = 8
_MASK = (1 << 64) - 1
_SIZE_IN = {
    **dict.fromkeys(("kmalloc_trace", "kmem_cache_alloc_trace", "__kmalloc_cache"), "rdx"),
    **dict.fromkeys(("kmalloc_node_trace", "__kmalloc_cache_node"), "rcx"),
    **dict.fromkeys(("__kmalloc", "__kmalloc_node"), "rdi"),
}
"""Of functions that allocate, the register that tells how much."""
_SIZED_COPIES = ("memset", "memcpy", "memmove")
_FROM_CACHE = ("kmem_cache_alloc", "kmem_cache_alloc_lru", "kmem_cache_alloc_node")
_CREATES = ("kmem_cache_create", "__kmem_cache_create_args", "kmem_cache_create_usercopy")


@dataclass(frozen=True)
class SmallAllocation:
    """A function that uses more than it allocates."""

    function: str
    allocated: int
    """In bytes."""
    used: int
    """To the end of the last field that it accesses."""
    by: tuple[str, ...] = ()
    """Where it allocates from a cache: who made that with objects of such a size."""
    user: str | None = None
    """Where these are the bytes of one element of a table, one that uses such elements."""


@dataclass(frozen=True)
class SmallAllocations:
    """Those of one module whose objects are of the cache that the bad pointer lies in."""

    module: ModulePointer
    object: SlabObject
    """The one with the bad pointer."""
    found: tuple[SmallAllocation, ...]


def collect(
    session: Session, flow: DataFlow | Missing, users: ObjectUsers | Missing, modules: Modules
) -> SmallAllocations | Missing:
    """Look at all that make objects of the size of the one with the bad pointer."""
    none = Missing(Why.NOT_APPLICABLE, "nobody uses more of such objects than is allocated")
    one = _object(flow, users)
    if one is not None:
        for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]:
            found = tuple(_of_module(session, module, one))[:_MOST]
            if found:
                return SmallAllocations(module.pointer, one, found)
        field = _field(flow, users)
        found_by = _written_beyond(session, modules, one, field) if field is not None else None
        return found_by or _by_elements(session, users, modules, one) or none
    return none


def _by_elements(
    session: Session, users: ObjectUsers | Missing, modules: Modules, one: SlabObject
) -> SmallAllocations | None:
    """Who of the modules that may have run over it has a table made too small."""
    bound = [use.module for use in users.modules] if isinstance(users, ObjectUsers) else []
    for module in [m for m in modules.loaded if m.taints and m.name in bound]:
        reader = SessionReader(session)
        functions = inner_functions(session, module, reader)
        inner = {function.start: function for function in functions}
        elements = too_small(Calls(reader, (), {}), inner, uses_of(reader, functions))
        found = [SmallAllocation(e.function, e.reckoned, e.taken, (), e.user) for e in elements]
        if found:
            return SmallAllocations(module.pointer, one, tuple(dict.fromkeys(found))[:_MOST])
    return None


def _object(flow: DataFlow | Missing, users: ObjectUsers | Missing) -> SlabObject | None:
    """What the bad pointer lies in, or what was found to be written over."""
    if isinstance(users, ObjectUsers) and users.overrun is not None:
        return None if users.overrun.within else users.object
    if isinstance(flow, Missing) or not flow.of_a_pointer or flow.first.ended != "loaded":
        return None
    held, bad = flow.first.held_in, flow.bad
    if held is None or held.kind != "slab" or bad is None or bad.is_memory:
        return None
    return held.slab


def _field(flow: DataFlow | Missing, users: ObjectUsers | Missing) -> int | None:
    """Past the bad pointer's last byte, or past what is known to be written over."""
    if isinstance(users, ObjectUsers) and users.overrun is not None:
        return int(users.overrun.end)
    held = flow.first.held_in if isinstance(flow, DataFlow) else None
    return int(held.address) + _WORD if held is not None else None


def _written_beyond(
    session: Session, modules: Modules, one: SlabObject, field: int
) -> SmallAllocations | None:
    """Who goes beyond the object before, which a module's variable leads to, as far as a place."""
    before = neighbour(session, modules, one, -1)
    if before is None or before.freed:
        return None
    begin = int(before.address)
    for module, at, _, _ in holding_variables(session, modules, begin, begin + 1):
        found = _through(session, module, int(at), before, field)
        if found:
            return SmallAllocations(module.pointer, one, found)
    return None


def _through(
    session: Session, module: Module, at: int, before: SlabObject, field: int
) -> tuple[SmallAllocation, ...]:
    """Functions that go that far through a pointer which a variable holds.

    :param at: where the pointer is
    """
    try:
        symbol = session.prog.symbol(at)
    except LookupError:
        return ()
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    inner = {function.start: function for function in inner_functions(session, module, reader)}
    uses = Uses(calls, set(inner))
    place = range(int(symbol.address), int(symbol.address) + max(int(symbol.size), _WORD))
    found: dict[str, SmallAllocation] = {}
    for begin in inner:
        code = calls.function(begin)
        for load in _loads(code, place) if code is not None else ():
            use = uses.of(code, ("load", load)) if code is not None else _NONE
            if use.long and use.end > before.size and int(before.address) + use.end >= field:
                name = base_name(use.function)
                found[name] = SmallAllocation(name, before.size, use.end)
    return tuple(found.values())[:_MOST]


def _loads(code: Function, place: range) -> Iterator[int]:
    """Instructions that read a pointer from a variable, or from one of its entries."""
    for at, row in enumerate(code.instructions):
        memory = row.operands[1].memory if len(row.operands) == 2 else None
        if row.mnemonic != "mov" or memory is None or memory.size != _WORD or memory.segment:
            continue
        begin = row.end if memory.base == "rip" else 0
        if (memory.displacement + begin) & _MASK in place:
            yield at


def _of_module(session: Session, module: Module, one: SlabObject) -> Iterator[SmallAllocation]:
    reader = SessionReader(session)
    calls = Calls(reader, (), {})
    inner = {function.start: function for function in inner_functions(session, module, reader)}
    uses = Uses(calls, set(inner))
    for begin, function in inner.items():
        code = calls.function(begin)
        for at, size in _allocations(session, calls, code, one) if code is not None else ():
            used = uses.of(code, ("returned", at)).end if code is not None else 0
            if used <= max(size, one.size):
                continue
            by: tuple[str, ...] = ()
            if not one.cache.startswith("kmalloc"):
                creating = (
                    o for o in inner.values() if any(_named(c, _CREATES) for c in o.outside)
                )
                names = dict.fromkeys(base_name(o.name) for o in creating)
                by = tuple(names) or (init_function(session, module.name),)
            yield SmallAllocation(base_name(function.name), size, used, by)
            break


def _named(name: str, names: tuple[str, ...]) -> bool:
    return name.removesuffix("_noprof") in names


def _allocations(
    session: Session, calls: Calls, code: Function, one: SlabObject
) -> Iterator[tuple[int, int]]:
    """Calls that allocate such objects: where in the code, and how many bytes."""
    for at, row in enumerate(code.instructions):
        known = calls.reader.function(row.target) if row.is_call and row.target else None
        name = known[0].removesuffix("_noprof") if known is not None else ""
        if name in _FROM_CACHE:
            if _cache(session, calls, code, at) == one.cache_address:
                yield at, one.size
            continue
        given = operand_sum(calls, code, _SIZE_IN[name], at) if name in _SIZE_IN else None
        # kmalloc()'s caches go up in steps.
        if given is None or given[1] or not one.cache.startswith("kmalloc"):
            continue
        if one.size // 2 < given[0] <= one.size:
            yield at, given[0]


def _cache(session: Session, calls: Calls, code: Function, at: int) -> int | None:
    """The cache that a call allocates from, where a variable holds it."""
    given = operand_sum(calls, code, "rdi", at)
    root = next(iter(given[1]), None) if given is not None and not given[0] else None
    if root is None or root[0] != "load" or not isinstance(root[1], int):
        return None
    row = code.instructions[root[1]]
    memory = next((one.memory for one in row.operands if one.memory is not None), None)
    if memory is None or memory.base not in ("rip", None):
        return None
    begin = row.end if memory.base == "rip" else 0
    return read_word(session, (begin + memory.displacement) & _MASK)


@dataclass(frozen=True)
class Use:
    """The farthest access through a pointer."""

    end: int
    """Past its last byte, from where the pointer leads."""
    function: str
    """That does it, as its symbol is called."""
    long: bool
    """Whether it is a copy or fill of so many bytes, and no field."""


_NONE = Use(0, "", long=False)


class Uses:
    """How far functions of a module go into what they have a pointer to."""

    def __init__(self, calls: Calls, own: set[int]) -> None:
        """Ask about a module.

        :param own: where its functions begin
        """
        self._calls = calls
        self._own = own
        self._known: dict[tuple[int, Root], Use] = {}

    def of(self, code: Function, root: Root, deep: int = _DEEPEST) -> Use:
        """The farthest access through a pointer.

        :param root: the pointer; see :data:`~oopsight.evidence.corruption.index_limits.Root`
        :param deep: how many functions inwards are asked
        """
        key = (code.start, root)
        if key not in self._known:
            self._known[key] = _NONE
            found = (self._at(code, root, at, deep) for at in range(len(code.instructions)))
            known = [one for one in found if one.end <= _LARGEST_OBJECT]
            self._known[key] = max(known, key=lambda one: one.end, default=_NONE)
        return self._known[key]

    def _at(self, code: Function, root: Root, at: int, deep: int) -> Use:
        row = code.instructions[at]
        if row.target is not None and row.is_call:
            return self._called(code, root, at, row.target, deep)
        if row.mnemonic.startswith("rep"):
            return self._repeated(code, root, at)
        memories = [one.memory for one in row.operands if one.memory is not None]
        if row.mnemonic in ("lea", "nop") or not memories:
            return _NONE
        ends = [self._accessed(code, root, at, one) for one in memories]
        # What is filled by words has its first and its last set by themselves.
        long = any(other.mnemonic.startswith("rep") for other in code.instructions)
        return Use(max(ends), code.name, long=long)

    def _repeated(self, code: Function, root: Root, at: int) -> Use:
        far = self._far(code, root, "rdi", at)
        count = operand_sum(self._calls, code, "rcx", at)
        if far is None or count is None or count[1]:
            return _NONE
        row = code.instructions[at]
        width = next((one.memory.size for one in row.operands if one.memory is not None), 1)
        return Use(far + count[0] * width, code.name, long=True)

    def _accessed(self, code: Function, root: Root, at: int, memory: Memory) -> int:
        if memory.segment or slot_of(code, at, memory) is not None:
            return 0
        place = sum_of(self._calls, code, memory, at)
        if place is None or place[1] != {root: 1} or place[0] < 0:
            return 0
        return place[0] + memory.size

    def _far(self, code: Function, root: Root, register: str, at: int) -> int | None:
        """How far a register points into what the pointer leads to."""
        given = operand_sum(self._calls, code, register, at)
        known = given is not None and given[1] == {root: 1} and given[0] >= 0
        return given[0] if known and given is not None else None

    def _called(self, code: Function, root: Root, at: int, target: int, deep: int) -> Use:
        known = self._calls.reader.function(target)
        if known is not None and is_copy(known[0]):
            far = self._far(code, root, "rdi", at)
            if far is None:
                return _NONE
            name = known[0].lstrip("_").removesuffix("_orig").removesuffix("_erms")
            size = operand_sum(self._calls, code, "rdx", at) if name in _SIZED_COPIES else None
            whole = size is not None and not size[1]
            return Use(far + (size[0] if size is not None and whole else 1), code.name, long=whole)
        inner = self._calls.function(target) if target in self._own and deep else None
        found = _NONE
        for register in ARGUMENTS[:4] if inner is not None else ():
            far = self._far(code, root, register, at)
            if far is None or inner is None:
                continue
            one = self.of(inner, ("entered", register), deep - 1)
            if one.end and far + one.end > found.end:
                found = Use(far + one.end, one.function, one.long)
        return found
