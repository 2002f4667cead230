"""Whether the neighbour that the list check found wrong is on another list, and who adds there.

An entry that is added while it is on a list goes over to the new place: its own pointers lead
there, and back from there, while its neighbours of before still lead to it. ``list_move()`` would
have taken it out first. Nor does a deletion after that take it from where it was before: the list
goes on leading to it, from both sides.

Where all entries were moved to another list at once, and the head was not emptied, that still leads
to the first and the last of them, and neither leads back.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.calls_always import calls_always
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.known_calls import LIST_ADDS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    adds_to_lists,
    allocates,
    inner_functions,
    named,
    takes_off_lists,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.splicing import splicing
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word
from oopsight.text import printable

_NEXT, _PREV = 0, 8  # offsets in struct list_head
_MOST_ENTRIES = 4096


@dataclass(frozen=True)
class TwoLists:
    """An entry that its neighbours of before still lead to, while it is linked in elsewhere."""

    entry: Owner
    from_entry: BytesPointer
    """Its pointer into the list where it is now."""
    back: BytesPointer
    """The pointer that leads back to it there."""
    head: str | None
    """The variable that heads that list."""
    module: str | None
    """That variable's module; of another list the one that worked on it."""
    adders: tuple[str, ...]
    """The module's functions that add to that list and take off none, nor allocate."""
    only: bool
    """Whether no other function adds there at all, and it is no helper of several or of one that
    allocates."""
    deleted: bool = False
    """Whether it has been deleted since from where it was added last, and its neighbours of before
    are what :attr:`from_entry` and :attr:`back` tell of."""
    splicers: tuple[str, ...] = ()
    """The module's functions that move all entries of a list away and leave its head as it is, if
    neither entry that the list leads to leads back."""
    makers: tuple[str, ...] = ()
    """The module's functions that add to that list what they have allocated, where no other adds
    and takes off none."""


def collect(
    session: Session, report: ListReport, modules: Modules, flow: DataFlow | Missing
) -> TwoLists | Missing:
    """Follow the pointer that was wrong, and look whether the entry is well linked there."""
    from drgn import FaultError

    nothing = Missing(Why.NOT_APPLICABLE, "no entry of the list is seen to be on another")
    if report.poison is not None and isinstance(flow, DataFlow):
        return _still_led_to(session, report, modules, flow) or nothing
    if report.field not in ("prev->next", "next->prev"):
        return nothing
    role = report.field.partition("->")[0]
    entry, was = report.entry(role), report.entry("was")
    if entry is None or was is None or not was.owner.is_memory:
        return nothing
    forward = _NEXT if role == "prev" else _PREV
    at, beside = int(entry.owner.address), int(was.owner.address)
    if at == beside:
        return nothing
    try:
        there = session.read(at + forward, 8)
        back = session.read(beside + (_PREV if forward == _NEXT else _NEXT), 8)
    except (FaultError, OverflowError):
        return nothing
    if int.from_bytes(there, "little") != beside or int.from_bytes(back, "little") != at:
        return nothing
    found = list_head(session, modules, beside, forward, at) or _head_behind(
        session, modules, at, _PREV if forward == _NEXT else _NEXT
    )
    # Of a list whose head is in an object, the module that worked on it.
    near = flow.first.module if isinstance(flow, DataFlow) else None
    worked = next((one for one in modules.loaded if one.name == near and one.taints), None)
    module = found[0] if found is not None else worked
    adders: tuple[str, ...] = ()
    only = False
    if module is not None:
        adders, only = _adders(session, module, found[1] if found is not None else None)
    return TwoLists(
        entry=entry.owner,
        from_entry=BytesPointer(Address(at + forward), there.hex()),
        back=BytesPointer(Address(beside + (_PREV if forward == _NEXT else _NEXT)), back.hex()),
        head=_name(session, found[1]) if found is not None else None,
        module=module.name if module is not None else None,
        adders=adders,
        only=only and found is not None,
        splicers=splicers(session, module, report) if module is not None else (),
        makers=_makers(session, module) if module is not None and not adders else (),
    )


def _makers(session: Session, module: Module) -> tuple[str, ...]:
    code = inner_functions(session, module)
    return named(one for one in code if adds_to_lists(one) and allocates(one))


def splicers(session: Session, module: Module, report: ListReport) -> tuple[str, ...]:
    """Who may have moved the entries away to which what was to have a new neighbour leads."""
    head = report.entry("should")
    if report.operation != "add" or head is None:
        return ()
    at = int(head.owner.address)
    first, last = read_word(session, at + _NEXT), read_word(session, at + _PREV)
    if first is None or last is None or first == at:
        return ()
    if read_word(session, first + _PREV) == at or read_word(session, last + _NEXT) == at:
        return ()
    reader = SessionReader(session)
    return splicing(uses_of(reader, inner_functions(session, module, reader)))


def _still_led_to(
    session: Session, report: ListReport, modules: Modules, flow: DataFlow
) -> TwoLists | None:
    """An entry that was deleted, and that both its neighbours of before go on leading to."""
    entry, end = report.entry("entry"), flow.first.end
    if entry is None or end is None or end.memory is None or end.value is None:
        return None
    at, before = int(entry.owner.address), int(end.memory.address)
    if read_word(session, before + _NEXT) != at:
        return None
    behind = _led_back(session, before, at)
    if behind is None:
        return None
    found = list_head(session, modules, before, _PREV, at)
    name = found[0].name if found is not None else flow.first.module
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    adders: tuple[str, ...] = ()
    only = False
    if module is not None:
        adders, only = _adders(session, module, found[1] if found is not None else None)
    word = at.to_bytes(8, "little").hex()
    return TwoLists(
        entry=entry.owner,
        from_entry=BytesPointer(Address(before + _NEXT), word),
        back=BytesPointer(Address(behind + _PREV), word),
        head=_name(session, found[1]) if found is not None else None,
        module=module.name if module is not None else None,
        adders=adders,
        only=only,
        deleted=True,
    )


def _led_back(session: Session, start: int, entry: int) -> int | None:
    """What leads to an entry, if one walks a list backwards from what is before that."""
    at: int | None = start
    for _ in range(_MOST_ENTRIES):
        before = None if at is None else read_word(session, at + _PREV)
        if before == entry:
            return at if at != start else None
        if before is None or read_word(session, before + _NEXT) != at or before == start:
            return None
        at = before
    return None


def list_head(
    session: Session, modules: Modules, start: int, forward: int, entry: int
) -> tuple[Module, int] | None:
    """The list's head, if it is a module's variable: walked to until the entry comes again."""
    at: int | None = start
    for _ in range(_MOST_ENTRIES):
        if at is None:
            return None
        owner = modules.owner(at)
        if owner is not None:
            return owner, at
        at = read_word(session, at + forward)
        if at in (start, entry):
            return None
    return None


def _head_behind(
    session: Session, modules: Modules, entry: int, onwards: int
) -> tuple[Module, int] | None:
    """The same, where the list comes back to the entry by its old place: the other way round."""
    beside = read_word(session, entry + onwards)
    return None if beside is None else list_head(session, modules, beside, onwards, entry)


def _name(session: Session, at: int) -> str | None:
    try:
        return printable(session.prog.symbol(at).name)
    except LookupError:
        return None


def _adders(session: Session, module: Module, head: int | None) -> tuple[tuple[str, ...], bool]:
    """Functions that add to a list and neither take off nor allocate; whether it can be no other.

    ``list_move()`` has both calls. Those come first that add whatever the entry says.

    :param head: the list's, if that is a variable; who has it from its caller does not refer to it
    """
    code = inner_functions(session, module)
    begin, end = whole_variable(session, head) if head is not None else (0, 0)
    all_ = [f for f in code if adds_to_lists(f)]
    all_ = [f for f in all_ if any(begin <= at < end for at in f.refers)] or all_
    able = [f for f in all_ if _can_only_add(f)]
    able = [f for f in able if not _has_helper_take_off(f, code)] or able
    callers = [f for f in code if able and able[0].name in f.calls]
    helper = len(callers) > 1 or any(allocates(f) for f in callers)
    sure = len(all_) == len(able) == 1 and not helper
    return named(_by_need(SessionReader(session), able, code)), sure


def _can_only_add(one: ModuleFunction) -> bool:
    return not takes_off_lists(one) and not allocates(one)


def _has_helper_take_off(one: ModuleFunction, code: list[ModuleFunction]) -> bool:
    """Whether a function calls another of its module that takes entries off lists."""
    return any(f.name in one.calls and f is not one and takes_off_lists(f) for f in code)


def _by_need(
    reader: SessionReader, able: list[ModuleFunction], code: list[ModuleFunction]
) -> list[ModuleFunction]:
    """Those that add, whatever the entry says, before others; of a helper those that call it."""
    found: dict[ModuleFunction, bool] = {}
    for one in able:
        callers = [f for f in code if one.name in f.calls and f is not one]
        if len(callers) > 1:
            wanted = (base_name(one.name),)
            found |= {f: calls_always(reader, f, wanted) for f in callers if _can_only_add(f)}
        else:
            found[one] = len(able) > 1 and calls_always(reader, one, LIST_ADDS)
    return [*sorted(found, key=lambda one: not found[one]), *able]


def whole_variable(session: Session, at: int) -> tuple[int, int]:
    """The whole variable, of which the head may be a member."""
    try:
        symbol = session.prog.symbol(at)
    except LookupError:
        return at, at + 16
    return symbol.address, symbol.address + max(symbol.size, 16)
