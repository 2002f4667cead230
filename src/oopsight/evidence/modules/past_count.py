"""Who frees an object outright that others of its module give back by its count of references.

What two functions have from one place is of one kind: from one field, from one table, by one helper
that looks it up.
"""

from __future__ import annotations

from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import Uses, freed, got, put
from oopsight.evidence.modules.known_calls import ALLOCATES
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name

_HANDED = 2  # steps to what a pointer that the function is handed leads to
_LARGEST_OBJECT = 1 << 20
_Place = tuple[str | int, ...]


def past_count(uses: Uses) -> tuple[str, ...]:
    """Functions that free what others count, and give no reference to it back."""
    counted = {
        place
        for use in uses.values()
        for root in (*_put(use, uses), *use.taken, *got(use, uses))
        if (place := _place(root, use)) is not None
    }
    return tuple(
        name
        for name, use in uses.items()
        for gone in [{root for root, *_ in freed(use, uses)} - _put(use, uses)]
        if any(_place(root, use) in counted for root in gone)
    )


def _put(use: FieldUse, uses: Uses) -> set[Value]:
    return {root for root, *_ in put(use, uses)}


def _place(root: Value, use: FieldUse) -> _Place | None:
    """Where a function has an object from; ``None`` where that tells nothing of its kind."""
    if root.kind == "loaded":
        way: list[str | int] = []
        step: Value | None = root
        while step is not None:
            way.append(step.number if step.kind in ("loaded", "inner") else step.kind)
            step = step.of
        # Behind any pointer that it is handed itself lies something at that distance.
        return tuple(way) if len(way) > _HANDED or _is_variable(root.number) else None
    call = next((one for one in use.handed if root.kind == "returned" and one.result == root), None)
    if call is None or call.name.lstrip("_").startswith(ALLOCATES):
        return None
    table, distance = within(call.arguments[0])
    if table.kind == "number" and _is_variable(table.number):
        return ("table", table.number + distance)
    return (base_name(call.name),) if call.own else None


def _is_variable(key: int) -> bool:
    """Whether the key of a field is an address, and no distance, back from a member maybe."""
    return in_kernel_half(key) and key < (1 << 64) - _LARGEST_OBJECT
