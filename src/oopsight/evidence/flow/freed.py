"""The address that was handed to an allocator to be freed, where that stopped over it.

What such a function looks at is computed from the address: the page that the object lies in, the
area, the chunk. The address is what counts.
"""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.address import error_number
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.effects import Copy
from oopsight.evidence.flow.instructions import ARGUMENTS, CALLEE_SAVED, Memory
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_STATIC = ("module", "kernel", "stack", "per-cpu")
_SLAB = (*_STATIC, "vmalloc")
_FREES: dict[str, tuple[int, tuple[str, ...]]] = {
    **dict.fromkeys(("kfree", "ksize", "__ksize", "kfree_sensitive", "kzfree"), (0, _SLAB)),
    "kmem_cache_free": (1, _SLAB),
    "kvfree": (0, _STATIC),
    "kvfree_sensitive": (0, _STATIC),
    "vfree": (0, (*_STATIC, "slab", "page")),
    "free_pages": (0, (*_SLAB, "slab")),
    "free_percpu": (0, (*_SLAB, "slab", "page")),
}
"""Functions that free what an argument, by its position, points to; what is none of theirs."""
_INNER = (
    *("free_large_kmalloc", "__slab_free", "do_slab_free", "cache_from_obj", "__kmem_cache_free"),
    *("remove_vm_area", "__vunmap", "find_vm_area", "find_unlink_vmap_area", "pcpu_free_area"),
    *("__free_pages", "free_the_page", "___free_pages", "free_unref_page", "free_frozen_pages"),
)
"""What these call of their own."""
_MOST_INNER = 4
_LOOKED_AT = 1  # CPUs
_HALF = 1 << 63
_MASK = (1 << 64) - 1
_LARGE = "free_large_kmalloc"
"""It comes to a page that is no slab, and stops where ``kmalloc()`` did not take it as a whole."""

Start = tuple[Context, "str | Memory", int | None, str]


def freed(session: Session, modules: Modules | None, found: Calls) -> Start | None:
    """Context, register, value, and what that is, as for any bad value.

    :return: ``freed``, memory that is of another kind than the function frees; or ``operand``, no
        address at all; ``None`` where nothing was to be freed, or it is of its kind
    """
    inner = found.context(0)
    best: Start | None = None
    within: str | None = None
    for _ in range(_MOST_INNER):
        if inner is None:
            break
        name = base_name(inner.function.name)
        outer = inner.caller()
        if name in _FREES and outer is not None and _called(found, outer, inner):
            best = _given(session, modules, found, inner, outer, within) or best
        elif name not in _INNER:
            break
        within = within or name
        inner = outer
    return best


def _called(found: Calls, outer: Context, inner: Context) -> bool:
    target = found.target_of(outer) or outer.function.instructions[outer.at].target
    return target == inner.function.start


def _given(  # the call, from both sides
    session: Session,
    modules: Modules | None,
    found: Calls,
    inner: Context,
    outer: Context,
    within: str | None,
) -> Start | None:
    """What one call handed over to be freed.

    :param within: the function of its own, if any, in which it stopped
    """
    position, others = _FREES[base_name(inner.function.name)]
    register = ARGUMENTS[position]
    value = found.tracer.entering(inner, register)
    if value is None:
        value = _error_code(found, inner, register)
    if value is None:
        return None
    owner = owner_of(session, modules, value)
    if owner.is_memory:
        strange = owner.kind in others or (owner.kind == "page" and within == _LARGE)
        return (outer, register, value, "freed") if strange else None
    percpu = base_name(inner.function.name) == "free_percpu"
    if not percpu and "per-cpu" in others and per_cpu_memory(session, value) is not None:
        return outer, register, value, "freed"
    # What per-CPU memory is known by is no address.
    itself = within is None or within in _FREES
    return (outer, register, value, "operand") if itself and not percpu else None


def per_cpu_memory(session: Session, value: int) -> Owner | None:
    """What ``alloc_percpu()`` returns: with a CPU's offset added it leads to memory."""
    from drgn import FaultError

    if value >= _HALF:
        return None
    prog = session.prog
    try:
        static = prog.symbol("__per_cpu_end").address - prog.symbol("__per_cpu_start").address
        if value < static:
            return None
        for cpu in range(_LOOKED_AT):
            offset = prog["__per_cpu_offset"][cpu].value_()
            prog.read((value + offset) & _MASK, 8)
    except (FaultError, LookupError):
        return None
    return Owner(
        Address(value), "per-cpu", "a pointer to per-CPU memory, as alloc_percpu() returns"
    )


def _error_code(found: Calls, context: Context, register: str) -> int | None:
    """An error code that the function may have received in a register, and still has.

    Where several ways lead to a register's value only one so distinct is believed.
    """
    for place in (register, *CALLEE_SAVED):
        value = context.registers.get(place)
        if value is None or error_number(value) is None:
            continue
        for one in found.tracer.definitions(context.function, place, context.at) or ():
            entered = one.effect is None and place == register
            if entered or (isinstance(one.effect, Copy) and one.effect.source == register):
                return value
    return None
