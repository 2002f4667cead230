"""How large the objects are that functions free, where the module's code tells."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence.modules.field_code import FieldUse


@dataclass(frozen=True)
class FunctionSizes:
    """How many bytes the objects have that a function frees, or copies."""

    function: str
    sizes: tuple[int, ...]

    def fits(self, size: int, place: int = 0) -> bool:
        """Whether one of these can be in an object of the allocator's of a size.

        :param place: how far from its beginning something of it is known to lie
        """
        return any(max(size // 2, place) < one <= size for one in self.sizes)


def freed_sizes(uses: dict[str, FieldUse]) -> tuple[FunctionSizes, ...]:
    """Of functions that free only what their module has allocated with a known size."""
    made: dict[int, set[int]] = {}
    unknown: set[int] = set()
    for one in (one for use in uses.values() for one in use.stores):
        if one.what == "fresh" and one.size is not None:
            made.setdefault(one.key, set()).add(one.size)
        elif one.what != "zero":
            unknown.add(one.key)
    known = made.keys() - unknown
    return tuple(
        FunctionSizes(name, tuple(sorted({size for one in use.frees for size in made[one.key]})))
        for name, use in uses.items()
        if use.frees and not use.frees_more and all(one.key in known for one in use.frees)
    )
