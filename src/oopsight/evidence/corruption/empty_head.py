"""Whether the NULL pointer is that of a list's head which nobody ever set up.

The head of an empty list points to itself. Code that walks a list compares each pointer with the
head: so it tells which place it takes for one. If both pointers there are NULL,
``INIT_LIST_HEAD()`` was never called for it.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_LOAD = re.compile(
    r"(?P<to>r\w+), qword ptr \[(?P<base>r\w+)(?: (?P<sign>[+-]) (?P<offset>\w+))?\]$"
)
_PAIR = re.compile(r"(?P<one>r\w+), (?P<other>r\w+|-?(?:0x)?[0-9a-f]+)$")
_MASK = (1 << 64) - 1
_HEAD = 16
"""Bytes of a ``struct list_head``."""


@dataclass(frozen=True)
class EmptyHead:
    """The head, and who should have set it up."""

    address: Address
    memory: BytesPointer
    owner: Owner
    module: str
    functions: tuple[str, ...]
    """Of the module: for an object those that allocate such, for a variable those that set up other
    heads in it."""
    by_init: bool
    """Whether none of the functions that are left does: only the initialisation can."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> EmptyHead | Missing:
    """Look for the head in the code of the function that met the NULL pointer."""
    nothing = Missing(
        Why.NOT_APPLICABLE, "the NULL pointer is not known to be that of a list's head"
    )
    operand = fault.operand
    if fault.exception != PAGE_FAULT or operand is None or operand.base_value != 0:
        return nothing
    module = modules.owner(fault.pc)
    if module is None or not module.taints or operand.base is None:
        return nothing
    reader = SessionReader(session)
    found = calls(session, backtrace, None)
    registers = dict(found.frames[0].registers) if found.frames else {}
    heads = _heads(reader, int(fault.pc), operand.base, registers)
    empty = [head for head in heads if reader.read(head, _HEAD) == bytes(_HEAD)]
    if len(empty) != 1:
        return nothing
    owner = owner_of(session, modules, empty[0])
    if not owner.is_memory:
        return nothing
    functions, by_init = _setters(session, modules, module, reader, owner)
    at = Address(empty[0])
    return EmptyHead(
        at, BytesPointer(at, bytes(_HEAD).hex()), owner, module.name, functions, by_init
    )


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


def _setters(
    session: Session, modules: Modules, module: Module, reader: SessionReader, owner: Owner
) -> tuple[tuple[str, ...], bool]:
    """Who should have set it up, and whether that is none of the functions that are left."""
    if owner.slab is not None:
        slab = owner.slab
        made, _ = allocating(session, modules, module, slab.cache_address, slab.size)
        return tuple(one.function for one in made), False
    if owner.kind != "module" or owner.module != module.name:
        return (), False
    try:
        symbol = session.prog.symbol(int(owner.address))
    except LookupError:
        return (), False
    begin, end = symbol.address, symbol.address + symbol.size
    inner = inner_functions(session, module, reader)
    found = tuple(
        name
        for name, use in uses_of(reader, inner).items()
        if any(one.what == "itself" and begin <= one.key < end for one in use.stores)
    )
    return found, not found
