"""Who makes the objects whose field a loop ends by, and leaves that field as it was allocated.

``if (get_nulls_value(node) != table->base + slot) goto again;`` is for ever where the table was
filled by one that has not set ``base``. Not a fact by itself:
:mod:`oopsight.evidence.hangs.loop_state` asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oopsight.cheap import dataclass
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates_by_size, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.omitting import omitting
from oopsight.plumbing import base_name
from oopsight.session import Session


@dataclass(frozen=True)
class Unset:
    """Who makes such objects and does not set such a field."""

    by: tuple[str, ...]
    as_others: bool
    """Whether others set it in what the same function has made for them."""


def leaving_unset(
    session: Session, modules: Modules, module: Module, zeros: Iterable[tuple[int, int]]
) -> Unset:
    """Functions of a module that make such objects and do not set such a field, as others do.

    Or nobody sets it that is there any more: a module's initialisation may have.

    :param zeros: addresses and sizes of numbers that are zero and end the loop
    """
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    found: dict[str, None] = {}
    as_others = False
    for address, size in zeros:
        owner = owner_of(session, modules, address)
        if owner.slab is None or owner.offset is None:
            continue
        told = omitting(session, modules, module, owner.slab, owner.offset, uses, code, size)
        if not told and owner.slab.state == "allocated":
            made = making_tables(range(owner.offset, owner.offset + size), uses, code)
            told, as_others = made.by, as_others or made.as_others
        found |= dict.fromkeys(told)
    return Unset(tuple(found), as_others)


def making_tables(field: range, uses: Mapping[str, FieldUse], code: list[ModuleFunction]) -> Unset:
    """Who makes objects that are as large as it is told and fills them, and does not set a field.

    In place of one that makes them for others, of which some set it then, those that do not.

    :param field: where it is in the object
    """

    def sets(name: str) -> bool:
        return name in uses and not uses[name].sets.isdisjoint(field)

    alone: dict[str, None] = {}
    unlike: dict[str, None] = {}
    setters = {name for name in uses if sets(name)}
    for one in code:
        name = base_name(one.name)
        if name in setters or not one.indexed or not any(map(allocates_by_size, one.outside)):
            continue
        callers = {base_name(by.name) for by in code if one.name in by.calls} - {name}
        # What has the same distance in another object is another field.
        setting = {by for by in callers & setters if name in uses[by].fills}
        if setting:
            unlike |= dict.fromkeys(sorted(callers - setting))
        elif not setters:
            alone[name] = None
    return Unset(tuple(unlike or alone), bool(unlike))
