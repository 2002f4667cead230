"""Who took the pages that are allocated, where the page allocator records it (``page_owner=on``).

For what the kernel takes page by page, of which nothing else tells whose it is.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.exhaustion.memory_use import MemoryUse
from oopsight.evidence.memory.slab_tracks import TrackFrame, depot_frames
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

if TYPE_CHECKING:
    from oopsight.kernel.page_owner import Shape, Table

_MOST_TABLES = 512
"""Of 128 MiB each on x86-64; of more of them some are left out, evenly."""
_TOP = 64
_MOST_NUMBERED = 1 << 20
"""Different stacks that are counted."""


@dataclass(frozen=True)
class PageTaker:
    """What was allocated with one stack."""

    pages: int
    calls: tuple[TrackFrame, ...]
    """Innermost first."""
    record: BytesPointer
    """The record of one of the pages."""

    @property
    def blamable(self) -> tuple[TrackFrame, ...]:
        """Who can be to blame for it, innermost first."""
        return tuple(one for one in self.calls if one.plumbing is None)


@dataclass(frozen=True)
class PageTakers:
    """Those who have most pages, the largest first."""

    takers: tuple[PageTaker, ...]
    looked_at: int
    """Pages whose records were read."""


def collect(session: Session, use: MemoryUse, modules: Modules | Missing) -> PageTakers | Missing:
    """Count the pages of each stack that allocated some."""
    from oopsight.kernel.page_owner import shape_of, tables

    del use  # only where memory had run out
    prog = session.prog
    shape = shape_of(prog)
    if shape is None:
        return Missing(Why.NOT_APPLICABLE, "the kernel does not record who has a page (page_owner)")
    every = list(tables(prog, shape))
    chosen = every[:: -(-len(every) // _MOST_TABLES) or 1]
    counts: Counter[int] = Counter()
    examples: dict[int, int] = {}
    for table in chosen:
        _count(session, shape, table, counts, examples)
    known = modules if isinstance(modules, Modules) else None
    takers: dict[tuple[str, ...], PageTaker] = {}
    for number, pages in counts.most_common(_TOP):
        record = Address(examples[number])
        memory = BytesPointer(record, session.read(record, 32).hex())
        frames = depot_frames(prog, known, number)
        # Stacks that differ in nothing but return addresses count as one.
        names = tuple(frame.function for frame in frames)
        before = takers.get(names)
        takers[names] = PageTaker(pages + (before.pages if before else 0), frames, memory)
    ordered = sorted(takers.values(), key=lambda one: -one.pages)
    return PageTakers(tuple(ordered), len(chosen) * shape.pages)


def _count(
    session: Session, shape: Shape, table: Table, counts: Counter[int], examples: dict[int, int]
) -> None:
    """Count the allocated pages of one table by their stacks.

    :param counts: pages by the stack's handle
    :param examples: by handle, the address of one page's ``struct page_owner``
    """
    import numpy as np
    from drgn import FaultError, offsetof

    try:
        data = session.read(table.start, shape.pages * shape.stride)
    except FaultError:
        return
    handle = shape.owner + offsetof(session.prog.type("struct page_owner"), "handle")
    rows = np.frombuffer(data, dtype=np.uint8).reshape(shape.pages, shape.stride)
    flags = rows[:, :8].copy().view("<u8").ravel()
    handles = rows[:, handle : handle + 4].copy().view("<u4").ravel()
    wanted = shape.recorded | shape.allocated
    taken = np.nonzero(((flags & wanted) == wanted) & (handles != 0))[0]
    numbers, first, pages = np.unique(handles[taken], return_index=True, return_counts=True)
    for number, at, many in zip(numbers.tolist(), first.tolist(), pages.tolist(), strict=True):
        if number not in counts and len(counts) >= _MOST_NUMBERED:
            continue
        counts[number] += many
        page = int(taken[at])
        examples.setdefault(number, table.start + page * shape.stride + shape.owner)
