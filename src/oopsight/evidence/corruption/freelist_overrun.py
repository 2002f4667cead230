"""A free object whose link to the next free one was run over from the object before it.

The allocator follows that link when it hands out the object after next, for whoever asks then; what
ran over it is found among the objects of the slab that it was handing out of.
"""

from __future__ import annotations

from typing import Any

from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.corruption.overrun import Overrun, run_around
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.memory.owner import SlabObject, owner_of
from oopsight.evidence.memory.slab_caches import MOST_CACHES
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.slab_objects import slab_caches
from oopsight.session import Session
from oopsight.text import printable

_MOST_SLAB = 1 << 16
_AROUND = 1024


def freelist_overrun(
    session: Session, modules: Modules | None, fault: Fault, cpu: int
) -> tuple[str, SlabObject, Overrun] | None:
    """Look for a run over the link of a free object, where the allocator stumbled over a link.

    :return: what it is to the crash, the object with the link, and the run
    """
    from drgn import FaultError

    found = _stumbled_over(session, fault, cpu)
    try:
        return _run(session, modules, *found) if found is not None else None
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None


def slab_in_question(session: Session, fault: Fault, cpu: int) -> tuple[int, int] | None:
    """Address and size of the slab in which the allocator stumbled over a link."""
    found = _stumbled_over(session, fault, cpu)
    return found[1:] if found is not None else None


def _stumbled_over(session: Session, fault: Fault, cpu: int) -> tuple[Any, int, int] | None:
    """The cache, and address and size of the slab, of which the next object is the bad one."""
    from drgn import FaultError

    value = fault.operand.base_value if fault.operand is not None else None
    if value is None:
        return None
    try:
        for cache in slab_caches(session.prog, MOST_CACHES):
            handed = _handed_out(cache, int(value), cpu)
            if handed is not None:
                return cache, *handed
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    return None


def _handed_out(cache: Any, value: int, cpu: int) -> tuple[int, int] | None:
    """Address and size of the slab that a CPU hands out of, if its next object is the bad one."""
    from drgn import FaultError, cast
    from drgn.helpers.linux.mm import page_to_virt
    from drgn.helpers.linux.percpu import per_cpu_ptr

    try:
        own = per_cpu_ptr(cache.cpu_slab, cpu)
        first, offset = own.freelist.value_(), cache.offset.value_()
        if not first or value not in (first, (first + offset) & ((1 << 64) - 1)):
            return None
        # struct slab since Linux 5.17, struct page before.
        slab = own.member_("slab" if own.type_.type.has_member("slab") else "page")
        begin = page_to_virt(cast("struct page *", slab)).value_()
        return begin, min(slab.objects.value_() * cache.size.value_(), _MOST_SLAB)
    except FaultError:
        return None


def _run(
    session: Session, modules: Modules | None, cache: Any, begin: int, length: int
) -> tuple[str, SlabObject, Overrun] | None:
    """The longest run from an object into the next one, over its link."""
    data = session.read(begin, length)
    stride, link = cache.size.value_(), cache.offset.value_()
    found: set[tuple[int, int, str]] = set()
    for border in range(stride, length, stride):
        around = max(0, border - _AROUND)
        run = run_around(data[around : border + _AROUND], border - around)
        if run is not None and around + run[1] >= border + link + 8:
            found.add((around + run[0], around + run[1], run[2]))
    if not found:
        return None
    start, end, kind = max(found, key=lambda run: run[1] - run[0])
    border = start - start % stride + stride
    before = owner_of(session, modules, begin + border - stride).slab
    one = owner_of(session, modules, begin + border).slab
    if before is None or one is None:
        return None
    part = data[start:end]
    shown = max(start, border - 32)
    overrun = Overrun(
        before=before,
        start=Address(begin + start),
        end=Address(begin + end),
        kind=kind,
        text=printable(part[:64]) if kind == "text" else part[:8].hex(),
        memory=BytesPointer(Address(begin + shown), data[shown : border + 32].hex()),
    )
    return "its link to the next free object was written over", one, overrun
