"""Which functions can have told the kernel how large an object was to be that was run over.

What a driver keeps in the memory of others is allocated by these: the state of a hash, a request,
a packet's headroom. The driver sets how many bytes it wants in what it is handed, and writes into
them later. An object of that kind leads to what has the number, and that leads to the driver.
"""

from __future__ import annotations

import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.memory.owner import Reference, SlabObject, owner_of
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.kernel.addresses import in_kernel_half
from oopsight.kernel.code_locks import Function
from oopsight.kernel.disassembler import IMMEDIATE
from oopsight.kernel.machine_code import memory_place, stores
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from oopsight.session import Session

_MOST_WORDS = 32
_LEAST = 8
_OWN = 64
"""What the kernel puts before the part that the driver asked for, at most, in bytes."""
_MASK = (1 << 64) - 1
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx")


@dataclass(frozen=True)
class SizeTeller:
    """A module that the object leads to, and its function that sets the size there."""

    module: str
    function: str
    size: int
    """In bytes, of the driver's part."""
    leads: Reference
    """From what the object points to, into the module."""


def size_tellers(
    session: Session, modules: Modules, reader: SessionReader, before: SlabObject, intact: int
) -> list[SizeTeller]:
    """Who set a number that agrees with the size of an object.

    :param before: the object that was written past the end of
    :param intact: how many bytes of it were not written over
    """
    found: list[SizeTeller] = []
    for at, held in _held(session, modules, before, intact):
        for reference in held.refers:
            module = next((m for m in modules.loaded if m.name == reference.module), None)
            if module is None or not module.taints:
                continue
            code = inner_functions(session, module, reader)
            found += [
                SizeTeller(module.name, base_name(one.name), size, reference)
                for one, size in _setting(session, modules, code, at, before.size)
            ]
    return list({(one.module, one.function): one for one in reversed(found)}.values())


def _held(
    session: Session, modules: Modules, before: SlabObject, intact: int
) -> Iterator[tuple[int, SlabObject]]:
    """The objects that it points to and that are not free, and where in them."""
    from drgn import FaultError

    try:
        data = session.read(int(before.address), min(intact // 8, _MOST_WORDS) * 8)
    except FaultError:
        return
    for value in array.array("Q", data):
        one = owner_of(session, modules, value).slab if in_kernel_half(value) else None
        if one is not None and one.address != before.address and not one.freed:
            yield value, one


def _setting(
    session: Session,
    modules: Modules,
    code: list[ModuleFunction],
    there: int,
    largest: int,
) -> Iterator[tuple[ModuleFunction, int]]:
    stacks = StackReader(session, modules)
    for one in code:
        function = stacks.function(one.start)
        for offset, width, number in numbers_set(function) if function is not None else ():
            # kmalloc()'s caches go up in steps: of what lies between two, all is asked of one.
            if not _LEAST <= number <= largest < 2 * (number + _OWN):
                continue
            if _number(session, there + offset, width) == number:
                yield one, number


def _number(session: Session, address: int, width: int) -> int | None:
    from drgn import FaultError

    try:
        return int.from_bytes(session.read(address & _MASK, width), "little")
    except FaultError:
        return None


def numbers_set(function: Function) -> set[tuple[int, int, int]]:
    """Offset, bytes and value of the numbers that it stores in what it is handed."""
    found: set[tuple[int, int, int]] = set()
    for at, one in function.code.items():
        if one.mnemonic != "mov" or not stores(one) or one.operands[1].type != IMMEDIATE:
            continue
        place = memory_place(one, function.registers(at))
        if place is not None and place.base in _ARGUMENTS:
            found.add((place.offset, one.operands[0].size, one.operands[1].imm))
    return found
