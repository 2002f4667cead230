"""Functions of a module that make objects and leave a field alone that others who make them set.

A field may be set by the kernel as well, which is told to set up a timer or a wait queue there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handed_member import Member
from oopsight.evidence.modules.known_calls import ALLOCATES, ALLOCATES_WHOLE, PREPARES
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import Ownership, plain
from oopsight.kernel import skipped_store
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import call_that_returned, direct_target, memory_place, stores
from oopsight.kernel.pointer_fate import FREES, RETURNS
from oopsight.plumbing import base_name
from oopsight.session import Session

_PREPARE = frozenset(plain(name) for name in PREPARES)


def omitting(
    session: Session,
    modules: Modules,
    module: Module,
    slab: SlabObject,
    offset: int,
    uses: dict[str, FieldUse],
    code: list[ModuleFunction],
    size: int = 1,
    *,
    set_elsewhere: bool = False,
    member: Member | None = None,
) -> tuple[str, ...]:
    """Who makes objects as this one, and does not set what lies there, where others do or nobody.

    :param offset: of the field, in the object
    :param size: of the field, in bytes
    :param set_elsewhere: whether some function sets it which has it by another distance
    :param member: what was handed to the kernel and has the field in it
    """
    if slab.state != "allocated":
        return ()
    made, _ = allocating(session, modules, module, slab.cache_address, slab.size)
    sets: dict[str, bool] = {}

    def setting(use: FieldUse) -> bool:
        return _sets(use, offset, size) or (member is not None and member.set_by(use))

    # What has the kernel's own part before the driver's, the kernel allocates.
    whole = [name for name, use in uses.items() if any(map(ALLOCATES_WHOLE.match, use.fills))]
    for name in makers([one.function for one in made] or whole, uses, setting):
        calls = {base_name(c) for one in code if base_name(one.name) == name for c in one.calls}
        reach = [uses[one] for one in (name, *calls) if one in uses]
        sets[name] = any(map(setting, reach))
    if any(sets.values()):
        return tuple(name for name, does in sets.items() if not does)
    # Where nobody at all sets it, the one that makes such objects should.
    known = set_elsewhere or any(map(setting, uses.values()))
    return tuple(sets) if len(sets) == 1 and not known else ()


def setting_at_times(
    session: Session, modules: Modules, module: Module, slab: SlabObject, offset: int, size: int = 1
) -> tuple[str, ...]:
    """Who makes objects as this one, and on some ways does not set what lies there.

    Where a helper that is handed the new object sets that, this one, if it does so at times.

    :param offset: of the field, in the object
    :param size: of the field, in bytes
    """
    if slab.state != "allocated":
        return ()
    made, _ = allocating(session, modules, module, slab.cache_address, slab.size)
    names = {one.function for one in made}
    code = Ownership(session, modules, module)

    def does(target: int | None, register: str) -> str | None:
        called = code.called(target)
        if called in _PREPARE:
            return skipped_store.STORES
        if called.startswith(ALLOCATES):
            return skipped_store.ALLOCATES
        done = code.does(target, register)
        return {FREES: skipped_store.FREES, RETURNS: skipped_store.RETURNS}.get(done)

    found: dict[str, None] = {}
    for one in code.functions:
        function = code.code(one) if base_name(one.name) in names else None
        if function is None or not skipped_store.left_out(function, offset, size, does):
            continue
        helpers = [
            (base_name(helper.name), inner, part)
            for helper, register, away in _handed_new(code, function, does)
            if (inner := code.code(helper)) is not None
            and _stores(inner, register, part := range(offset - away, offset - away + size))
        ]
        at_times = [
            n for n, inner, part in helpers if skipped_store.unfinished(inner, part, 0, does)
        ]
        found |= dict.fromkeys(at_times if helpers else [base_name(one.name)])
    return tuple(found)


def _handed_new(
    code: Ownership, function: Function, does: skipped_store.Does
) -> Iterator[tuple[ModuleFunction, str, int]]:
    """Functions that are handed what this one has allocated, in which register, and how far in."""
    for at, row in function.code.items():
        helper = code.by_start.get(direct_target(row) or 0)
        for name in ARGUMENTS if helper is not None else ():
            value = function.registers(at).get(name)
            site = call_that_returned(value) if value is not None else None
            made = function.code.get(site) if site is not None else None
            if made is None or value is None or helper is None:
                continue
            if does(direct_target(made), "") == skipped_store.ALLOCATES:
                yield helper, name, value.offset


def _stores(function: Function, register: str, part: range) -> bool:
    """Whether a function stores to a part of what it is handed."""
    places = (
        memory_place(row, function.registers(at))
        for at, row in function.code.items()
        if stores(row)
    )
    return any(one is not None and one.base == register and one.offset in part for one in places)


def _sets(use: FieldUse, offset: int, size: int) -> bool:
    """Whether a function sets anything of a field, or has the kernel set up what it is part of.

    Or takes its address, as for what reads numbers from a text.
    """
    return any(offset <= key < offset + size for key in (*use.sets, *(use.inner if offset else ())))


def makers(
    names: Iterable[str], uses: dict[str, FieldUse], sets: Callable[[FieldUse], bool]
) -> list[str]:
    """Who makes objects; in place of one that serves others and leaves a field to them, these.

    :param sets: whether a function sets that field
    """
    found: list[str] = []
    for name in names:
        served = [other for other, use in uses.items() if name in use.fills]
        found += served if served and name in uses and not sets(uses[name]) else [name]
    return list(dict.fromkeys(found))
