"""A work item that a worker took off a queue although its own state says that it is on none.

``INIT_WORK()`` clears that state. Of an item that waits its turn nobody knows it any more then, and
it is queued a second time: the worker that comes to it again finds no queue to which it belongs, or
the list check that its neighbours do not lead to it any more.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.set_up_again import setting_up
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.module_roles import inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.machine_code import MASK
from oopsight.plumbing import base_name
from oopsight.session import Session

_RUNNER, _ARGUMENT = "process_one_work", "rsi"
_FIRST_PAGE = 4096
_ENTRY = 16
"""Bytes of a ``struct list_head``."""
# include/linux/workqueue.h
_QUEUED = 1 << 2
"""Set in a work item's state while that is the address of its queue."""


@dataclass(frozen=True)
class RequeuedWork:
    """The work item."""

    work: Owner
    memory: BytesPointer
    """Its state; if it is :attr:`listed`, where its list entry leads."""
    handler: str
    """The function that it names."""
    module: str
    functions: tuple[str, ...]
    """Of the handler's module: those that set such work items up, in what is there already."""
    listed: bool = False
    """Whether it is on a queue again, and the list check found that wrong."""


def collect(
    session: Session,
    fault: Fault,
    backtrace: Backtrace,
    modules: Modules,
    report: ListReport | Missing,
) -> RequeuedWork | Missing:
    """Look at the work item of the worker that met NULL, or at that on a list found broken."""
    if isinstance(report, ListReport):
        none = Missing(Why.NOT_APPLICABLE, "no work item on the list was set up again")
        return _on_broken_list(session, modules, report) or none
    none = Missing(Why.NOT_APPLICABLE, "no worker met NULL for the queue of a work item")
    near = fault.address is not None and fault.address < _FIRST_PAGE
    inner = next((f for f in backtrace.crash_path if not f.inline), None)
    if not near or fault.exception != PAGE_FAULT or inner is None:
        return none
    if base_name(inner.function) != _RUNNER:
        return none
    found = calls(session, backtrace, None)
    context = found.context(0)
    at = None if context is None else found.tracer.entering(context, _ARGUMENT)
    known = None if at is None else _work(session, at)
    if at is None or known is None:
        return none
    data, function, entry = known
    module = modules.owner(function)
    name = found.reader.code_symbol(function)
    if not data or data & _QUEUED or module is None or not module.taints or name is None:
        return none
    functions = _setting_up(session, modules, module.name, function, entry)
    memory = BytesPointer(Address(at), data.to_bytes(8, "little").hex())
    owner = owner_of(session, modules, at)
    return RequeuedWork(owner, memory, base_name(name[0]), module.name, functions)


def _on_broken_list(session: Session, modules: Modules, report: ListReport) -> RequeuedWork | None:
    """The neighbour that was found wrong, if it is a work item that somebody sets up again."""
    from drgn import offsetof

    role = (report.field or "").partition("->")[0]
    entry = report.entry(role) if role in ("prev", "next") else None
    if entry is None:
        return None
    try:
        before = offsetof(session.prog.type("struct work_struct"), "entry")
    except LookupError:
        return None
    at = int(entry.owner.address) - before
    known = _work(session, at)
    if known is None:
        return None
    _, function, place = known
    module = modules.owner(function)
    name = SessionReader(session).code_symbol(function)
    if module is None or not module.taints or name is None or name[1] != function:
        return None
    functions = _setting_up(session, modules, module.name, function, place)
    leads = SessionReader(session).read(place, _ENTRY)
    if not functions or leads is None:
        return None
    memory = BytesPointer(Address(place), leads.hex())
    owner = owner_of(session, modules, at)
    return RequeuedWork(owner, memory, base_name(name[0]), module.name, functions, listed=True)


def _work(session: Session, at: int) -> tuple[int, int, int] | None:
    """State and function of a work item, as 64 bits each, and where its list entry is."""
    from drgn import FaultError, Object

    try:
        work: Any = Object(session.prog, "struct work_struct", address=at)
        state = work.data.counter.value_() & MASK
        return state, work.func.value_(), work.entry.address_of_().value_()
    except (FaultError, LookupError, AttributeError, SymbolError, OverflowError):
        return None


def _setting_up(
    session: Session, modules: Modules, name: str, handler: int, entry: int
) -> tuple[str, ...]:
    """Who sets up an entry and has the handler's address as well."""
    module = next(one for one in modules.loaded if one.name == name)
    having = named(one for one in inner_functions(session, module) if handler in one.refers)
    _, able = setting_up(session, modules, name, owner_of(session, modules, entry))
    return tuple(one for one in able if one in having)
