"""Who can have written where a pointer was, as far as code alone tells."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence.pointers import ModulePointer


@dataclass(frozen=True)
class Writer:
    """A function with a store that can have come there."""

    module: ModulePointer
    function: str
