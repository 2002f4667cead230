"""An entry that is on no list, and was to be taken off one: a queue of packets, a hash chain.

The kernel checks lists of ``struct list_head`` alone. Elsewhere whoever takes an entry off stores
one of its links where the other leads; of an entry that is on no list that is NULL, or the poison
of its deletion. Either the one that did so had no list to take it from, or a list still leads to
what another took off: as where one that goes along a chain, and deletes nothing, meets the poison.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.unlocked import unlocked_among
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.handing import Uses, calls
from oopsight.evidence.modules.linking import linking
from oopsight.evidence.modules.module_code import ModuleFunction, instructions
from oopsight.evidence.modules.module_roles import (
    allocates,
    holding_variables,
    inner_functions,
    named,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.splicing import splicing
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_PREV = 8  # offset in a struct list_head, sk_buff, hlist_node
_MOST_BETWEEN = 16
"""Instructions between the loads of the links and the store."""
_STORE = re.compile(r"qword ptr \[(?P<base>r\w+)(?: \+ (?P<offset>\w+))?\], (?P<source>r\w+)$")
_LOAD = re.compile(
    r"(?P<to>r\w+), qword ptr \[(?P<base>r\w+)(?: (?P<sign>[+-]) (?P<offset>\w+))?\]$"
)
_POISON = "LIST_POISON"
_NEXT_OF_DELETED = 0xDEAD000000000100  # LIST_POISON1 on x86-64
_LINK = re.compile(r"\.(?:\w+\.)*(?:next|prev|first)$")


@dataclass(frozen=True)
class OffList:
    """The entry."""

    entry: Owner
    memory: BytesPointer
    """Its link that held NULL, or the poison."""
    poisoned: bool
    """Whether it had been deleted, and its links show that."""
    listed: bool
    """Whether a list led to it, and not its user's own pointer."""
    module: str | None
    splicers: tuple[str, ...]
    """The module's functions that move all entries away and leave a head leading to them."""
    adders: tuple[str, ...]
    """Those that put entries into lists, and neither take any off nor allocate."""
    unlocked: tuple[str, ...]
    """Those that change lists and take no lock, where most do."""
    walked: bool = False
    """Whether it was met by one that goes along the list, and takes nothing off."""

    @property
    def explained(self) -> bool:
        """Whether somebody can have left it on a list."""
        return self.listed and bool(self.splicers or self.adders or self.unlocked)


def collect(
    session: Session, fault: Fault, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> OffList | Missing:
    """Look whether the store that faulted is that of a deletion, and who can have been before."""
    none = Missing(Why.NOT_APPLICABLE, "no entry that is on no list was to be taken off one")
    way = flow.first
    end = way.end
    if fault.exception not in (PAGE_FAULT, GENERAL_PROTECTION) or flow.subject != "operand":
        return none
    poisoned = flow.bad is not None and _POISON in flow.bad.detail
    if way.ended != "loaded" or end is None or end.memory is None:
        return none
    if end.value != 0 and not poisoned:
        return none
    reader = SessionReader(session)
    walked = poisoned and end.value == _NEXT_OF_DELETED
    link = 0 if walked else _link(reader, fault)
    if link is None:
        return none
    at = Address(int(end.memory.address) - link)
    owner = owner_of(session, modules, int(at))
    if not owner.is_memory or (owner.slab is not None and owner.slab.state == "free"):
        return none
    listed = _led_to(flow) or any(holding_variables(session, modules, int(at), int(at) + 1))
    name = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    if module is None:
        return OffList(owner, end.memory, poisoned, listed, None, (), (), ())
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    if walked and _deletes(base_name(way.function), uses, code):
        return none  # it goes on from what it has just deleted
    found = able(uses, code)
    return OffList(owner, end.memory, poisoned, listed, module.name, *found, walked=walked)


def able(
    uses: Uses, code: list[ModuleFunction]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Who moves lists away; who only adds to them; who changes them without the others' lock."""
    changes = linking(uses, code)
    making = {*named(one for one in code if allocates(one)), *changes.takes_off}
    adders = tuple(name for name in changes.adds if name not in making)
    found = unlocked_among({*changes.adds, *changes.takes_off}, code)
    return splicing(uses), adders, found


def _deletes(name: str, uses: Uses, code: list[ModuleFunction]) -> bool:
    """Whether a function takes entries off lists, or has another do so."""
    known = linking(uses, code).takes_off
    return name in known or any(calls(uses[name], one) for one in known if name in uses)


def _link(reader: SessionReader, fault: Fault) -> int | None:
    """Which link of the entry the faulting store went through, if it is that of a deletion.

    Its address within the entry: the pointer to the next one is followed to that one's second link,
    that to the one before to its first, and the other of the two is stored there.
    """
    rows = [row for row in instructions(reader, int(fault.pc)) if row.address <= fault.pc]
    store = _STORE.match(rows[-1].operands) if rows and rows[-1].mnemonic == "mov" else None
    if store is None:
        return None
    offset = int(store["offset"] or "0", 0)
    if offset not in (0, _PREV):
        return None
    loads: dict[str, tuple[str, int]] = {}
    for row in rows[-_MOST_BETWEEN:-1]:
        load = _LOAD.match(row.operands) if row.mnemonic == "mov" else None
        if load is not None:
            by = int(load["offset"] or "0", 0) * (-1 if load["sign"] == "-" else 1)
            loads[load["to"]] = (load["base"], by)
    followed, stored = loads.get(store["base"]), loads.get(store["source"])
    if followed is None or stored is None or followed[0] != stored[0]:
        return None
    ahead = offset == _PREV
    if stored[1] - followed[1] != (_PREV if ahead else -_PREV):
        return None
    return 0 if ahead else _PREV


def _led_to(flow: DataFlow) -> bool:
    """Whether the entry was come to by a list's link."""
    way = flow.ways[1] if len(flow.ways) > 1 else None
    if way is None or way.ended != "loaded":
        return False
    if way.name is not None and "." in way.name:
        return _LINK.search(way.name) is not None
    return way.function == flow.first.function
