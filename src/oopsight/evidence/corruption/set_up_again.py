"""Who sets an entry up again that is on a list, as ``INIT_LIST_HEAD()`` and ``INIT_WORK()`` do.

The entry then leads to itself, while its neighbours still lead to it. The code tells who stores a
place's own address there, in what it has not made itself; and of a head, as a wait queue has one,
who has the kernel set that up, as ``init_waitqueue_head()`` does.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import into_what, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import INITS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    allocates,
    inner_functions,
    named,
    takes_off_lists,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST = 3
_HEAD = 16
"""Bytes of a ``struct list_head``."""
_BEFORE_HEAD = range(8, 25, 8)
"""Bytes of a wait queue, mutex or ``rw_semaphore`` before the list's head in it."""


@dataclass(frozen=True)
class SetUpAgain:
    """The entry that leads to itself."""

    entry: Owner
    memory: BytesPointer
    module: str
    functions: tuple[str, ...]
    """Of the module whose entry it is: those that set such entries up in objects which they have
    not made, and take none off a list; first those that do so at the very place."""
    head: bool = False
    """Whether it is the head of a wait queue or lock that they set up at the very place."""


def collect(
    session: Session, report: ListReport, modules: Modules, backtrace: Backtrace | Missing
) -> SetUpAgain | Missing:
    """Look at the neighbour that was found wrong, and at the code of its module."""
    from drgn import FaultError

    none = Missing(Why.NOT_APPLICABLE, "no entry of the list leads to itself")
    role = (report.field or "").partition("->")[0]
    entry, was = report.entry(role), report.entry("was")
    if entry is None or was is None or entry.owner.address != was.owner.address:
        return none
    at = int(entry.owner.address)
    try:
        memory = session.read(at, _HEAD)
    except (FaultError, OverflowError):
        return none
    if memory != at.to_bytes(8, "little") * 2:
        return none
    name = _whose(entry.owner, modules, backtrace)
    if name is None:
        return none
    heads, entries = setting_up(session, modules, name, entry.owner)
    if not heads and not entries:
        return none
    pointer = BytesPointer(entry.owner.address, memory.hex())
    return SetUpAgain(entry.owner, pointer, name, heads or entries, head=bool(heads))


def _whose(owner: Owner, modules: Modules, backtrace: Backtrace | Missing) -> str | None:
    """The module that an entry belongs to, or else the first on the crash path."""
    frames = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    refers = owner.slab.refers if owner.slab is not None else ()
    foreign = {module.name for module in modules.loaded if module.taints}
    names = [owner.module, *(one.module for one in refers), *(frame.module for frame in frames)]
    return next((name for name in names if name in foreign), None)


def setting_up(
    session: Session, modules: Modules, name: str, owner: Owner
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Functions of a module that set up such a head, or an entry, in what has been there before."""
    module = next(one for one in modules.loaded if one.name == name)
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    place = int(owner.address) if owner.kind == "module" else owner.offset
    makers = named(one for one in code if allocates(one))
    heads = tuple(
        function
        for function, use in uses.items()
        if _has_set_up(use, place) and not _only_for(function, makers, code)
    )
    apart = {*makers, *named(one for one in code if takes_off_lists(one))}
    keys = {
        function: {one.key for one in use.stores if one.what == "itself" and one.into is None}
        for function, use in uses.items()
        if function not in apart
    }
    able = [function for function, found in keys.items() if found]
    able.sort(key=lambda function: place not in keys[function])
    return heads[:_MOST], tuple(able[:_MOST])


def _only_for(function: str, makers: tuple[str, ...], code: list[ModuleFunction]) -> bool:
    """Whether those that call a function all make what it may set up."""
    callers = [
        base_name(one.name) for one in code if function in (base_name(to) for to in one.calls)
    ]
    return bool(callers) and all(name in makers for name in callers)


def _has_set_up(use: FieldUse, place: int | None) -> bool:
    """Whether a function has the kernel set up what has its list's head at a place.

    :param place: offset in the object, which is not new to the function; of a variable its address
    """
    for call in use.handed:
        if place is None or call.own or not INITS.match(call.name.lstrip("_")):
            continue
        root, distance = within(call.arguments[0])
        begin = distance + (root.number if root.kind == "number" else 0)
        if into_what(root) is None and place - begin in _BEFORE_HEAD:
            return True
    return False
