"""Which module embeds something of the kernel's in objects like one that was freed.

A timer, a work item, a device or a list's entry that lies in a driver's object is reached by the
kernel alone: nothing on the crash path is the driver's, and freed memory says nothing of whose it
was. But whoever sets such a thing up, starts it or takes it back computes its address: an object's
plus the place in it where the kernel met it. And he allocates objects of that size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.handing import Uses
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_code import ModuleFunction, instructions
from oopsight.evidence.modules.module_roles import allocates, freers, inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.callback_registries import Registry
from oopsight.evidence.use_after_free.still_registered import makes_known
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_MODULES = 16
_ADDRESS = re.compile(r"\w+, \[(?P<base>r\w+) (?P<sign>[+-]) (?P<offset>0x[0-9a-f]+|\d+)\]")
_ADDED = re.compile(r"r\w+, (?P<offset>0x[0-9a-f]+|\d+)")
_BEFORE_ENTRY = 8
"""A work item's list entry lies behind its first word."""


@dataclass(frozen=True)
class Embedder:
    """A module that has such objects."""

    module: str
    why: str
    frees: tuple[str, ...]
    """Its functions that free memory; those that allocate none come first."""
    makes: bool
    """Whether it allocates objects of that size."""


def places_in(one: SlabObject, flow: DataFlow | None, report: ListReport | None) -> tuple[int, ...]:
    """Offsets in an object at which the kernel met it: of pointers to it, or of list entries."""
    met = [step.value for way in (flow.ways if flow else ()) for step in way.steps]
    met += [entry.owner.address for entry in (report.entries if report else ())]
    inside = (int(at) - one.address for at in met if at is not None and one.address <= at < one.end)
    return tuple(dict.fromkeys(inside))


def embedders(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    one: SlabObject,
    places: Iterable[int],
    registry: Registry | None = None,
) -> list[Embedder]:
    """Modules from outside the kernel that have objects of such a size, with something there.

    Those of which most says so come alone; all free anything.

    :param places: where in the object the kernel met it
    :param registry: that the kernel took it for an entry of
    """
    met = {*places}
    wanted = {at - back for at in met for back in (0, _BEFORE_ENTRY) if at - back > 0}
    found: list[tuple[int, Embedder]] = []
    for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]:
        code = inner_functions(session, module, reader)
        at = next((hit for function in code for hit in _hits(reader, function, wanted)), None)
        if at is None and 0 in met:
            at = next(_handed_new(uses_of(reader, code)), None)
        made, whole = allocating(session, modules, module, one.cache_address, one.size)
        if whole and not made:
            continue
        frees = _freeing(code, one.cache)
        has = registry is not None and any(registry.handles(function) for function in code)
        score = bool(made) + bool(at) + has
        if not score or not frees:
            continue
        reasons = [f"its {made[0].function} allocates such objects"] if made else []
        if at is not None:
            what = f"computes the address of what lies there, {at[1]:#x} on"
            reasons.append(f"its {at[0]} {what if at[1] else 'makes known what it has allocated'}")
        if registry is not None and has:
            reasons.append(f"it has to do with what the kernel took it for, {registry.what}")
        why = " and ".join(reasons)
        found.append((score, Embedder(module.name, why, frees, bool(made))))
    best = max((score for score, _ in found), default=0)
    return [one for score, one in found if score == best]


def _freeing(code: list[ModuleFunction], cache: str) -> tuple[str, ...]:
    makers = {base_name(one.name) for one in code if allocates(one)}
    return tuple(sorted(freers(code, cache), key=lambda name: name in makers))


def _handed_new(uses: Uses) -> Iterator[tuple[str, int]]:
    """Where a function makes known to the kernel what it has allocated, by the beginning of it."""
    for name, use in uses.items():
        told = (value.called for _, value in makes_known(use) if value.kind == "returned")
        if any((called or "").lstrip("_").startswith(ALLOCATES) for called in told):
            yield name, 0


def _hits(
    reader: SessionReader, function: ModuleFunction, wanted: set[int]
) -> Iterator[tuple[str, int]]:
    """Where a function adds one of some offsets to a pointer."""
    for row in instructions(reader, function.start):
        found = None
        if row.mnemonic == "lea":
            found = _ADDRESS.fullmatch(row.operands)
            if found is not None and (found["base"] in ("rsp", "rip") or found["sign"] == "-"):
                continue
        elif row.mnemonic == "add":
            found = _ADDED.fullmatch(row.operands)
        if found is not None and (offset := int(found["offset"], 0)) in wanted:
            yield base_name(function.name), offset
