"""Which functions can have written past the end of an object, where nothing binds a module to it.

Any module from outside the kernel's tree may have; it has to have a function that writes at length.
More is told by whether it allocates such objects, and, of a number repeated, by whether that number
is in its code.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_code import ModuleFunction, machine_code
from oopsight.evidence.modules.module_roles import (
    checked_alone,
    inner_functions,
    named,
    writer_rank,
    writes_text,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_MODULES = 16
_LEAST_WIDTH = 4
_FIRST, _LATER = -1, 16
"""Ranks beside :func:`~oopsight.evidence.modules.module_roles.writer_rank`'s."""
_TRIVIAL = (0x00, 0xFF)


@dataclass(frozen=True)
class WriterModule:
    """A module that can have."""

    module: str
    why: str
    writes: tuple[str, ...]
    allocates: bool | None
    """Whether it allocates such objects; ``None`` where its code does not tell."""


def able_to_overrun(
    code: list[ModuleFunction], bases: set[int], overrun: Overrun | None
) -> list[tuple[int, ModuleFunction]]:
    """Functions that can have run over, the most suspect first, those alike with the same rank.

    Of text, last who stores words or one byte over and over; of numbers, first who stores them one
    by one.
    """
    ranked = [(rank, one) for one in code if (rank := _rank(one, bases, overrun)) is not None]
    return sorted(ranked, key=lambda item: item[0])


def _rank(one: ModuleFunction, bases: set[int], overrun: Overrun | None) -> int | None:
    rank = writer_rank(one, bases)
    if overrun is None:
        return rank
    if overrun.width and one.indexed:
        return _FIRST
    if overrun.binary and not overrun.within and checked_alone(one):
        # What runs past the end of a slab object is refused by copy_from_user() itself.
        return None
    if rank is not None and overrun.kind == "text" and not writes_text(one):
        return rank + _LATER
    return rank


def writing_modules(
    session: Session, modules: Modules, reader: SessionReader, overrun: Overrun
) -> list[WriterModule]:
    """Modules from outside the kernel's tree with functions that can have, most suspect first."""
    ranked: list[tuple[int, WriterModule]] = []
    number = repeated(overrun)
    for module in [one for one in modules.loaded if one.taints][:_MOST_MODULES]:
        code = inner_functions(session, module, reader)
        able = [one for _, one in able_to_overrun(code, set(), overrun)]
        fills = _with_number(reader, module, number) if number else set()
        able = [one for one in able if base_name(one.name) in fills] or able
        if not able:
            continue
        before = overrun.before
        made, whole = allocating(session, modules, module, before.cache_address, before.size)
        makes = True if made else (False if whole else None)
        if makes is False:
            continue
        why = f"its {base_name(able[0].name)} writes at length"
        if made:
            why = f"its {made[0].function} allocates such objects"
        known = bool(fills & set(named(able)))
        if known:
            why = f"that number is in the code of its {base_name(able[0].name)}"
        rank = 2 * (not known) + (makes is None)
        ranked.append((rank, WriterModule(module.name, why, named(able), makes)))
    ranked.sort(key=lambda item: item[0])
    return [one for _, one in ranked]


def repeated(overrun: Overrun) -> bytes | None:
    """The number that fills the memory, if it is one that no other code will have."""
    width = overrun.width
    data = bytes.fromhex(overrun.memory.bytes)
    number = data[:width]
    if width < _LEAST_WIDTH or len(data) < 2 * width or data[width : 2 * width] != number:
        return None
    return None if len(set(number) - set(_TRIVIAL)) < 1 or len(set(number)) == 1 else number


def _with_number(reader: SessionReader, module: Module, number: bytes) -> set[str]:
    """Names of the functions that have a number among their instructions."""
    return {base_name(name) for name, _, code in machine_code(reader, module) if number in code}
