"""Who allocated a page and who freed it last, where the page allocator records it.

That is a kernel with ``CONFIG_PAGE_OWNER``, booted with ``page_owner=on``.
"""

from __future__ import annotations

from typing import Any

from oopsight.errors import SymbolError
from oopsight.evidence.memory.slab_tracks import Track, of_depot
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session


def records(session: Session, modules: Modules | None, address: int) -> tuple[Track, ...]:
    """The records of the page that holds an address of the direct map.

    :return: who allocated it and, where it is free now, who freed it; empty where there are none
    """
    from drgn import FaultError, Object
    from drgn.helpers.linux.mm import virt_to_pfn

    from oopsight.kernel.page_owner import shape_of, table_of

    prog = session.prog
    shape = shape_of(prog)
    if shape is None:
        return ()
    found = []
    try:
        page = virt_to_pfn(prog, address).value_()
        table = table_of(prog, shape, page)
        if table is None:
            return ()
        record = table.start + (page - table.first_page) * shape.stride
        flags = Object(prog, "struct page_ext", address=record).flags.value_()
        if not flags & shape.recorded:
            return ()
        owner = Object(prog, "struct page_owner", address=record + shape.owner)
        place = (int(owner.address_ or 0), owner.type_.size or 0)
        pid = owner.pid.value_()
        found.append(of_depot(session, modules, "allocated", place, pid, owner.handle.value_()))
        if not flags & shape.allocated:
            found.append(
                of_depot(
                    session, modules, "freed", place, _freer(owner), owner.free_handle.value_()
                )
            )
    except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
        return tuple(found)
    return tuple(one for one in found if one.frames)


def _freer(owner: Any) -> int | None:
    """The process that freed the page: not every kernel records it."""
    try:
        return int(owner.free_pid.value_())
    except AttributeError:
        return None
