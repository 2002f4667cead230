"""Whose a page of memory is: what belongs to programs, files or nobody stays out of a minicore."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drgn import Program


def is_the_kernels(prog: Program, frame: int) -> bool:
    """Whether the kernel itself uses a page: no program's memory, no file's contents, not free.

    A freed page may still hold what a program wrote. Where the page's state cannot be read, it is
    not taken for the kernel's.

    :param frame: page frame number
    """
    from drgn import FaultError
    from drgn.helpers.linux.mm import PageReserved, PageSlab, compound_head, pfn_to_page

    try:
        page = compound_head(pfn_to_page(prog, frame))
        # Slab pages use the members below for their own purposes.
        if PageReserved(page) or PageSlab(page):
            return True
        if page.mapping.value_():
            return False
        return bool(page._refcount.counter.value_() > 0)  # noqa: SLF001  # a member of the C struct
    except (FaultError, LookupError, AttributeError):
        return False
