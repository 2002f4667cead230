"""Who sets an entry up again that is on a list, as ``INIT_LIST_HEAD()`` and ``INIT_WORK()`` do.

The entry then leads to itself, while its neighbours still lead to it. The code tells who stores a
place's own address there, in what it has not made itself; and of a head, as a wait queue has one,
who has the kernel set that up, as ``init_waitqueue_head()`` does. A timer that is set up while it
is pending is put among the others once more: taken off in one place, it is left in another.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import into_what, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import Uses
from oopsight.evidence.modules.known_calls import PREPARES
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
_POISON = "LIST_POISON"


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
    pending: bool = False
    """Whether it is a timer or the like that they set up there, and was deleted, but is still among
    others."""


def collect(
    session: Session,
    report: ListReport | Missing,
    flow: DataFlow | Missing,
    modules: Modules,
    backtrace: Backtrace | Missing,
) -> SetUpAgain | Missing:
    """Look at the neighbour that was found wrong, and at the code of its module."""
    from drgn import FaultError

    none = Missing(Why.NOT_APPLICABLE, "no entry of the list leads to itself")
    if isinstance(report, Missing):
        return _pending(session, flow, modules, backtrace) or none
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


def _pending(
    session: Session, flow: DataFlow | Missing, modules: Modules, backtrace: Backtrace | Missing
) -> SetUpAgain | None:
    """A timer or the like that has the poison of a deletion, to which others still lead."""
    way = flow.first if isinstance(flow, DataFlow) else None
    poison = isinstance(flow, DataFlow) and flow.bad is not None and _POISON in flow.bad.detail
    if way is None or not poison or way.held_in is None or way.end is None:
        return None
    name, memory = _whose(way.held_in, modules, backtrace), way.end.memory
    heads = setting_up(session, modules, name, way.held_in)[0] if name is not None else ()
    if name is None or memory is None or not heads:
        return None
    return SetUpAgain(way.held_in, memory, name, heads, pending=True)


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
    place = int(owner.address) if owner.kind == "module" else owner.offset
    return set_again(uses_of(reader, code), code, place)


def set_again(
    uses: Uses, code: list[ModuleFunction], place: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of some functions those that set up a member or an entry in what has been there before.

    :param place: offset in the object, which is not new to the function; of a variable its address
    :return: who has the kernel set up what is at the place, and who stores its own address
    """
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
    """Whether a function has the kernel set up what has an entry, or a list's head, at a place."""
    for call in use.handed:
        size = 0 if call.own else PREPARES.get(call.name, 0)
        root, distance = within(call.arguments[0])
        begin = distance + (root.number if root.kind == "number" else 0)
        if place is not None and into_what(root) is None and 0 <= place - begin < size:
            return True
    return False
