"""An object just allocated, to be added to a list on which its memory already is.

Its former life ended while it was on the list: the list still leads to the same address, or to
another entry in the same object, which has been initialised since.
"""

from __future__ import annotations

from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.flow.data_flow import DataFlow, Way
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_doers import is_new
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session


def fresh_on_list(
    session: Session, modules: Modules, flow: DataFlow | None, report: ListReport | None
) -> tuple[str, SlabObject] | None:
    """What the object is to the crash, and the object."""
    if flow is None or report is None or report.operation != "add" or report.double_add:
        return None
    neighbour, was = report.entry("prev") or report.entry("next"), report.entry("was")
    added = flow.first.value if flow.subject == "argument" else None
    if neighbour is None or was is None or added is None or neighbour.owner.slab is None:
        return None
    one = neighbour.owner.slab
    fresh = (flow.first.returned_by or "").lstrip("_").startswith(ALLOCATES)
    within = one.address <= added < one.end and fresh
    empty = was.owner.address in (0, neighbour.owner.address)
    if not empty or not (within or neighbour.owner.address == added):
        return None
    if one.track("freed") is None and not fresh and not _made_here(session, modules, flow, one):
        return None
    return "its memory was still on the list when it was allocated again", one


def _made_here(session: Session, modules: Modules, flow: DataFlow, one: SlabObject) -> bool:
    """Whether a function that is at work puts what it allocates into the field that led here.

    And none of its module fills with zeros what is in use: that would look the same.
    """
    way = flow.first
    module = next((m for m in modules.loaded if m.name == way.module and m.taints), None)
    if module is None or way.end is None or way.end.value != one.address:
        return False
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, module, reader))
    keys = FieldKeys(way, uses)
    filled = any(
        stored.what == "fresh" and stored.key in keys.all_of(uses[name])
        for name in _at_work(way) & uses.keys()
        for stored in uses[name].stores
    )
    wiped = (wipe for use in uses.values() for wipe in use.wipes)
    return filled and all(is_new(wipe.into, set()) for wipe in wiped)


def _at_work(way: Way) -> set[str]:
    return {base_name(name) for name in (way.function, *(step.function for step in way.steps))}
