"""Who frees what a table holds and leaves the number alone by which the others take it out.

Of a ring the number of the next entry, of a table without holes how many it has. Who frees an entry
and neither changes that nor puts something else in its place leaves the entry there.
"""

from __future__ import annotations

from collections.abc import Mapping

from oopsight.evidence.modules.field_code import FieldUse

_LEAST_OTHERS = 2
"""Who agree on the number."""


def leaving_counted(uses: Mapping[str, FieldUse], freeing: Mapping[str, int]) -> tuple[str, ...]:
    """The odd one of those that free what a table holds.

    :param freeing: who frees an entry of it, and the key that the table has there
    """
    tables = {name: key for name, key in freeing.items() if key in uses[name].tables}
    found = []
    for name, key in tables.items():
        others = [uses[other] for other in tables if other != name]
        if len(others) < _LEAST_OTHERS or _replaces(uses[name], key):
            continue
        counted = frozenset.intersection(*(use.changes & use.narrow for use in others))
        if counted - uses[name].changes:
            found.append(name)
    return tuple(found) if len(found) == 1 else ()


def _replaces(use: FieldUse, key: int) -> bool:
    """Whether a function stores in the table what it has not read there."""
    return any(
        at == key and not (value.kind == "loaded" and value.number == key)
        for at, value in use.pointers
    )
