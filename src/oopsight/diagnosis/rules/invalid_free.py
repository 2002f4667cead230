"""What was freed is no object.

Finds
    An address was handed to the allocator at which no object of its begins.

Why it happens
    A pointer that was advanced while the data were read is freed in place of the one that was
    allocated; a member or a variable is freed as if it were an object by itself.

How it is decided
    SLUB with ``slub_debug=F`` reports "Invalid object pointer", KFENCE an "invalid free" of what is
    not free. The function that called the allocator is on the stack, or in the code before the
    return address where it jumped there as its last act.

When it is wrong
    The pointer may have been damaged by somebody else.

Example
    ``frm_drop()`` frees ``frame->data``, which ``frm_send()`` had moved behind a header.

Look next
    ``kmem -s`` of the address, ``dis`` of the caller; all code that changes the pointer.
"""

from __future__ import annotations

from oopsight.diagnosis import Clear, Finding
from oopsight.diagnosis.memory_report import freed_wrongly
from oopsight.evidence import Missing
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.modules.modules import Modules


def invalid_free(report: MemoryReport | Missing, modules: Modules | Missing) -> Finding | Clear:
    """Decide whether the allocator was given something else than an object."""
    if not isinstance(report, MemoryReport) or report.mistake is not Mistake.INVALID_FREE:
        return Clear("the allocator reported no pointer that is none of its objects")
    return freed_wrongly(report, modules)
