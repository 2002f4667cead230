"""Functions of a module that return with success and leave a field unset which they set else."""

from __future__ import annotations

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.hangs.stacks import COLD
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys, Layout
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import Ownership
from oopsight.kernel import skipped_store
from oopsight.kernel.answers import can_fail, is_lost
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import direct_target
from oopsight.kernel.omissions import omission
from oopsight.kernel.pointer_fate import FREES, RETURNS
from oopsight.kernel.skipped_store import hollow, silent, skipped
from oopsight.plumbing import base_name
from oopsight.session import Session

_FAIL = ("dev_err_probe",)
_CHANGED = ".isra."
_NESTED = 2
"""Calls through which an error is handed on."""
_NO_POINTER = ("zero", "number", "itself")


def skipping(
    session: Session,
    modules: Modules,
    module: Module,
    way: Way,
    uses: dict[str, FieldUse],
    known: Layout,
) -> tuple[str, ...]:
    """Who has what belongs in the field that a way's NULL was read from, and does not put it there.

    :param uses: what the module's functions do with fields, by their names
    :param known: of the kernel's structures
    """
    if not _kept_null(way):
        return ()
    setting = filling(way, uses, known)
    return tuple(_skipping(Ownership(session, modules, module), setting)) if setting else ()


def _kept_null(way: Way) -> bool:
    """Whether NULL was read from memory."""
    return way.ended == "loaded" and way.end is not None and way.end.value == 0


def filling(way: Way, uses: dict[str, FieldUse], known: Layout) -> dict[str, int]:
    """Who puts a pointer into the field that a way's value was read from, and its keys for them."""
    keys = FieldKeys(way, uses, known)
    return {
        name: key
        for name, use in uses.items()
        if (key := keys.of(use)) is not None
        and any(one.key == key and one.what not in _NO_POINTER for one in use.stores)
    }


def keeping_silent(
    session: Session,
    modules: Modules,
    module: Module,
    way: Way,
    uses: dict[str, FieldUse],
    known: Layout,
) -> tuple[str, ...]:
    """Who says that all went well, and has not put a pointer into the field of what it was given.

    Others of its ways do, and others again say that they have failed. Not who looks whether the
    field has one already. Or who has put there what it knows to be NULL.

    :param uses: what the module's functions do with fields, by their names
    :param known: of the kernel's structures
    """
    if not _kept_null(way):
        return ()
    setting = filling(way, uses, known)
    code = Ownership(session, modules, module)
    does = _doing(code, setting)
    found = []
    for one in code.functions:
        name = base_name(one.name)
        function = code.code(one) if COLD not in one.name and name in setting else None
        if function is None:
            continue
        key, unaware = setting[name], setting[name] not in uses[name].checks
        if (unaware and silent(function, key, does)) or hollow(function, key, does):
            found.append(name)
    return tuple(dict.fromkeys(found))


def not_listening(
    session: Session,
    modules: Modules,
    module: Module,
    way: Way,
    uses: dict[str, FieldUse],
    known: Layout,
) -> tuple[str, ...]:
    """Who has a function of the module fill the field, which may fail, and does not look whether.

    :param uses: what the module's functions do with fields, by their names
    :param known: of the kernel's structures
    """
    if not _kept_null(way):
        return ()
    setting = filling(way, uses, known)
    code = Ownership(session, modules, module) if setting else None
    return _not_listening(code, setting, uses) if code is not None else ()


def leaving_number(
    session: Session, modules: Modules, module: Module, keys: dict[str, int]
) -> tuple[str, ...]:
    """Who says on some way that all went well, and has not set a number that it sets on others.

    :param keys: of functions, by which they have the field
    """
    code = Ownership(session, modules, module)
    found = []
    for one in code.functions:
        name = base_name(one.name)
        function = code.code(one) if COLD not in one.name and name in keys else None
        does = _doing(code, {})
        if function is not None and silent(function, keys[name], does, number=True):
            found.append(name)
    return tuple(dict.fromkeys(found))


def _not_listening(
    code: Ownership, setting: dict[str, int], uses: dict[str, FieldUse]
) -> tuple[str, ...]:
    each = [(base_name(one.name), one, code.code(one)) for one in code.functions]
    known = [(name, one, function) for name, one, function in each if function is not None]
    failing = {
        one.start
        for name, one, function in known
        if name in setting
        # Of one that nobody listens to, the compiler has taken out what it would return.
        and (
            can_fail(function)
            or (_CHANGED in one.name and _leaves(function, uses[name], setting[name]))
        )
    }
    found: list[str] = []
    for _ in range(_NESTED):
        # Who hands on what it was told fails with it.
        telling: set[int] = set()
        for name, one, function in known:
            calls = [row for row in function.code.values() if direct_target(row) in failing]
            if any(row.mnemonic == "call" and is_lost(function, row) for row in calls):
                found.append(name)
            elif calls:
                telling.add(one.start)
        failing = telling
    return tuple(dict.fromkeys(found))


def _leaves(function: Function, use: FieldUse, key: int) -> bool:
    """Whether a function comes to its end on some way without a store to the field."""
    ends = {end for end, (at, _) in zip(use.stored_at, use.pointers, strict=True) if at == key}
    sites = [at for at, row in function.code.items() if row.end in ends]
    return omission(function, sites, lambda _: False) is not None


def _doing(code: Ownership, setting: dict[str, int]) -> skipped_store.Does:
    """What the functions do that a way comes to."""

    def does(target: int | None, register: str) -> str | None:
        one = code.by_start.get(target) if target is not None else None
        if one is not None and base_name(one.name) in setting:
            return skipped_store.STORES
        done = code.does(target, register)
        if done in (FREES, RETURNS):
            return skipped_store.FREES if done == FREES else skipped_store.RETURNS
        called = code.called(target)
        if called.removeprefix("devm_").startswith(ALLOCATES):
            return skipped_store.ALLOCATES
        return skipped_store.FAILS if called in _FAIL else None

    return does


def _skipping(code: Ownership, setting: dict[str, int]) -> list[str]:
    does = _doing(code, setting)
    key = next(iter(setting.values()))
    # What a function's part that lies elsewhere calls, the function itself does.
    calling = {
        base_name(one.name)
        for one in code.functions
        if any(base_name(called) in setting for called in one.calls)
    }
    found = []
    for one in code.functions:
        name = base_name(one.name)
        asked = COLD not in one.name and (name in calling or name in setting)
        function = code.code(one) if asked else None
        if function is not None and skipped(function, setting.get(name, key), does):
            found.append(name)
    return list(dict.fromkeys(found))
