"""Pointers to an object that stay in a second place when it is taken out of the first.

``table[i] = clip; if (!dev->lead) dev->lead = clip;`` puts it in two. Whoever takes it out of the
table, or off the list, and does not look at the other place leaves it there. So does who undoes the
rest of what was done with it: ``dev->lead = clip; clip->uses++;`` and then ``clip->uses--`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.handing import Uses


@dataclass(frozen=True)
class SecondCopy:
    """Two functions of a module."""

    copier: str
    """Puts an object into the field, and into another or onto a list as well."""
    leaver: str
    """Takes such out of the other, or off the list, or undoes the rest of it, and neither sets nor
    compares the field."""


def second_copies(uses: Uses, keys: FieldKeys) -> tuple[SecondCopy, ...]:
    """Who leaves in a field what is taken out elsewhere.

    :param keys: of the field
    """
    looks = {name for name, use in uses.items() if _looks(use, keys)}
    # Who has a helper do so does so as well.
    looks |= {
        name for name, use in uses.items() if any(c.own and c.name in looks for c in use.handed)
    }
    found = [
        SecondCopy(copier, leaver)
        for copier, use in uses.items()
        for fields, members in _elsewhere(use, keys)
        for leaver, its in uses.items()
        if leaver not in looks and _takes_out(its, fields, members)
    ]
    return tuple(dict.fromkeys(found))


def half_undone(uses: Uses, keys: FieldKeys) -> tuple[SecondCopy, ...]:
    """Who counts down all that another counts up as it sets the field, and leaves that as it is.

    :param keys: of the field
    """
    found = []
    for copier, use in uses.items():
        mine = keys.all_of(use)
        counted = use.raises - mine
        sets = any(one.key in mine and one.what == "value" and one.given for one in use.stores)
        if sets and counted:
            found += [
                SecondCopy(copier, leaver)
                for leaver, its in uses.items()
                if counted <= its.lowers and not _looks(its, keys)
            ]
    return tuple(found)


def _looks(use: FieldUse, keys: FieldKeys) -> bool:
    """Whether a function sets the field, or compares what it holds."""
    return not (use.touches | use.checks).isdisjoint(keys.candidates(use))


def _elsewhere(use: FieldUse, keys: FieldKeys) -> Iterator[tuple[set[int], set[int]]]:
    """Where else a function puts what it stores in the field.

    Keys of other fields, and distances of the members by which it goes onto lists.
    """
    mine = keys.all_of(use)
    for key, value in use.pointers:
        if key not in mine or value.kind in ("number", "stack", "inner"):
            continue
        fields = {other for other, same in use.pointers if same == value} - mine
        members = {far for base, far in use.put_in if base == value}
        if fields or members:
            yield fields, members


def _takes_out(use: FieldUse, fields: set[int], members: set[int]) -> bool:
    cleared = {key for key, _ in use.cleared} & fields
    return bool(cleared or members & {far for _, far in use.taken_off})
