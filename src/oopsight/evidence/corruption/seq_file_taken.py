"""A module's function that takes what is in a file's ``private_data`` for an object of its own.

``single_open()`` and ``seq_open()`` put a ``struct seq_file`` there; what the driver handed them is
its ``private``. A write or ioctl handler that forgets this reads nonsense. So does one that has the
file by a descriptor from user space and does not look whose operations it has.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.session import Session

_CACHE = "seq_file"
_FIELD = "struct file.private_data"
_MOST_WAYS = 3
_BY_DESCRIPTOR = ("fget", "fget_raw", "fdget", "fdget_raw", "fdget_pos", "fget_task")


@dataclass(frozen=True)
class SeqFileTaken:
    """The object, and who took it."""

    object: SlabObject
    module: str
    function: str
    memory: BytesPointer | None
    """``file->private_data``, where the pointer to it is."""
    operations: str | None = None
    """Of a file that came by its descriptor, whose they are: not the module's."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> SeqFileTaken | Missing:
    """Look whether the bad pointer was read from a ``seq_file``, and not from its ``private``."""
    none = Missing(Why.NOT_APPLICABLE, "no module took an open file's seq_file for its own object")
    private = _private(session)
    foreign = {module.name for module in modules.loaded if module.taints}
    for number, (way, kept) in enumerate(
        zip(flow.ways[:_MOST_WAYS], flow.ways[1:], strict=False), 2
    ):
        one = way.held_in.slab if way.held_in is not None else None
        if one is None or way.held_in is None or one.freed or way.module not in foreign:
            continue
        end = kept.end
        if kept.name != _FIELD or kept.module not in foreign or end is None:
            continue
        if one.cache == _CACHE and private not in (None, way.held_in.offset):
            return SeqFileTaken(one, kept.module or "", kept.function, end.memory)
        got = flow.ways[number].returned_by if number < len(flow.ways) else None
        whose = _operations(session, kept, modules) if got in _BY_DESCRIPTOR else None
        if whose is not None:
            return SeqFileTaken(one, kept.module or "", kept.function, end.memory, whose)
    return none


def _operations(session: Session, kept: Way, modules: Modules) -> str | None:
    """The operations of a file, if they are none of the module that read what it holds."""
    from drgn import FaultError, Object

    file = kept.held_in.slab if kept.held_in is not None else None
    if file is None:
        return None
    try:
        table = Object(session.prog, "struct file", address=int(file.address)).f_op.value_()
        name = str(session.prog.symbol(table).name)
    except (FaultError, LookupError, AttributeError):
        return None
    owner = modules.owner(table)
    return None if owner is not None and owner.name == kept.module else name


def _private(session: Session) -> int | None:
    """Where a driver's own pointer is in a ``seq_file``."""
    try:
        return int(session.prog.type("struct seq_file").member("private").offset)
    except LookupError:
        return None
