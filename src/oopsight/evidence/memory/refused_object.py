"""What the allocator refused to free, who handed it that, and who can have freed it before.

Where the trace of what it was given is lost, the check that failed tells the object: it is free,
and one of the two that were compared. The kernel may have called a function of a module through a
table, and that jumped on to the allocator as its last act: it has no frame, but the freed object
still leads to the table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.bug_site import BugSite
from oopsight.evidence.crash.jumped_on import names_its_call
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.sizes import freed_sizes
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.frees_after import CodeWays
from oopsight.evidence.use_after_free.taking_out import leaving_what
from oopsight.plumbing import base_name, why_plumbing
from oopsight.plumbing.mechanisms import ALLOCATOR
from oopsight.session import Session, read_word

if TYPE_CHECKING:
    from oopsight.evidence.crash.backtrace import Frame

_LOADED = re.compile(r"r\w+, qword ptr \[r\w+(?: \+ (?P<offset>0x[0-9a-f]+|\d+))?\]")
_MOST_BACK = 6
"""Instructions between the load of a function's address and the call."""


@dataclass(frozen=True)
class RefusedObject:
    """The object, and the functions of one module."""

    object: SlabObject
    module: str
    freer: str
    """Which was freeing it."""
    table: BytesPointer | None
    """Of a function without a frame, the pointer to the table by which the kernel called it."""
    leaves: tuple[str, ...]
    """Free such objects and leave with others what :attr:`freer` takes out of these first."""
    taken_out_by: str
    """What it calls for that."""


def collect(
    session: Session,
    backtrace: Backtrace,
    modules: Modules,
    flow: DataFlow | Missing,
    site: BugSite | Missing,
) -> RefusedObject | Missing:
    """Look at the allocator's check, and at the code of whoever called it."""
    path = [frame for frame in backtrace.crash_path if not frame.inline]
    if not path or path[0].plumbing != ALLOCATOR:
        return Missing(Why.NOT_APPLICABLE, "the allocator did not stop the machine")
    one = _object(session, modules, flow, site)
    if one is None:
        return Missing(Why.NOT_APPLICABLE, "what the allocator was given is not known to be free")
    freer = _freer(session, modules, path, one)
    if freer is None:
        return Missing(Why.NOT_APPLICABLE, "no function of a module is known to have freed it now")
    module, name, table = freer
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    others = {known.function for known in freed_sizes(uses) if not known.fits(one.size)}
    ways = CodeWays(Calls(reader, (), {}), code)
    return RefusedObject(one, module.name, name, table, *leaving_what(name, uses, ways, others))


def _object(
    session: Session, modules: Modules, flow: DataFlow | Missing, site: BugSite | Missing
) -> SlabObject | None:
    """The free object that was given to the allocator."""
    known = flow.bad.slab if isinstance(flow, DataFlow) and flow.bad is not None else None
    if known is not None:
        return known if known.freed else None
    for value in site.values if isinstance(site, BugSite) else ():
        slab = owner_of(session, modules, value.value).slab
        if slab is not None and slab.freed and slab.address == value.value:
            return slab
    return None


def _freer(
    session: Session, modules: Modules, path: list[Frame], one: SlabObject
) -> tuple[Module, str, BytesPointer | None] | None:
    """The function of a module from outside the kernel that was freeing the object."""
    foreign = {module.name: module for module in modules.loaded if module.taints}
    outer = [at for at, frame in enumerate(path) if frame.plumbing != ALLOCATOR]
    if not outer:
        return None
    at = outer[0]
    caller = path[at]
    if caller.jumped_on is not None and caller.jumped_on.module in foreign:
        return foreign[caller.jumped_on.module], caller.jumped_on.function, None
    if caller.module in foreign:
        return foreign[caller.module], base_name(caller.function), None
    if names_its_call(session.prog, int(caller.pc)):
        return None
    return _by_table(session, foreign, caller, one)


def _by_table(
    session: Session, foreign: dict[str, Module], caller: Frame, one: SlabObject
) -> tuple[Module, str, BytesPointer] | None:
    """The one that jumps on to the allocator, of a table to which the object still points."""
    offset = _offset_called(session, int(caller.pc))
    if offset is None:
        return None
    reader = SessionReader(session)
    found = {}
    for reference in one.refers:
        module = foreign.get(reference.module)
        target = read_word(session, int(reference.value) + offset) if module is not None else None
        known = reader.function(target) if target is not None else None
        if module is None or target is None or known is None or known[1] != target:
            continue
        if _jumps_to_allocator(reader, target):
            found[target] = module, base_name(known[0]), reference.memory
    return next(iter(found.values())) if len(found) == 1 else None


def _jumps_to_allocator(reader: SessionReader, start: int) -> bool:
    """Whether a function goes on to the allocator by a jump, as its last act."""
    jumps = (row for row in instructions(reader, start) if row.mnemonic == "jmp")
    leads = (int(row.operands, 16) for row in jumps if row.operands.startswith("0x"))
    known = (reader.function(to) for to in leads)
    return any(one and why_plumbing(one[0], None, None) == ALLOCATOR for one in known)


def _offset_called(session: Session, returns_to: int) -> int | None:
    """How far in a table the function's address was that was called before a return address."""
    rows = instructions(SessionReader(session), returns_to - 1)
    ends = [at for at, row in enumerate(rows) if row.address + len(row.code) == returns_to]
    for row in rows[max(0, ends[0] - _MOST_BACK) : ends[0]][::-1] if ends else ():
        loaded = _LOADED.fullmatch(row.operands) if row.mnemonic == "mov" else None
        if loaded is not None:
            return int(loaded["offset"] or "0", 0)
    return None
