"""A module that takes another's object for one of its own: a device of another driver, a file.

Notifiers, lookups and walks bring a module the objects of all. What belongs to the object tells
whose it is: where its operations are another module's, the first one's data do not lie in it, and
what it reads there is anything. Whoever had the object from the kernel had to look whose it is.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Reference, SlabObject
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.use_after_free.anothers import acquainted
from oopsight.plumbing import base_name
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence.flow.ways import Way

_MOST_DEEP = 2
"""Of the object that was read from, and the one that led to it."""
_TESTED_WITHIN = 3
"""Instructions behind a call."""
_RESULTS = ("al", "eax", "rax")


@dataclass(frozen=True)
class TakenForOwn:
    """The object, whose it is, and who took it for the module's."""

    module: str
    function: str
    """Of the module, the one that had the object from the kernel and passed it on or used it."""
    asked: str | None
    """The function of the module that it asked before, and went by the answer."""
    owner: str
    """The module whose object it is."""
    object: SlabObject
    pointer: Reference
    """In the object, to the other module."""


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> TakenForOwn | Missing:
    """Look whose the objects are that led to the bad value."""
    none = Missing(Why.NOT_APPLICABLE, "no object of another module's led to the bad value")
    mine = next((one for one in modules.loaded if one.name == flow.first.module), None)
    if mine is None or not mine.taints or not flow.of_a_pointer:
        return none
    if flow.bad is not None and flow.bad.is_memory:
        return none
    for number, way in enumerate(flow.ways[:_MOST_DEEP]):
        slab = way.held_in.slab if way.held_in is not None else None
        pointer = _anothers(slab, mine, modules) if slab is not None else None
        if slab is None or pointer is None or len(flow.ways) <= number + 1:
            continue
        function = _had_by(flow.ways[number + 1], mine.name)
        owner = next((one for one in modules.loaded if one.name == pointer.module), None)
        if function is None or owner is None or acquainted(session, modules, mine, owner):
            continue
        asked = _asked(session, backtrace, mine, function)
        return TakenForOwn(mine.name, function, asked, owner.name, slab, pointer)
    return none


def _anothers(slab: SlabObject, mine: Module, modules: Modules) -> Reference | None:
    """What tells that an object is another module's from outside the kernel, and none of this."""
    foreign = {one.name for one in modules.loaded if one.taints} - {mine.name}
    others = [ref for ref in slab.refers if ref.module in foreign]
    own = any(ref.module == mine.name for ref in slab.refers)
    return others[0] if others and not own and slab.state == "allocated" else None


def _had_by(way: Way, module: str) -> str | None:
    """The outermost function of a module that had a pointer which the kernel had before."""
    later = itertools.dropwhile(lambda step: step.module != module, way.steps)
    inside = list(itertools.takewhile(lambda step: step.module == module, later))
    if not inside:
        return None
    outside = inside[-1] is not way.steps[-1] or way.ended == "returned"
    return base_name(inside[-1].function) if outside else None


def _asked(session: Session, backtrace: Backtrace, mine: Module, function: str) -> str | None:
    """Of its module, the function last called before the one that a frame is in, if it tested it.

    :param function: whose frame is looked for
    """
    frames = [frame for frame in backtrace.crash_path if not frame.inline]
    frame = next(
        (f for f in frames if f.module == mine.name and base_name(f.function) == function), None
    )
    if frame is None:
        return None
    reader = SessionReader(session)
    rows = [row for row in instructions(reader, int(frame.pc)) if row.address < frame.pc]
    found = None
    for number, row in enumerate(rows):
        target = int(row.operands, 16) if row.operands.startswith("0x") else None
        if row.mnemonic != "call" or target is None or not mine.holds(target):
            continue
        behind = rows[number + 1 : number + 1 + _TESTED_WITHIN]
        called = reader.function(target)
        if called is not None and any(_tests_result(one.mnemonic, one.operands) for one in behind):
            found = base_name(called[0])
    return found


def _tests_result(mnemonic: str, operands: str) -> bool:
    return mnemonic in ("test", "cmp") and operands.partition(", ")[0] in _RESULTS
