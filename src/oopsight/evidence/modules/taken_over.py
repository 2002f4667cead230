"""Memory of an unloaded module that a module loaded later has got: a pointer to the one's object.

The area where modules lie is filled from its beginning, so that the next module often gets the
place of the last. A registry that still points to the first one's object then leads into the second
one's memory, to wherever that place lies in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.former_owner import FormerOwner, Spot, former_owner
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from drgn import Type

_DEEPEST = 16
_NEVER_AN_OBJECT = ("__this_module",)


@dataclass(frozen=True)
class TakenOver:
    """The object that was read, and whose it is now and was."""

    address: Address
    """Where the object begins, as far as it can be followed."""
    now: str
    """The module that is there."""
    inside: str | None
    """The only symbol of it that holds the address; that of its ``struct module`` or of code."""
    former: FormerOwner
    sure: bool = True
    """Whether no object of the module that is there now can be meant; else one lies just there, and
    nothing tells whether it is of the kind that was expected."""


def collect(
    session: Session, flow: DataFlow, modules: Modules, unloaded: UnloadedModules | Missing
) -> TakenOver | Missing:
    """Look at the object that the bad value, or the pointer to it, was read from."""
    none = Missing(Why.NOT_APPLICABLE, "nothing was read from where another module had been")
    gone = unloaded.modules if isinstance(unloaded, UnloadedModules) else ()
    for number, way in enumerate(flow.ways[:2]):
        held = way.held_in
        if held is None or held.kind != "module" or not flow.of_a_pointer:
            continue
        module = modules.owner(held.address)
        # Whose code it is knows its own data.
        if module is None or way.module == module.name:
            return none
        outer = flow.ways[number + 1].value if number + 1 < len(flow.ways) else None
        near = outer is not None and 0 <= held.address - outer < 4096
        address = Address(outer if near and outer is not None else held.address)
        inside = _inside(session, module, address)
        sure = True
        if inside is None:
            known = _object_at(session, module, address)
            own = None if known is None else _is_own(session, known, address, way.name)
            if known is None or own:
                return none
            inside, sure = known[0], own is not None
        if not gone:
            return none
        # Of the files only that the module lay here counts, not that another does now.
        spot = Spot(int(address), execute=False, modules=replace(modules, loaded=()))
        names = [one.name for one in gone if one.name != module.name]
        owner = former_owner(session, spot, names)
        if isinstance(owner, Missing) or owner.module == module.name:
            return none
        return TakenOver(address, module.name, inside or None, owner, sure)
    return none


def _object_at(session: Session, module: Module, address: int) -> tuple[str, int, int] | None:
    """Name, address and size of a module's object that holds an address."""
    from drgn import FaultError, SymbolKind
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import find_module

    try:
        found = find_module(session.prog, module.name)
        symbols: list[Any] = module_kallsyms(found) if found else []
    except (FaultError, LookupError, AttributeError, ValueError):
        return None
    return next(
        (
            (one.name, one.address, one.size)
            for one in symbols
            if one.kind == SymbolKind.OBJECT and one.address <= address < one.address + one.size
        ),
        None,
    )


def _is_own(
    session: Session, known: tuple[str, int, int], address: int, read: str | None
) -> bool | None:
    """Whether an object can be what was expected at an address, after type or size.

    :param read: what was read of it, ``struct notifier_block.notifier_call``
    :return: ``None`` where that is not known
    """
    from oopsight.evidence.flow.type_names import short_name, variable

    expected, _, member = (read or "").removeprefix("const ").partition(".")
    if not expected.startswith("struct ") or not member:
        # By the name of a variable of its own, or of nothing.
        return True
    try:
        size = session.prog.type(expected).size or 0
    except (LookupError, SymbolError):
        return True
    name, begin, length = known
    kind = variable(session.prog, name, begin)
    if kind is not None:
        return _holds(kind, address - begin, expected, short_name)
    if begin == address and length == size:
        return True
    # Too short for it; what is longer may have it inside.
    return False if begin + length < address + size else None


def _holds(kind: Type, offset: int, expected: str, name: Callable[[Type], str]) -> bool:
    """Whether a type has another at an offset."""
    from drgn import TypeKind

    for _ in range(_DEEPEST):
        while kind.kind == TypeKind.TYPEDEF:
            kind = kind.type
        if offset == 0 and name(kind).removeprefix("const ") == expected:
            return True
        if kind.kind == TypeKind.ARRAY and kind.type.size:
            kind, offset = kind.type, offset % kind.type.size
            continue
        if kind.kind not in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
            return False
        inner = next(
            (
                (one.type, offset - one.bit_offset // 8)
                for one in kind.members or ()
                if 0 <= offset - one.bit_offset // 8 < (one.type.size or 0)
            ),
            None,
        )
        if inner is None:
            return False
        kind, offset = inner
    return False


def _inside(session: Session, module: Module, address: int) -> str | None:
    """What of a module holds an address that none of its objects does.

    :return: ``""`` where no symbol does; ``None`` where it is one of its objects, or none is known
    """
    from drgn import FaultError, SymbolKind
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import find_module

    try:
        found = find_module(session.prog, module.name)
        symbols: list[Any] = module_kallsyms(found) if found else []
    except (FaultError, LookupError, AttributeError, ValueError):
        return None
    # Kernels without CONFIG_KALLSYMS_ALL know functions alone.
    objects = [s for s in symbols if s.kind == SymbolKind.OBJECT and s.name not in _NEVER_AN_OBJECT]
    if not objects or any(s.address <= address < s.address + max(s.size, 1) for s in objects):
        return None
    return next((s.name for s in symbols if s.address <= address < s.address + s.size), "")
