"""An object of one module that another's timer writes to: by a pointer beside the timer.

The allocator stumbled over a link of a free object that is none. Somebody wrote there while the
object was free; who has it now has done nothing wrong. Of whom a timer is pending, in an object
with a pointer into such memory, that one goes on writing.
"""

from __future__ import annotations

import array
from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.corruption.freelist_overrun import slab_in_question
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.anothers import Anothers, acquainted
from oopsight.evidence.use_after_free.claims import claim_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oopsight.evidence.crash.fault import Fault
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.modules import Module, Modules
    from oopsight.session import Session

_LARGEST = 4096
_MOST_TIMERS = 4096


def armed_writer(session: Session, modules: Modules, fault: Fault, cpu: int) -> Anothers | None:
    """The other's object in the slab that the allocator was handing out of."""
    slab = slab_in_question(session, fault, cpu)
    if slab is None:
        return None
    begin, length = slab
    for module, holder, function in _armed(session, modules):
        data = session.read(int(holder.address), min(holder.size, _LARGEST))
        words = array.array("Q", data[: len(data) & ~7])
        for number, value in enumerate(words):
            one = owner_of(session, modules, value).slab if 0 <= value - begin < length else None
            if one is None or _is_end(value, one, words):
                continue
            claim = claim_of(session, modules, one, value, {module.name})
            if claim is None or acquainted(session, modules, module, claim.module):
                continue
            at = Address(holder.address + 8 * number)
            pointer = BytesPointer(at, value.to_bytes(8, "little").hex())
            why = f"the object of its timer, which calls {function}, points there still"
            return Anothers(
                role=f"{claim.text}, and {module.name} has a pointer into it beside a timer",
                object=one,
                owner=claim.module.name,
                former=((module.name, why, pointer),),
            )
    return None


def _is_end(value: int, one: SlabObject, words: Iterable[int]) -> bool:
    """Whether a pointer is the end of the object before: another one leads into that."""
    return value == one.address and any(value - one.size <= word < value for word in words)


def _armed(session: Session, modules: Modules) -> Iterator[tuple[Module, SlabObject, str]]:
    """Modules from outside the kernel, the objects of their pending timers, and what these call."""
    from drgn import FaultError

    try:
        for timer, function in _pending(session):
            module = modules.owner(function)
            holder = owner_of(session, modules, timer).slab
            if module is not None and module.taints and holder is not None:
                yield module, holder, session.prog.symbol(function).name
    except (FaultError, LookupError, AttributeError, SymbolError):
        return


def _pending(session: Session) -> Iterator[tuple[int, int]]:
    """Addresses of pending timers, and of what they call."""
    from drgn.helpers.linux.cpumask import for_each_online_cpu
    from drgn.helpers.linux.list import hlist_for_each_entry
    from drgn.helpers.linux.percpu import per_cpu

    left = _MOST_TIMERS
    for cpu in for_each_online_cpu(session.prog):
        for base in per_cpu(session.prog["timer_bases"], cpu):
            for head in base.vectors:
                for timer in hlist_for_each_entry("struct timer_list", head.address_of_(), "entry"):
                    yield timer.value_(), timer.function.value_()
                    left -= 1
                    if not left:
                        return
