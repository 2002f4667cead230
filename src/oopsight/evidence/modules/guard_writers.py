"""Who sets the number that says that a pointer may be followed, and leaves that pointer NULL.

``switch (dimmer->kind) { case PHASE: dimmer->phase->angle = …``: who set the kind should have seen
to it that what belongs to that is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import comparison_before, is_conditional, operand_ways
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import SessionReader, calls, place_of
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Namer, Way
from oopsight.evidence.modules.able_writers import Ability
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.field_writers import abilities, writes
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_BACK = 64
_MOST_GUARDS = 3
_MOST = 3
_POINTER = 8


@dataclass(frozen=True)
class GuardWriters:
    """The number, and who sets it alone."""

    module: str
    way: Way
    """Of the number, from where it was compared to where it was read from."""
    functions: tuple[str, ...]
    """Set it, and do not set the pointer, as others do that set both."""
    both: tuple[str, ...]
    """Set both, or clear both."""


def collect(
    session: Session, flow: DataFlow, backtrace: Backtrace, modules: Modules
) -> GuardWriters | Missing:
    """Follow what was compared before the NULL pointer was read, and read the module's code."""
    end, nothing = flow.first.end, Missing(Why.NOT_APPLICABLE, "no NULL pointer was kept in memory")
    if not flow.of_a_pointer or end is None or end.how != "loaded" or end.value != 0:
        return nothing
    module = next((one for one in modules.loaded if one.name == flow.first.module), None)
    if module is None or not module.taints or flow.first.held_in is None:
        return nothing
    for way in _guards(session, flow.first, backtrace, modules):
        found = _setting_alone(session, module, flow.first, way)
        if found is not None:
            return found
    return Missing(Why.NOT_APPLICABLE, "nobody sets alone what was compared before")


def _guards(
    session: Session, pointer: Way, backtrace: Backtrace, modules: Modules
) -> Iterator[Way]:
    """Numbers of the same object that were compared on the way to where the pointer was read."""
    found = calls(session, backtrace, None)
    end = pointer.end
    place = place_of(found, end) if end is not None else None
    follower = Follower(session, Namer(session, modules, backtrace), found)
    left = _MOST_GUARDS
    for where, compared in _compared_before(*place) if place is not None else ():
        for way, _ in operand_ways(follower, where, compared, 0):
            if left and _same_object(way, pointer):
                left -= 1
                yield way


def _compared_before(context: Context, at: int) -> Iterator[tuple[Context, int]]:
    """Comparisons that each decided that a place is reached, the innermost first."""
    code = context.function
    for _ in range(_MOST_BACK):
        before = code.before[at]
        if len(before) != 1:
            return
        (at,) = before
        if is_conditional(code.instructions[at]):
            compared = comparison_before(code, at)
            if compared is not None:
                yield context, compared


def _same_object(way: Way, pointer: Way) -> bool:
    """Whether a number was read from where a pointer was read, and is none itself."""
    mine, its = way.held_in, pointer.held_in
    if way.ended != "loaded" or mine is None or its is None or not way.value:
        return False
    if (mine.kind, mine.symbol, mine.module) != (its.kind, its.symbol, its.module):
        return False
    one = mine.slab.address if mine.slab is not None else None
    return one == (its.slab.address if its.slab is not None else None)


def _setting_alone(session: Session, module: Module, pointer: Way, way: Way) -> GuardWriters | None:
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    keys, others = FieldKeys(way, uses), FieldKeys(pointer, uses)
    setting = {}
    for name, use in uses.items():
        key = next((key for key in keys.candidates(use) if writes(use, key, way)), None)
        if key is not None:
            setting[name] = key
    reach = {name: _reach(uses, name) for name in setting}
    both = tuple(
        name
        for name in setting
        if any(set(others.candidates(uses[one])) & uses[one].changes for one in reach[name])
    )
    alone = {name: key for name, key in setting.items() if name not in both}
    able = abilities(reader, inner, alone, way, uses)
    found = tuple(name for name in alone if able[name] < Ability.UNABLE)
    if not found or not both or len(found) > _MOST:
        return None
    return GuardWriters(module.name, way, tuple(sorted(found, key=lambda one: able[one])), both)


def _reach(uses: dict[str, FieldUse], name: str) -> set[str]:
    """A function, and those of its module that it calls."""
    called = {base_name(call.name) for call in uses[name].handed if call.own}
    return {name, *(one for one in called if one in uses)}
