"""Functions of modules that the kernel calls through a pointer to give memory back.

They end with a jump into the allocator, as compilers make of a last call, and leave no frame.

Not a fact by itself: collectors that look for who freed something ask it.
"""

from __future__ import annotations

import itertools

from oopsight.evidence import Address
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.module_roles import freers, inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_ALLOCATOR = "allocates or frees memory"
_FREES = ("kfree", "kvfree", "kfree_sensitive", "kmem_cache_free")
_MOST_MODULES = 16


def release_function(
    session: Session,
    modules: Modules | None,
    frames: tuple[TrackFrame, ...],
    one: SlabObject | None,
) -> TrackFrame | None:
    """The one function that an object points to and that frees memory, if it can have been called.

    What drops the last reference to an object calls its release function, which ends with a jump
    into the allocator and leaves no address.
    """
    between = itertools.takewhile(lambda frame: frame.module is None, frames)
    served = any(_ALLOCATOR not in (frame.plumbing or _ALLOCATOR) for frame in between)
    if one is None or modules is None or not served:
        return None
    found = []
    for name in dict.fromkeys(ref.module for ref in one.refers):
        module = next(m for m in modules.loaded if m.name == name)
        code = inner_functions(session, module)
        able = freers(code)
        starts = {f.start: f for f in code if base_name(f.name) in able}
        found += [
            TrackFrame(Address(f.start), f.name, name, None)
            for ref in one.refers
            if (f := starts.get(int(ref.value))) is not None
        ]
    return found[0] if len(found) == 1 else None


def freeing_jump(session: Session, modules: Modules | None) -> TrackFrame | None:
    """The only function of modules from outside the kernel that ends with a jump to ``kfree()``.

    For where the kernel's own function called whoever freed through a pointer.
    """
    if modules is None:
        return None
    reader = SessionReader(session)
    found = [
        TrackFrame(Address(one.start), one.name, module.name, None)
        for module in [m for m in modules.loaded if m.taints][:_MOST_MODULES]
        for one in inner_functions(session, module, reader)
        if _ends_freeing(reader, one.start)
    ]
    return found[0] if len(found) == 1 else None


def _ends_freeing(reader: SessionReader, start: int) -> bool:
    for row in instructions(reader, start):
        if row.mnemonic == "jmp" and row.operands.startswith("0x"):
            target = reader.function(int(row.operands, 16))
            if target is not None and target[1] == int(row.operands, 16) and target[0] in _FREES:
                return True
    return False
