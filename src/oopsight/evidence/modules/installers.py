"""Functions of a module that put an object in place whose field is NULL, which others set there.

The NULL was read from an object that was itself found through a field. Of those that store objects
in that one, some set the NULL's field before, themselves or by what they call; who puts one there
as it got it has left the field as it was.
"""

from __future__ import annotations

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name

_NO_OBJECT = ("zero", "number", "itself")
_LINKS = (0, 8)
"""Where the pointers of an entry mostly are: of any list."""


def installing(
    ways: tuple[Way, ...], uses: dict[str, FieldUse], code: list[ModuleFunction]
) -> tuple[str, ...]:
    """Who stores objects where the one with the NULL was found, and does not set its field.

    Nobody, where none of those who do so sets it: then it is set elsewhere.
    """
    if len(ways) < 2 or ways[0].end is None or ways[0].end.value != 0:
        return ()
    if any(way.ended != "loaded" for way in ways[:2]):
        return ()
    if ways[1].held_in is not None and ways[1].held_in.kind == "stack":
        return ()  # no field, but a variable of whoever called
    inner, outer = FieldKeys(ways[0], uses), FieldKeys(ways[1], uses)
    walker = base_name(ways[1].function)
    refers = {at for one in code if base_name(one.name) == walker for at in one.refers}
    sets: dict[str, bool] = {}
    for name, use in uses.items():
        place, field = outer.of(use), inner.of(use)
        if place is None or (place in _LINKS and _elsewhere(use, refers)):
            continue
        if place == field:
            # A store there may be to either; to the outer one, what is stored is an object.
            objects = [one.filled for one in use.stores if one.key == place and _is_object(one)]
            if objects:
                sets[name] = any(field in filled for filled in objects if filled is not None)
            continue
        if any(one.key == place and one.what not in _NO_OBJECT for one in use.stores):
            calls = {base_name(c) for one in code if base_name(one.name) == name for c in one.calls}
            reach = [uses[one] for one in (name, *calls) if one in uses]
            sets[name] = any(inner.of(one) in one.sets for one in reach)
    return tuple(name for name, does in sets.items() if not does) if any(sets.values()) else ()


def _elsewhere(use: FieldUse, refers: set[int]) -> bool:
    """Whether a function links entries into lists in variables, and none of them is one's own.

    :param refers: addresses that the other refers to
    """
    heads = {one.key for one in use.stores if in_kernel_half(one.key)}
    return bool(heads) and not any({head, head - 8} & refers for head in heads)


def _is_object(one: Stored) -> bool:
    return one.filled is not None and one.what not in _NO_OBJECT
