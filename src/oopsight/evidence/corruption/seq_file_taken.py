"""A module's function that takes the ``seq_file`` of an open file for an object of its own.

``single_open()`` and ``seq_open()`` put a ``struct seq_file`` into ``file->private_data``; what the
driver handed them is its ``private``. A write or ioctl handler that forgets this reads nonsense.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_CACHE = "seq_file"
_FIELD = "struct file.private_data"
_MOST_WAYS = 3


@dataclass(frozen=True)
class SeqFileTaken:
    """The object, and who took it."""

    object: SlabObject
    module: str
    function: str
    memory: BytesPointer | None
    """``file->private_data``, where the pointer to it is."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> SeqFileTaken | Missing:
    """Look whether the bad pointer was read from a ``seq_file``, and not from its ``private``."""
    none = Missing(Why.NOT_APPLICABLE, "no module took an open file's seq_file for its own object")
    private = _private(session)
    foreign = {module.name for module in modules.loaded if module.taints}
    for way, kept in zip(flow.ways[:_MOST_WAYS], flow.ways[1:], strict=False):
        one = way.held_in.slab if way.held_in is not None else None
        if one is None or way.held_in is None or one.cache != _CACHE or one.freed:
            continue
        end = kept.end
        if way.held_in.offset == private or private is None or way.module not in foreign:
            continue
        if kept.name != _FIELD or kept.module not in foreign or end is None:
            continue
        return SeqFileTaken(one, kept.module or "", kept.function, end.memory)
    return none


def _private(session: Session) -> int | None:
    """Where a driver's own pointer is in a ``seq_file``."""
    try:
        return int(session.prog.type("struct seq_file").member("private").offset)
    except LookupError:
        return None
