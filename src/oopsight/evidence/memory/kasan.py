"""What KASAN keeps of a heap object: whether it may be used, who allocated it and who freed it.

Of a kernel built with ``CONFIG_KASAN_GENERIC``. It keeps freed objects back for a while: for SLUB
they are allocated still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.errors import SymbolError
from oopsight.evidence.crash.kasan_check import shadow_of
from oopsight.evidence.memory.slab_tracks import Track, of_depot
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

if TYPE_CHECKING:
    from drgn import Program

# mm/kasan/kasan.h: freed, with the record of that at the object's beginning, or without.
_FREED_RECORDED, _FREED = 0xFA, 0xFB
_NO_FREE_RECORD = 0x7FFFFFFF  # KASAN_NO_FREE_META


def freed(prog: Program, cache: Any, address: int) -> bool | None:
    """Whether an object was freed, after its shadow; ``None`` where there is no KASAN.

    :param cache: ``struct kmem_cache *``
    """
    shadow = _shadow(prog, cache, address)
    return None if shadow is None else shadow in (_FREED, _FREED_RECORDED)


def _shadow(prog: Program, cache: Any, address: int) -> int | None:
    from drgn import FaultError

    try:
        _ = cache.kasan_info
        return int(prog.read_u8(shadow_of(address)))
    except (AttributeError, LookupError, FaultError, SymbolError):
        return None


def records(
    session: Session, modules: Modules | None, cache: Any, address: int
) -> tuple[Track, ...]:
    """Who allocated an object and, where it was freed since, who freed it.

    :param cache: ``struct kmem_cache *``
    :return: empty where there is no KASAN, or nothing can be read
    """
    from drgn import FaultError, Object

    prog = session.prog
    shadow = _shadow(prog, cache, address)
    if shadow is None:
        return ()
    found = []
    for what, offset, kind in (
        ("allocated", "alloc_meta_offset", "alloc"),
        ("freed", "free_meta_offset", "free"),
    ):
        try:
            distance = cache.kasan_info.member_(offset).value_()
            # No offset, no record: but who freed the object is written into the object itself.
            none = (
                distance in (0, _NO_FREE_RECORD)
                if what == "allocated"
                else (shadow != _FREED_RECORDED or distance == _NO_FREE_RECORD)
            )
            if none:
                continue
            meta = Object(prog, f"struct kasan_{kind}_meta", address=address + distance)
            one = meta.member_(f"{kind}_track")
            place = (one.address_, prog.type("struct kasan_track").size or 0)
            track = of_depot(session, modules, what, place, one.pid.value_(), one.stack.value_())
        except (FaultError, LookupError, AttributeError, SymbolError):
            continue
        if track.frames:
            found.append(track)
    return tuple(found)
