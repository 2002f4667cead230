"""What a function stores in a field, in a word, and whether its caller may have brought it.

Not a fact by itself: :mod:`oopsight.evidence.modules.field_code` asks it.
"""

from __future__ import annotations

from oopsight.evidence.modules.code_values import Value, root_of
from oopsight.evidence.modules.known_calls import ALLOCATES, of_users


def given(key: int, value: Value, base: Value | None) -> bool:
    """Whether a value that is stored may have come from the caller.

    One that lies within what a pointer leads to is the kernel's own; so is what a variable holds.
    """
    if kind(key, value, base) != "value" or value.kind == "inner":
        return False
    root = root_of(value)
    if root.kind == "returned":
        return of_users(root.called or "") is not None
    return root.kind in ("argument", "stack", "computed", "unknown")


def kind(key: int, value: Value, base: Value | None) -> str:
    """What was stored, in a word."""
    if value.kind == "number":
        if value.number == 0:
            return "zero"
        return "itself" if base is None and value.number == key else "number"
    if value.kind == "returned":
        fresh = (value.called or "").lstrip("_").startswith(ALLOCATES)
        return "fresh" if fresh else "returned"
    if value == base and key == 0:
        return "itself"
    return (
        "itself" if value.kind == "inner" and (value.of, value.number) == (base, key) else "value"
    )
