"""A module that takes another's object for one of its own: a device of another driver, a file.

Notifiers, lookups and walks bring a module the objects of all. What belongs to the object tells
whose it is: where its operations are another module's, the first one's data do not lie in it, and
what it reads there is anything. Whoever had the object from the kernel had to look whose it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import whole_register
from oopsight.evidence.memory.owner import Reference, SlabObject
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.use_after_free.anothers import acquainted
from oopsight.kernel.calling_convention import ARGUMENTS, CALLER_SAVED
from oopsight.plumbing import base_name
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.evidence.flow.ways import Way
    from oopsight.kernel.disassembler import Row

_MOST_DEEP = 2
"""Of the object that was read from, and the one that led to it."""
_TESTED_WITHIN = 6
"""Instructions behind a call."""


@dataclass(frozen=True)
class TakenForOwn:
    """The object, whose it is, and who took it for the module's."""

    module: str
    function: str
    """Of the module, the one that had the object from the kernel and passed it on or used it."""
    asked: str | None
    """The function of the module that it asked about the object before, and went by the answer."""
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
    """Of its module, the function that was last asked about what the kernel had handed over.

    By one that has a frame and tested the answer.


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
    kernels = set(ARGUMENTS)
    """Registers that hold what the kernel handed over, or what one of its functions returned."""
    found = None
    for number, row in enumerate(rows):
        first, _, second = row.operands.partition(", ")
        if row.mnemonic != "call":
            # A notifier is handed the address of what begins with the object.
            _moved(kernels, row.mnemonic, first, second.removeprefix("qword ptr [").rstrip("]"))
            continue
        target = int(first, 16) if first.startswith("0x") else None
        own = target is not None and mine.holds(target)
        asks = own and ARGUMENTS[0] in kernels and _is_tested(rows[number + 1 :][:_TESTED_WITHIN])
        called = reader.function(target) if asks and target is not None else None
        found = base_name(called[0]) if called is not None else found
        kernels -= set(CALLER_SAVED)
        kernels |= set() if own else {"rax"}
    return found


def _moved(holding: set[str], mnemonic: str, target: str, source: str) -> None:
    """Note what an instruction does to the registers that hold something."""
    if mnemonic.startswith("mov") and _whole(source) in holding:
        holding.add(_whole(target))
    elif mnemonic not in ("test", "cmp", "push"):
        holding.discard(_whole(target))


def _is_tested(rows: Iterable[Row]) -> bool:
    """Whether the instructions behind a call test what it returned, or a copy of that."""
    result = {"rax"}
    for row in rows:
        first, _, second = row.operands.partition(", ")
        if row.mnemonic == "call":
            return False
        if row.mnemonic in ("test", "cmp") and _whole(first) in result:
            return True
        _moved(result, row.mnemonic, first, second)
    return False


def _whole(register: str) -> str:
    """The register that a part of one belongs to; anything else as it is."""
    return whole_register(register) or register
