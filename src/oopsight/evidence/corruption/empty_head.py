"""Whether the NULL pointer is that of a list's head which nobody ever set up.

The head of an empty list points to itself. Code that walks a list compares each pointer with the
head: so it tells which place it takes for one. Of a wait queue, lock or completion that a module
hands to the kernel the type tells. If both pointers there are NULL, ``INIT_LIST_HEAD()`` or what
does that for such was never called for it.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.head_setters import head_setters
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_LOAD = re.compile(
    r"(?P<to>r\w+), qword ptr \[(?P<base>r\w+)(?: (?P<sign>[+-]) (?P<offset>\w+))?\]$"
)
_MEMBER = re.compile(r"(?:const )?struct (?P<type>\w+)\.(?:.*\.)?(?P<member>next|prev)$")
_PAIR = re.compile(r"(?P<one>r\w+), (?P<other>r\w+|-?(?:0x)?[0-9a-f]+)$")
_IS_NULL = re.compile(r"(?:prev|next) is NULL")
_ADDS = "__list_add_valid"
_HANDED = (
    (re.compile(r"(?:wait_for|try_wait_for|complete)(?:_|$)"), "completion"),
    (re.compile(r"_*(?:wake_up|add_wait_queue|prepare_to_wait|finish_wait)"), "wait_queue_head"),
    (re.compile(r"swake_up|prepare_to_swait"), "swait_queue_head"),
    (re.compile(r"_*mutex_"), "mutex"),
    (re.compile(r"_*down_(?:read|write)|_*up_(?:read|write)"), "rw_semaphore"),
)
"""What is handed to functions of the kernel, by their names."""
_DELETES = ("__list_del", "list_del")
_MASK = (1 << 64) - 1
_HEAD = 16
"""Bytes of a ``struct list_head``."""


@dataclass(frozen=True)
class EmptyHead:
    """The head, if it is known, and who should have set it up."""

    address: Address | None
    memory: BytesPointer | None
    owner: Owner | None
    module: str
    functions: tuple[str, ...]
    """Of the module, the most suspect first: those that make such objects and do not set it up, or
    those that set up others."""
    by_init: bool
    """Whether none of the functions that are left does: only the initialisation can."""


def collect(
    session: Session,
    fault: Fault,
    backtrace: Backtrace,
    modules: Modules,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
) -> EmptyHead | Missing:
    """Look for the head in the code of the function that met the NULL pointer, or in its types."""
    nothing = Missing(
        Why.NOT_APPLICABLE, "the NULL pointer is not known to be that of a list's head"
    )
    if isinstance(report, ListReport) and isinstance(flow, DataFlow):
        return _reported(session, modules, flow, report) or nothing
    operand = fault.operand
    if fault.exception != PAGE_FAULT or operand is None or operand.base_value != 0:
        return nothing
    reader = SessionReader(session)
    module = modules.owner(fault.pc)
    kind, heads = None, set[int]()
    if module is not None:
        found = calls(session, backtrace, None)
        registers = dict(found.frames[0].registers) if found.frames else {}
        heads = _heads(reader, int(fault.pc), operand.base or "", registers)
    elif not fault.function.startswith(_DELETES):  # an entry is NULL by right, if it is on no list
        module, kind, heads = _handed_over(flow, modules)
    if module is None or not module.taints:
        return nothing
    return _empty(session, modules, module, heads, kind) or nothing


def _empty(
    session: Session, modules: Modules, module: Module, heads: set[int], kind: str | None
) -> EmptyHead | None:
    """The only one of some places that is an empty head."""
    reader = SessionReader(session)
    empty = [head for head in heads if reader.read(head, _HEAD) == bytes(_HEAD)]
    owner = owner_of(session, modules, empty[0]) if len(empty) == 1 else None
    if owner is None or not owner.is_memory:
        return None
    setters = head_setters(session, modules, module, owner, kind)
    at = Address(empty[0])
    return EmptyHead(at, BytesPointer(at, bytes(_HEAD).hex()), owner, module.name, *setters)


def _reported(
    session: Session, modules: Modules, flow: DataFlow, report: ListReport
) -> EmptyHead | None:
    """The head to which the list check let nothing be added, since it has a NULL pointer."""
    is_null = _IS_NULL.search(report.text.text) if report.operation == "add" else None
    step = next(iter(flow.first.steps), None)
    module = next((m for m in modules.loaded if step is not None and m.name == step.module), None)
    if is_null is None or module is None or not module.taints:
        return None
    checker = flow.checker or ""
    if checker.startswith(_ADDS):
        # __list_add_valid(new, prev, next): of list_add_tail() the NULL is the head's own.
        prev = flow.others[0] if flow.others else None
        head = prev.value if prev is not None else None
        if prev is not None and not head:
            held = prev.held_in
            head = Address(held.address - _HEAD // 2) if held is not None else None
        return _empty(session, modules, module, {int(head)} if head else set(), None)
    kind = next((kind for names, kind in _HANDED if names.match(checker)), None)
    if kind is None:
        return None
    value = flow.first.value
    owner = owner_of(session, modules, int(value)) if value is not None else None
    owner = owner if owner is not None and owner.is_memory else None
    return EmptyHead(
        None, None, None, module.name, *head_setters(session, modules, module, owner, kind)
    )


def _handed_over(
    flow: DataFlow | Missing, modules: Modules
) -> tuple[Module | None, str | None, set[int]]:
    """The module that handed what has the head to the kernel; its type; where the head may be."""
    way = flow.first if isinstance(flow, DataFlow) and len(flow.ways) > 1 else None
    named = _MEMBER.match(way.name or "") if way is not None else None
    if isinstance(flow, Missing) or way is None or named is None or way.held_in is None:
        return None, None, set()
    passed = (*way.passed_by, *flow.ways[1].passed_by)
    names = [step.module for step in passed if step.module is not None]
    module = next((one for one in modules.loaded if one.name in names[:1]), None)
    begin = int(way.held_in.address) - (8 if named["member"] == "prev" else 0)
    return module, named["type"], {begin}


def _heads(reader: SessionReader, pc: int, register: str, registers: dict[str, int]) -> set[int]:
    """Places that the bad register was loaded from and that it is compared with."""
    loaded: set[int] = set()
    compared: set[int] = set()
    for row in instructions(reader, pc):
        load = _LOAD.match(row.operands) if row.mnemonic == "mov" else None
        if load is not None and load["to"] == register:
            offset = int(load["offset"] or "0", 0) * (-1 if load["sign"] == "-" else 1)
            if load["base"] in registers:
                loaded.add((registers[load["base"]] + offset) & _MASK)
        pair = _PAIR.match(row.operands) if row.mnemonic == "cmp" else None
        if pair is not None and register in (pair["one"], pair["other"]):
            other = pair["other"] if pair["one"] == register else pair["one"]
            number = registers.get(other)
            if number is None and not other.startswith("r"):
                number = int(other, 0) & _MASK
            if number is not None:
                compared.add(number)
    return loaded & compared
