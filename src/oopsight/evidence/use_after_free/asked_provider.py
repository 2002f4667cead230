"""Another module that was told that an object goes, and still has the pointer to it.

A client hands a provider its object by ``register()``, and has that forget it by ``unregister()``
before it frees it. If the provider goes on to call with it, the client has done its part: the
provider's function did not find what it was told of, or not all of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.object_users import ModuleUse, ObjectUsers
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.handing import Uses, freed
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAYS = 3


@dataclass(frozen=True)
class AskedProvider:
    """Who was told, and by whom."""

    module: str
    function: str
    client: str
    """The function of the other module that then frees the object."""


def collect(
    session: Session, users: ObjectUsers, flow: DataFlow, modules: Modules
) -> AskedProvider | Missing:
    """Look at what the functions that free such objects call of the module that had the pointer."""
    handed_on = {
        step.module
        for way in flow.ways[:_MOST_WAYS]
        for step in way.steps
        if step.how in ("passed", "loaded") and step.module is not None
    }
    for use in users.modules:
        client = next((one for one in modules.loaded if one.name == use.module), None)
        others = [m for m in modules.loaded if m.name in handed_on - {use.module} and m.taints]
        if client is None or not client.taints or not others or use.registered:
            # Another function of it frees such objects and tells nobody.
            continue
        found = next(_told(session, client, others, use), None)
        if found is not None:
            return found
    return Missing(Why.NOT_APPLICABLE, "no other module was told that it goes")


def _told(
    session: Session, client: Module, others: list[Module], use: ModuleUse
) -> Iterator[AskedProvider]:
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, client, reader))
    offered = {
        name: other.name
        for other in others
        for name in _forgetting(inner_functions(session, other, reader), reader)
    }
    for name in use.frees:
        for called in _called_with(uses, name) if name in uses else ():
            if called in offered:
                yield AskedProvider(offered[called], called, name)


def _forgetting(code: list[ModuleFunction], reader: SessionReader) -> Iterator[str]:
    """Functions that take out, free or clear something, and make nothing."""
    makers = {base_name(one.name) for one in code if allocates(one)}
    for name, use in uses_of(reader, code).items():
        if name not in makers and (use.taken_off or use.freed or use.cleared):
            yield name


def _called_with(uses: Uses, name: str) -> Iterator[str]:
    """Functions of others that one calls with what it frees as well."""
    gone = {root for root, *_ in freed(uses[name], uses)}
    for call in uses[name].handed:
        if not call.own and any(within(value)[0] in gone for value in call.arguments):
            yield base_name(call.name)
