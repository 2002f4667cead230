"""Who sets an entry up again that is on a list, as ``INIT_LIST_HEAD()`` and ``INIT_WORK()`` do.

The entry then leads to itself, while its neighbours still lead to it. The code tells who stores a
place's own address there, in what it has not made itself.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_roles import (
    allocates,
    inner_functions,
    named,
    takes_off_lists,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_MOST = 3
_HEAD = 16
"""Bytes of a ``struct list_head``."""


@dataclass(frozen=True)
class SetUpAgain:
    """The entry that leads to itself."""

    entry: Owner
    memory: BytesPointer
    module: str
    functions: tuple[str, ...]
    """Of the module whose entry it is: those that set such entries up in objects which they have
    not made, and take none off a list; first those that do so at the very place."""


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
    functions = _setting(session, modules, name, entry.owner) if name is not None else ()
    if name is None or not functions:
        return none
    return SetUpAgain(entry.owner, BytesPointer(entry.owner.address, memory.hex()), name, functions)


def _whose(owner: Owner, modules: Modules, backtrace: Backtrace | Missing) -> str | None:
    """The module that an entry belongs to, or else the first on the crash path."""
    frames = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    refers = owner.slab.refers if owner.slab is not None else ()
    foreign = {module.name for module in modules.loaded if module.taints}
    names = [owner.module, *(one.module for one in refers), *(frame.module for frame in frames)]
    return next((name for name in names if name in foreign), None)


def _setting(session: Session, modules: Modules, name: str, owner: Owner) -> tuple[str, ...]:
    """Functions of a module that set such an entry up, in what has been there before."""
    module = next(one for one in modules.loaded if one.name == name)
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    apart = named(one for one in code if takes_off_lists(one) or allocates(one))
    keys = {
        function: {one.key for one in use.stores if one.what == "itself" and one.into is None}
        for function, use in uses_of(reader, code).items()
        if function not in apart
    }
    able = [function for function, found in keys.items() if found]
    place = int(owner.address) if owner.kind == "module" else owner.offset
    able.sort(key=lambda function: place not in keys[function])
    return tuple(able[:_MOST])
