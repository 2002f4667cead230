"""Functions that are handed an object in place of those that set a field of it, and do not set it.

``port->polled ? setup_polled(port) : setup_queued(port)``, of which one sets up the wait queue.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from oopsight.evidence.hangs.stacks import COLD
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates
from oopsight.evidence.modules.ownership import Ownership
from oopsight.kernel.alternatives import instead
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import direct_target
from oopsight.kernel.pointer_fate import FREES
from oopsight.kernel.skipped_store import is_result
from oopsight.plumbing import base_name

_OBJECT = "rdi"


def siblings(
    code: Ownership, setting: Collection[str], uses: dict[str, FieldUse]
) -> tuple[str, ...]:
    """Who is called for a new object instead of one of the functions that set its field.

    Only such as write to what they are handed, and neither free it nor call one of the others.
    What was not made by their caller may be set up already, and is handed to one for each command.

    :param setting: names of the functions that set the field
    :param uses: what the functions do with fields, by their names
    """
    found: dict[str, None] = {}
    for one in code.functions:
        calls = {base_name(called) for called in _calls(code, one)}
        if COLD in one.name or not calls & set(setting) or not calls - set(setting):
            continue
        for start in _instead(code, one, setting, uses.get(base_name(one.name))):
            name = base_name(code.by_start[start].name)
            reach = {base_name(part.name) for part in code.reach(code.by_start[start])}
            use = uses.get(name)
            if use is not None and use.sets and not reach & set(setting):
                found[name] = None
    return tuple(found)


def _calls(code: Ownership, one: ModuleFunction) -> Iterator[str]:
    """Whom a function calls, in its part that lies elsewhere as well."""
    for part in code.functions:
        if base_name(part.name) == base_name(one.name):
            yield from part.calls


def _instead(
    code: Ownership, one: ModuleFunction, setting: Collection[str], use: FieldUse | None
) -> Iterator[int]:
    """Where those begin that one function calls in place of another that sets the field."""
    function = code.code(one)
    sites = _sites(code, function)
    if function is None:
        return
    for at, start in sites.items():
        place = function.registers(at).get(_OBJECT)
        if not allocates(one) and (place is None or not is_result(place)):
            continue
        if base_name(code.by_start[start].name) in setting:
            continue
        others = [
            other
            for other, begin in sites.items()
            if base_name(code.by_start[begin].name) in setting
            and _same(function, use, at, other)
            and instead(function, at, other)
        ]
        if others and code.does(start, _OBJECT) != FREES:
            yield start


def _sites(code: Ownership, function: Function | None) -> dict[int, int]:
    """Calls of, and jumps to, functions of the module, and where these begin."""
    return {
        at: target
        for at, row in (function.code.items() if function is not None else ())
        if row.mnemonic in ("call", "jmp")
        and (target := direct_target(row)) in code.by_start
        and target is not None
    }


def _same(function: Function, use: FieldUse | None, one: int, other: int) -> bool:
    """Whether two calls are given the same object."""
    places = [function.registers(at).get(_OBJECT) for at in (one, other)]
    if None not in places:
        return places[0] == places[1]
    values = [
        within(call.arguments[0])
        for at in (one, other)
        for call in (use.handed if use is not None else ())
        if call.at == at
    ]
    return len(values) > 1 and values[0] == values[1]
