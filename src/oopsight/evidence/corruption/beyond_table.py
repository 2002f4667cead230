"""An index that leads out of the memory its table has: whose the table is, and who put it there.

A table from the heap can be replaced by a smaller one while an index into the old one is kept. Who
uses the index has it compared with the number of elements as it goes on, and rightly so; who
replaces the table leaves it as it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.index_limits import operand_of, operand_sum
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.checked_value import is_kept
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.effects import MASK
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import Owner, area_bounds, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import holding_variables, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name
from oopsight.session import Session

_DIVIDES = ("div", "idiv")
_PAGE = 4096


@dataclass(frozen=True)
class BeyondTable:
    """A table on the heap, and an address outside it."""

    table: Owner
    """What the pointer to the table leads to."""
    beyond: int
    """From its end to the address, in bytes; less than zero from its beginning back."""
    pointer: BytesPointer | None
    """Where the pointer to the table is kept."""
    changers: tuple[str, ...]
    """Functions of the module that put another table there and leave the index as it was."""
    bounded: bool
    """Whether the module compares the index with anything where it is used, or moved on."""

    @property
    def ran_on(self) -> bool:
        """Whether it may be a loop that ran past the end, rather than an index into another."""
        return not self.changers and 0 <= self.beyond < _PAGE


def collect(
    session: Session, fault: Fault, flow: DataFlow, modules: Modules
) -> BeyondTable | Missing:
    """Look where the table ends, and who changes it without the index."""
    none = Missing(Why.NOT_APPLICABLE, "no index led out of a table on the heap")
    address = fault.address
    base = _table(fault, flow)
    if base is None or address is None:
        return none
    table = owner_of(session, modules, base)
    bounds = _bounds(session, table)
    if bounds is None or bounds[0] <= address < bounds[1]:
        return none
    beyond = address - bounds[1] if address >= bounds[1] else address - bounds[0]
    way = flow.first
    module = next((m for m in modules.loaded if m.name == way.module and m.taints), None)
    pointer = _kept(session, modules, way, base)
    end = way.end.memory if way.end is not None else None
    if module is None or pointer is None or end is None or way.ended != "loaded":
        return BeyondTable(table, beyond, pointer, (), bounded=False)
    if not is_kept(way):
        return BeyondTable(table, beyond, pointer, (), bounded=False)
    far = pointer.address - int(end.address)
    return _of_code(
        session, module, way, far, BeyondTable(table, beyond, pointer, (), bounded=False)
    )


def _table(fault: Fault, flow: DataFlow) -> int | None:
    """The good pointer that an index was added to."""
    if flow.subject != "index":
        return None
    for step, source in itertools.pairwise(flow.first.steps):
        if step.how == "index" and step.value is not None and source.value is not None:
            return (step.value - source.value) & MASK
    base = fault.operand.base_value if fault.operand is not None else None
    return int(base) if base is not None and in_kernel_half(base) else None


def _bounds(session: Session, table: Owner) -> tuple[int, int] | None:
    """Where the memory begins and ends that a pointer leads into."""
    if table.kind == "slab" and table.slab is not None and not table.slab.freed:
        return int(table.slab.address), table.slab.end
    if table.kind == "vmalloc" and table.mapped:
        return area_bounds(session, int(table.address))
    return None


def _kept(session: Session, modules: Modules, way: Way, base: int) -> BytesPointer | None:
    """Where the pointer is kept: in the index's own object, else in a variable of the module."""
    from drgn import FaultError

    one = way.held_in.slab if way.held_in is not None else None
    if one is not None:
        try:
            at = session.read(int(one.address), one.size).find(base.to_bytes(8, "little"))
        except FaultError:
            at = -1
        if at >= 0 and at % 8 == 0:
            return BytesPointer(Address(one.address + at), base.to_bytes(8, "little").hex())
    held = holding_variables(session, modules, base, base + 1)
    return next((memory for module, _, _, memory in held if module.name == way.module), None)


def _of_code(
    session: Session, module: Module, way: Way, far: int, found: BeyondTable
) -> BeyondTable:
    """With what the module's functions do to index and table.

    :param far: from where the index is kept to where the pointer to the table is
    """
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    keys = FieldKeys(way, uses)
    user = base_name(way.function)
    changers = tuple(
        name for name, use in uses.items() if name != user and _replaces(use, keys, far)
    )
    calls = Calls(reader, (), {})
    movers = [one for one in inner if _moves(base_name(one.name), user, uses, keys)]
    bounded = any(_compares(calls, one, uses, keys) for one in movers)
    return BeyondTable(found.table, found.beyond, found.pointer, changers, bounded)


def _replaces(use: FieldUse, keys: FieldKeys, far: int) -> bool:
    """Whether a function stores a pointer to the table, and nothing where the index is."""
    candidates = keys.candidates(use)
    if any(key in use.touches for key in candidates):
        return False
    return any((key + far) & MASK in use.changes for key in candidates)


def _moves(name: str, user: str, uses: dict[str, FieldUse], keys: FieldKeys) -> bool:
    """Whether it is the function that used the index, or one that changes it."""
    use = uses.get(name)
    return use is not None and (name == user or bool(use.changes & set(keys.candidates(use))))


def _compares(
    calls: Calls, one: ModuleFunction, uses: dict[str, FieldUse], keys: FieldKeys
) -> bool:
    """Whether a function compares the index with anything, or takes it modulo something."""
    code = calls.function(one.start)
    if code is None:
        return False
    wanted = set(keys.candidates(uses[base_name(one.name)]))
    return any(_reads(code, root[1], wanted) for root in _compared(calls, code))


def _compared(calls: Calls, code: Function) -> Iterator[tuple[str, object]]:
    """What comparisons, divisions and masks of a function take that was read from memory."""
    for at, row in enumerate(code.instructions):
        if row.mnemonic in _DIVIDES:
            divided = operand_sum(calls, code, "rax", at)
            yield from divided[1] if divided is not None else ()
        elif row.mnemonic in ("cmp", "and") and len(row.operands) == 2:
            yield "load", at
            sides = (operand_of(calls, code, at, number) for number in (0, 1))
            yield from (root for side in sides if side is not None for root in side[1])


def _reads(code: Function, at: object, wanted: set[int]) -> bool:
    """Whether an instruction, or one of several, reads the field."""
    places = at if isinstance(at, tuple) else (at,)
    for place in places:
        if not isinstance(place, int):
            continue
        row = code.instructions[place]
        for operand in row.operands:
            memory = operand.memory
            if memory is not None and memory.base != "rsp":
                end = row.end if memory.base == "rip" else 0
                if (end + memory.displacement) & MASK in wanted:
                    return True
    return False
