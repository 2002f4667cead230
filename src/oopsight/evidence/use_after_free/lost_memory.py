"""Memory other than slab objects that was given back while a pointer to it was kept.

A page that is free, or that somebody else has got since; an area of vmalloc that is none any more.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.memory.slab_tracks import Track
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    area_freers,
    freers,
    holding_variables,
    inner_functions,
    named,
    publishes,
    reaching,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_PAGE = 4096
_NONSENSE = ("non-canonical", "unknown", "vmalloc-hole", "poison", "user")


@dataclass(frozen=True)
class LostMemory:
    """What was followed, and whose it had been."""

    kind: str
    """``free page``, ``page of another`` or ``vmalloc area``."""
    address: Address
    """Where the pointer leads."""
    module: str
    """Whose code followed it."""
    kept: str | None
    """What the pointer is kept in, by name."""
    pointer: BytesPointer
    """The pointer."""
    other: str | None
    """The module that has the page now."""
    other_variable: str | None
    """Its variable that holds the page."""
    other_pointer: BytesPointer | None
    frees: tuple[str, ...]
    """Functions of the module that free memory, initialisation and exit left out."""
    records: tuple[Track, ...] = ()
    """Who allocated the page, and who freed it if it is free, where the kernel records that."""

    def record(self, what: str) -> Track | None:
        """The one of ``allocated`` or ``freed``."""
        return next((one for one in self.records if one.what == what), None)


def collect(session: Session, flow: DataFlow, modules: Modules) -> LostMemory | Missing:
    """Look at what the bad pointer was read from, and at the bad pointer."""
    none = Missing(Why.NOT_APPLICABLE, "no page or vmalloc area was given back while in use")
    way, bad = flow.first, flow.bad
    if bad is None or way.module is None or not flow.of_a_pointer:
        return none
    if bad.kind == "vmalloc-hole":
        kept = _kept(way)
        if kept is None:
            return none
        return _lost(session, modules, "vmalloc area", bad, way, kept)
    held = way.held_in
    if held is None or held.kind not in ("page", "free-page") or bad.kind not in _NONSENSE:
        return none
    # The pointer to the page is the next to be followed back.
    base = flow.ways[1] if len(flow.ways) > 1 else None
    kept = _kept(base)
    if base is None or base.module is None or kept is None:
        return none
    if held.kind == "free-page":
        return _lost(session, modules, "free page", held, base, kept)
    begin = held.address & -_PAGE
    for module, _, symbol, memory in holding_variables(session, modules, begin, begin + _PAGE):
        if module.name != base.module:
            other = (module.name, symbol, memory)
            return _lost(session, modules, "page of another", held, base, kept, other)
    return none


def _kept(way: Way | None) -> BytesPointer | None:
    """The memory that a pointer was read from, if it still holds it."""
    end = way.end if way is not None else None
    if end is None or end.how != "loaded" or end.agrees is not True:
        return None
    return end.memory if isinstance(end.memory, BytesPointer) else None


def _lost(
    session: Session,
    modules: Modules,
    kind: str,
    held: Owner,
    way: Way,
    kept: BytesPointer,
    other: tuple[str, str, BytesPointer] | tuple[None, None, None] = (None, None, None),
) -> LostMemory:
    name = way.module or ""
    module = next((m for m in modules.loaded if m.name == name), None)
    code = inner_functions(session, module) if module is not None else []
    return LostMemory(
        kind=kind,
        address=held.address,
        module=name,
        kept=way.name,
        pointer=kept,
        other=other[0],
        other_variable=other[1],
        other_pointer=other[2],
        frees=(_area_freers(session, code, way) if kind == "vmalloc area" else ())
        # Who makes things known frees where that fails.
        or freers(sorted(code, key=publishes)),
        records=held.tracks,
    )


def _area_freers(session: Session, code: list[ModuleFunction], way: Way) -> tuple[str, ...]:
    """Who gives areas back; first who, in the same call, has the pointer kept that is left."""
    able = named(area_freers(code))
    if len(able) < 2:
        return able
    uses = uses_of(SessionReader(session), code)
    keys = FieldKeys(way, uses)
    setting = {name for name, use in uses.items() if not use.sets.isdisjoint(keys.candidates(use))}
    keeping = {*reaching(setting, code)}
    return tuple(sorted(able, key=lambda name: name not in keeping))
