"""Memory was used after it had been freed.

Finds
    The bad value was read from an object that the slab allocator holds as free, or it is the
    pattern that the allocator writes over freed objects; or such an object is still on a list.

Why it happens
    The last user frees an object while a timer, a list, a work item or another task still has a
    pointer to it.

How it is decided
    Data flow leads from the fault to the object that the bad value was read from. The allocator's
    free lists say whether it is free, or its bytes are the pattern 0x6b (``slub_debug=P``); or what
    was read from it is the allocator's own link of a free object, of which nothing is left; or a
    free object holds the bad value as its link, as after a walk that frees what it goes on from.
    Where the allocator keeps records (``slub_debug=U``) they name who freed it. Else the module is
    found to which the object belongs: by the pointers to a module that still lie in it, by the
    module's variables that hold its address, or by the crash path; and of its functions those that
    free. Where the record names the kernel alone, as for what devres frees, the module is blamed
    that had the object from it: who used it, or else who allocated it. Where its owner gave back
    the last reference, and another module used it, that module comes first, and the verdict is
    *possible*. Of a task that has ended, or is another by now, to which a module had the pointer as
    to a thread of its own, first comes what that thread ran, if it can return before it is asked
    to, then who stops such and leaves the pointer, then who started it and took no reference. Of a
    tasklet that the softirq met, and which is free or another module's by now, the lists of what is
    scheduled tell; of a work item or timer whose function was running, the worker or the CPU, which
    remember it: first comes who frees such and does not wait for that function. Before who freed it
    comes who used it after a read section of RCU in which it had got it, with no reference, or the
    helper that returns such: that is *possible* only. An object that its last reference freed, and
    of which one more was put, is left to ``refcount_error``. Whoever has the memory by now is not
    to blame, as long as somebody else can be: who read it, who has such entries as the kernel took
    it for, or in whose object the kernel found the pointer. SLUB's report of a free object that was
    written to, and KFENCE's of an access to one, carry the record of who freed it. Pages and
    vmalloc areas count too: a pointer that a module still keeps leads to a free page, to a page
    that a variable of another module points to, or to where no area is any more; first comes who
    gives areas back, firmware and mappings too, and has the pointer kept in the same call. A packet
    or request that the kernel alone met may be one that its driver had given up, if the driver's
    handler can do so and answer that it has not taken it; a workqueue was destroyed, if it was
    handed to the kernel and is none of those that this knows. So do a lock that somebody waits for
    in a free object, and a lock or queue entry on the stack of a task that is in another function
    now: to blame is who puts entries of its own frame on a list and can return without taking them
    off. Where the allocator stumbles over a free object's link that is none, it is whose pending
    timer has, beside it, a pointer into memory there which is another module's by now. Of several
    modules, one that makes no such objects was only handed it; of several functions that free,
    those that do not take out of an IDR or XArray what a lookup or walk there gave come first.

When it is wrong
    The object may have been freed after the value was read: without the pattern the verdict is
    *inferred*. Freed memory that was given to somebody else since is recognised only where two
    modules hold it, where it was on a list as it was allocated again, or where something shows that
    it is a module's by now which has nothing to do with who used it: that module's list, variable
    or table leads to it, it names a function of it or is a copy of its data. That is *possible*
    only: modules may share objects through the kernel. Of pages and vmalloc areas a wrong pointer
    may merely look so: there too it is mostly so. Without the allocator's records the freeing
    function is chosen by what it can do, not by what it did, and the verdict is only *possible*.
    First comes who gives the same back twice on one way, or looks up without a reference what those
    that call it give back; then who frees what it has told the kernel of, and has not taken that
    back, then who leaves the pointer in two fields, each of which somebody frees it by, then who
    frees such objects after it may have waited in vain for their completion, then who leaves with
    others a member of theirs, by which these still knew it, where another function takes that out;
    who waits for readers under RCU comes after those who do not. Then comes who frees outright what
    others have from the same place and count the references to, then who gives back a reference to
    what the field held and on some ways leaves the pointer there, then who takes such objects out
    of another field or off a list, where it was put as well, or counts down what was counted up
    with that, and does not look at this one, then who frees what it held and leaves it, then who
    frees and allocates nothing; who uses it only where none stands out. Of memory that the kernel
    frees as a device is unbound, the driver's function that is called before. That an object was
    given to somebody else is also told by what it lacks: functions and variables whose addresses
    all who make such objects put into them. A function that stores something in what it frees is
    less suspect if the freed object holds other bytes there, and so is one that stops the timer,
    work or thread that then used the object, unless it does so before it stops what starts that
    again, and one that frees only what had the pointer to it, and still has; of two alike comes
    first whose bytes are there, then whose call still has its return address on some stack, or who
    has printed something.

Example
    A device's ``release`` frees a structure whose timer is still pending; the timer softirq finds
    0x6b6b6b6b6b6b6b6b in it.

Look next
    ``kmem -s`` and ``rd`` of the object; boot with ``slub_debug=FPZU`` for the allocator's records.
"""

from __future__ import annotations

from oopsight.diagnosis import Clear, Finding, Step, Undecided, absent
from oopsight.diagnosis.blame import fault_step, flow_culprits, flow_steps
from oopsight.diagnosis.freed_finding import object_finding, unfound_finding
from oopsight.diagnosis.freed_ranking import Hints, rank
from oopsight.diagnosis.gone_lock import gone_lock_finding
from oopsight.diagnosis.handed_back import handed_back_finding
from oopsight.diagnosis.left_on_stack import left_on_stack_finding
from oopsight.diagnosis.lost_memory import gone_area_finding, lost_memory_finding
from oopsight.diagnosis.memory_report import used_freed
from oopsight.evidence import Missing
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.hangs.gone_lock import GoneLock
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.footprints import Footprints
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.use_after_free.asked_provider import AskedProvider
from oopsight.evidence.use_after_free.gone_area import GoneArea
from oopsight.evidence.use_after_free.handed_back import HandedBack
from oopsight.evidence.use_after_free.left_behind import LeftBehind
from oopsight.evidence.use_after_free.lost_memory import LostMemory
from oopsight.evidence.use_after_free.out_of_section import OutOfSection
from oopsight.evidence.use_after_free.slot_copies import SlotCopies

_WHILE_FREE = (Mistake.USE_AFTER_FREE, Mistake.WRITTEN_FREE)
_FREED_PATTERN = "POISON_FREE)"
_COUNTING = ("refcount_warn_saturate", "refcount_error_report")
_UNDERFLOW = "refcount_t: underflow"


def _poison(flow: DataFlow | Missing, report: ListReport | Missing) -> str | None:
    """Whether the bad value is the pattern of freed memory, in words."""
    if isinstance(flow, DataFlow) and flow.bad is not None and _FREED_PATTERN in flow.bad.detail:
        return f"{flow.bad.address} is the pattern that the allocator fills freed objects with"
    was = report.entry("was") if isinstance(report, ListReport) else None
    if was is not None and _FREED_PATTERN in was.owner.detail:
        return f"{was.owner.address} is the pattern that the allocator fills freed objects with"
    return None


def use_after_free(
    fault: Fault | Missing,
    backtrace: Backtrace | Missing,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    users: ObjectUsers | Missing,
    lost: LostMemory | Missing,
    memory: MemoryReport | Missing,
    gone: GoneLock | Missing,
    left: LeftBehind | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    footprints: Footprints | Missing,
    prints: Prints | Missing,
    copies: SlotCopies | Missing,
    section: OutOfSection | Missing,
    log: Log | Missing,
    handed: HandedBack | Missing,
    asked: AskedProvider | Missing,
    area: GoneArea | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether freed memory was used."""
    if isinstance(memory, MemoryReport) and memory.mistake in _WHILE_FREE:
        return used_freed(memory, modules)
    if isinstance(gone, GoneLock):
        return gone_lock_finding(gone, modules)
    if isinstance(fault, Missing):
        return absent(fault)
    if isinstance(backtrace, Missing):
        return absent(backtrace)
    if isinstance(area, GoneArea):
        return gone_area_finding(fault, backtrace, area, modules, (*_REFINED, *_OF_COPIES))
    freed = users if isinstance(users, ObjectUsers) and users.overrun is None else None
    if freed is None and isinstance(lost, LostMemory) and isinstance(flow, DataFlow):
        return lost_memory_finding(fault, backtrace, flow, lost, modules, _REFINED)
    if isinstance(left, LeftBehind) and left.on_stack and isinstance(flow, DataFlow):
        return left_on_stack_finding(fault, backtrace, flow, left, report, modules, _REFINED)
    accessed = fault.exception in (PAGE_FAULT, GENERAL_PROTECTION)
    if freed is None and isinstance(handed, HandedBack) and accessed:
        return handed_back_finding(fault, flow, handed, modules, _REFINED)
    if fault.function in _COUNTING and isinstance(log, Log) and log.find(_UNDERFLOW):
        # Its last reference freed it, and the one that is given back now was none.
        return Clear("the object was freed by its count, of which one more was given back")
    pattern = _poison(flow, report)
    if freed is None and pattern is None:
        return Clear("the bad value was not read from freed memory, as far as it can be followed")
    steps = _met(fault, report, flow, pattern)
    followers = flow_culprits(flow, backtrace, what="the pointer to freed memory")
    hints = Hints(left, doers, footprints, prints, copies, section, asked)
    if freed is None:
        return unfound_finding(fault, steps, followers, flow, hints, modules, _REFINED)
    ranking = rank(freed, followers, flow, backtrace, hints)
    return object_finding(fault, steps, freed, ranking, pattern, hints, modules, _REFINED)


def _met(
    fault: Fault, report: ListReport | Missing, flow: DataFlow | Missing, pattern: str | None
) -> list[Step]:
    """The proof from the fault to what was read from freed memory."""
    steps = [fault_step(fault)]
    if isinstance(report, ListReport):
        steps.append(Step(f"the list check reported: {report.text.text}", (report.text,)))
    if isinstance(flow, DataFlow):
        steps.extend(flow_steps(flow))
    if pattern is not None:
        steps.append(Step(pattern, steps[-1].because))
    return steps


_REFINED = (
    "null_dereference",
    "wild_pointer",
    "bad_function_pointer",
    "list_corruption",
    "refcount_error",
    "error_pointer",
    "user_pointer",
)
_OF_COPIES = ("buffer_overflow", "bug_on")
"""Rules that find the kernel's check of a copy as well."""
