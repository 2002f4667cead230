"""What was freed is no object.

Finds
    An address was handed to an allocator's freeing function at which no object of its begins: it
    lies inside an object, or is another kind of memory, as a variable, a stack or a vmalloc area.

Why it happens
    A pointer that was advanced while the data were read is freed in place of the one that was
    allocated; a member or a variable is freed as if it were an object by itself; what one allocator
    made is freed by the function of another.

How it is decided
    SLUB with ``slub_debug=F`` reports "Invalid object pointer", KFENCE an "invalid free" of what is
    not free. The function that called the allocator is on the stack, or in the code before the
    return address where it jumped there as its last act. Without them, ``kfree()``, ``vfree()`` or
    their like stopped, at a fault or a check, over an address that by itself is good memory, and of
    a kind that this function does not free. Where the kernel itself freed a variable of a module,
    whose functions refer to that come first: one of them gave it away. Or it warned that the object
    is of another slab cache.

When it is wrong
    The pointer may have been damaged by somebody else: where the code did not make it itself, from
    the address of a variable or what another function had returned, nor read it from a variable of
    the program, the verdict is *possible*.

Example
    ``frm_drop()`` frees ``frame->data``, which ``frm_send()`` had moved behind a header;
    ``rate_load()`` frees by ``kfree()`` a table that ``vmalloc()`` had made.

Look next
    ``kmem -s`` of the address, ``dis`` of the caller; all code that changes the pointer.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    innocent,
    merge,
)
from oopsight.diagnosis.memory_report import freed_wrongly
from oopsight.diagnosis.places import culprits, suspects
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.modules import Modules

_OTHER_CACHE = "Wrong slab cache. "
_CHECKS_CACHE = ("cache_from_obj", "kmem_cache_free")
_REFINED = ("wild_pointer", "module_area_pointer", "warning", "bug_on", "bad_page_state")


def invalid_free(  # each is a fact
    report: MemoryReport | Missing,
    modules: Modules | Missing,
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    log: Log | Missing,
) -> Finding | Clear:
    """Decide whether an allocator was given something else than an object of its own."""
    if isinstance(report, MemoryReport) and report.mistake is Mistake.INVALID_FREE:
        return freed_wrongly(report, modules)
    if isinstance(fault, Fault) and isinstance(backtrace, Backtrace):
        if isinstance(flow, DataFlow) and flow.subject == "freed" and flow.bad is not None:
            return _other_memory(fault, backtrace, flow, flow.bad, modules)
        found = _other_cache(fault, backtrace, log)
        if found is not None:
            return found
    return Clear("no allocator stopped over what is none of its objects")


def _other_memory(
    fault: Fault, backtrace: Backtrace, flow: DataFlow, bad: Owner, modules: Modules | Missing
) -> Finding:
    """What was to be freed is of a kind that the function does not free."""
    way = flow.first
    steps = [fault_step(fault), *flow_steps(flow)]
    steps.append(
        Step(f"{bad.address} is {bad.detail}, no memory to be freed so", steps[-1].because)
    )
    blamed = _givers_first(flow_culprits(flow, backtrace, what="what was to be freed"), flow, bad)
    who = blamed_first(blamed, "somebody")
    made = way.ended in ("set", "returned")
    own = way.held_in is not None and way.held_in.kind in ("module", "kernel")
    return Finding(
        title=f"{fault.function} was given what it cannot free",
        summary=f"{who} gave {bad.address} to be freed, which is {bad.detail}; {fault.function} "
        "found no object of its allocator there.",
        # What an object held may have been put there by another, after it had been freed.
        certainty=Certainty.INFERRED if made or own else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(blamed),
        innocent=innocent(modules, blamed),
        advice=("Free memory only by the counterpart of what allocated it.",),
        refines=_REFINED,
    )


def _givers_first(blamed: list[Culprit], flow: DataFlow, bad: Owner) -> list[Culprit]:
    """Who has the address of a module's variable that was to be freed.

    They come first where the kernel freed it, for whoever had given it that.
    """
    why = f"gives away the address of {bad.symbol or 'a variable'}, which is no memory to be freed"
    found = [Culprit(bad.module, name, None, bad.symbol, why) for name in flow.installed_by]
    own = bool(blamed) and blamed[0].module is not None
    return merge(blamed[:own], found, blamed)


def _other_cache(fault: Fault, backtrace: Backtrace, log: Log | Missing) -> Finding | None:
    """``kmem_cache_free()`` found the object in another cache than it was told."""
    said = log.find(_OTHER_CACHE) if isinstance(log, Log) else None
    if said is None or fault.exception != INVALID_OPCODE or fault.function not in _CHECKS_CACHE:
        return None
    frames = suspects(backtrace)
    blamed = culprits(frames, "freed the object to a cache that it is not of")
    if not blamed:
        return None
    who = blamed_first(blamed, "somebody")
    return Finding(
        title=f"{fault.function} was given an object of another cache",
        summary=f"{who} freed an object to a slab cache that it was not allocated from.",
        # It may have been freed before, and its memory be another cache's since.
        certainty=Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=(
            Step(f"{fault.function} reported: {said.text}", (said, frames[0].pointer)),
            Step(f"called for {who}", (frames[0].pointer,)),
        ),
        culprits=blamed,
        advice=("Free memory only by the counterpart of what allocated it.",),
        refines=_REFINED,
    )
