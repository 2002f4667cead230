"""Memory by who has it, as the rules for exhaustion need it."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.memory_use import CacheUse, MemoryUse, ProcessUse, VmallocUse

MUCH = 0.25
"""Share of all memory from which on one holder is called the cause."""


@dataclass(frozen=True)
class Share:
    """One holder of memory in the kernel."""

    pages: int
    what: str
    source: CacheUse | VmallocUse | DeletedFiles | None


def _nobodys(deleted: DeletedFiles | Missing) -> int:
    return deleted.pages if isinstance(deleted, DeletedFiles) else 0


def user_pages(use: MemoryUse, deleted: DeletedFiles | Missing) -> int:
    """What processes hold, in their own memory and in shared memory, and the tables that map it."""
    shared = max(use.pages.shmem - _nobodys(deleted), 0)
    return use.pages.anonymous + shared + use.pages.page_tables


def kernel_share(use: MemoryUse, deleted: DeletedFiles | Missing) -> Share:
    """The largest single holder in the kernel."""
    shares = [Share(c.pages, f"slab cache {c.name}", c) for c in use.caches[:1]]
    shares += [Share(v.pages, f"vmalloc() by {v.function}", v) for v in use.vmalloc[:1]]
    shares += [
        Share(use.pages.unaccounted, "pages that the kernel took outside its caches", None),
        Share(use.pages.kernel_stacks, "kernel stacks", None),
    ]
    if isinstance(deleted, DeletedFiles) and deleted.pages:
        what = f"{deleted.files} deleted files that nobody has open"
        shares.append(Share(deleted.pages, what, deleted))
    return max(shares, key=lambda share: share.pages)


def size(use: MemoryUse, pages: int) -> str:
    """Pages as MiB and as a share of the whole."""
    mib = pages * use.page_size / (1 << 20)
    return f"{mib:.0f} MiB ({pages * 100 // max(use.pages.total, 1)} % of all)"


def largest(use: MemoryUse) -> ProcessUse | None:
    """The processes of one name that hold most."""
    return use.processes[0] if use.processes else None
