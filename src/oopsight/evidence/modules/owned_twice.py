"""Two fields that hold the same object, each of which somebody frees it by.

Whoever puts what a field holds into a field of another object, takes no reference and leaves it in
the first, makes two owners of one object. That each of them frees it tells that it was meant to
change hands. So does who copies a part of one object to another, with that pointer in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.modules.counting import Copied
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.handing import Uses, got

_WORD = 8


@dataclass(frozen=True)
class OwnedTwice:
    """A function after which two fields hold what is freed by way of each."""

    copier: str
    freer: str
    """Who frees what the other field holds, not the one that is asked about."""


def owned_twice(uses: Uses, keys: FieldKeys) -> tuple[OwnedTwice, ...]:
    """Who makes another owner of what a field holds, and who is that.

    :param keys: of the field
    """
    own = {name for name, use in uses.items() if _frees(uses, name, keys.of(use))}
    found = [
        OwnedTwice(name, freer)
        for name, into, source in _copied(uses)
        for other in [source if into == keys.of(uses[name]) else into]
        if keys.of(uses[name]) in (into, source)
        for freer in uses
        if own and freer not in own and _frees(uses, freer, other)
    ]
    return tuple(dict.fromkeys(found))


def copied_along(uses: Uses, keys: FieldKeys) -> tuple[str, ...]:
    """Who copies more of an object than a field to another, and leaves in that the same pointer.

    :param keys: of the field
    """
    return tuple(
        name
        for name, use in uses.items()
        if not use.counts
        and any(
            one.size > _WORD and _leaves_as_copied(use, one, key)
            for one in use.copied
            for key in keys.candidates(use)
        )
    )


def _leaves_as_copied(use: FieldUse, one: Copied, key: int) -> bool:
    """Whether a copy has the field in it, and the function then puts nothing else there."""
    far = next((key - at for at in (one.source, one.to) if 0 <= key - at < one.size), None)
    if far is None:
        return False
    other = any(at == one.to + far and value.kind != "loaded" for at, value in use.pointers)
    return not other and one.to + far not in use.zeroes


def _frees(uses: Uses, name: str, key: int | None) -> bool:
    """Whether a function frees what a field of that key holds."""
    return any(one.key == key for one in uses[name].frees)


def _copied(uses: Uses) -> Iterator[tuple[str, int, int]]:
    """Who leaves the pointer of one field in another as well: to which, and from which."""
    cleared = {key for use in uses.values() for key in use.zeroes}
    for name, use in uses.items():
        taken = got(use, uses)
        for key, value in use.pointers if not use.counts else ():
            source = value.number
            if value.kind != "loaded" or value.of is None or value in taken or key == source:
                continue
            if not {key, source} & cleared and (source, value.of) not in use.written:
                yield name, key, source
