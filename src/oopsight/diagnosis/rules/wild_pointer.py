"""A pointer held nonsense.

Finds
    Code follows a value that is no address of any object: neither NULL, nor an error code, nor a
    user's pointer, nor memory that is known to have been freed.

Why it happens
    A variable is used before it is set, an object is read as another type, memory was overwritten,
    or an index ran far out of its array.

How it is decided
    The fault's address is not canonical, or it is one at which nothing is mapped and which belongs
    to nothing that is known, or near NULL, of a number other than zero; more special rules have
    found nothing. Where it was read from, and whether that still holds it, comes from the data
    flow. Where the pointer is right and an index or bit number leads out of what it points to, the
    index is followed instead. Who wrote an index to memory that led out of its table comes before
    who used it; so does who put another table there and left the index as it was, if the module
    compares that with anything. A callback is blamed whose object has another such member, from
    which a pointer lies as far as the nonsense lies from its own; and who gave a callback a place
    within an object, where a pointer lies as far from the beginning of that, or the member of
    another kind of object than others give it. Of an object whose operations are another module's,
    whoever was asked whose it is comes first, then who had it from the kernel and took it for one
    of its own; so does who takes the head of a list for one of its entries. A function of the
    module that stores by an index comes first if what it compares that with lets pass a number with
    which the element lies where the pointer was; and who took a file's ``private_data`` for its own
    object where ``seq_open()`` had put a ``seq_file`` there. Before these comes of whose access out
    of bounds the kernel had complained, and lived on.

When it is wrong
    That the pointer is bad is shown; why is not, so the verdict is *possible*, unless the value is
    the pattern of memory that was never written. Memory that was freed and given to somebody else
    since looks the same, where nothing shows whose it is now.

Example
    ``struct entry *e;`` without a value, followed in an error path.

Look next
    ``kmem`` and ``rd`` of the address where the pointer was kept; who else writes there.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    casts_first,
    fault_step,
    flow_culprits,
    flow_steps,
    head_taken,
    innocent,
    merge,
    out_of_bounds_first,
    owners_first,
    strays_first,
    taken_for_another,
    taken_for_own,
    where,
    writers_first,
)
from oopsight.diagnosis.doers import makers_that_omit, storers_of_numbers
from oopsight.diagnosis.index_overflow import changers_first, table_step
from oopsight.diagnosis.places import chosen_by
from oopsight.evidence import Missing
from oopsight.evidence.corruption.beyond_table import BeyondTable
from oopsight.evidence.corruption.head_taken import HeadTaken
from oopsight.evidence.corruption.seq_file_taken import SeqFileTaken
from oopsight.evidence.corruption.stray_stores import StrayStores
from oopsight.evidence.corruption.taken_for_own import TakenForOwn
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.corruption.wrong_member import WrongMember
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.complaints import Complaints
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, STACK_SEGMENT, Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.modules import Modules

_NEVER_WRITTEN = "POISON_INUSE"
_NONSENSE = ("non-canonical", "unknown", "user", "vmalloc-hole", "poison")


def wild_pointer(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    modules: Modules | Missing,
    text: TextWriters | Missing,
    index: IndexWriters | Missing,
    doers: Doers | Missing,
    member: WrongMember | Missing,
    strays: StrayStores | Missing,
    taken: TakenForOwn | Missing,
    seq: SeqFileTaken | Missing,
    complaints: Complaints | Missing,
    beyond: BeyondTable | Missing,
    entry: HeadTaken | Missing,
) -> Finding | Clear:
    """Decide whether a pointer is nonsense."""
    if fault.exception not in (PAGE_FAULT, GENERAL_PROTECTION, STACK_SEGMENT):
        return Clear("it was not an access to memory that failed")
    bad = flow.bad
    if flow.subject == "index" and bad is not None:
        return _index(fault, backtrace, flow, bad, modules, index, beyond)
    if flow.subject != "operand" or bad is None:
        return Clear("it was not an access through a pointer to data")
    numbers = storers_of_numbers(doers, int(bad.address))
    known = bad.kind in _NONSENSE or (bad.kind == "other-user" and numbers)
    if not known and not _small_number(flow, bad):
        return Clear(f"{bad.address} is {bad.kind}: {bad.detail}")
    steps = [fault_step(fault), *flow_steps(flow)]
    steps.append(Step(f"{bad.address} is no pointer: {bad.detail}", steps[0].because))
    found = flow_culprits(flow, backtrace, what="the bad pointer")
    culprits = chosen_by(writers_first(owners_first(found, flow, modules), text), index, steps)
    unset = makers_that_omit(doers)
    culprits = casts_first(strays_first(culprits, strays, steps), seq, steps)
    culprits = out_of_bounds_first(culprits, complaints, steps)
    mistaken = merge(
        taken_for_another(member, steps), taken_for_own(taken, steps), head_taken(entry, steps)
    )
    culprits = merge(mistaken, numbers, unset, culprits)
    way = flow.first
    changed = ""
    if way.changed:
        changed = " The memory has changed since it was read: somebody wrote to it meanwhile."
    kept = f" It was read from {way.name}." if way.name else ""
    never_written = _NEVER_WRITTEN in bad.detail
    blamed = where(fault.function, fault.module)
    return Finding(
        title=f"wild pointer followed in {fault.function}",
        summary=f"{blamed} followed {bad.address}, which is no pointer.{kept}{changed}",
        # That it is bad is shown; why it is bad is not: each more special cause would look so too
        # where its trace is lost.
        certainty=Certainty.INFERRED if never_written and not unset else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if never_written and unset else None,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Find who sets the pointer, and whether all ways to its use pass there; a kernel built "
            "with KASAN, or booted with slub_debug=FZPU, tells who overwrites it.",
        ),
    )


def _small_number(flow: DataFlow, bad: Owner) -> bool:
    """Whether a number other than zero was read where a pointer should be, and is near NULL."""
    end = flow.first.end
    loaded = flow.first.ended == "loaded" and end is not None and bool(end.value)
    return loaded and bad.kind == "null"


def _index(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow,
    bad: Owner,
    modules: Modules | Missing,
    index: IndexWriters | Missing,
    beyond: BeyondTable | Missing,
) -> Finding:
    """The pointer is right, and the index or bit number leads out of what it points to."""
    way = flow.first
    number = way.index.value if way.index is not None else way.value
    value = "an index that is not known" if number is None else f"{number} as an index"
    steps = [fault_step(fault), *flow_steps(flow, 1)]
    steps.append(Step(f"it led to {bad.address}: {bad.detail}", steps[0].because))
    steps += [table_step(beyond)] if isinstance(beyond, BeyondTable) else []
    used = changers_first(flow_culprits(flow, backtrace, what="the index"), beyond)
    culprits = chosen_by(used, index, steps)
    given = " It came with the system call." if way.from_user else ""
    return Finding(
        title=f"index out of range in {fault.function}",
        summary=f"{where(fault.function, fault.module)} used {value}, which led to {bad.address}: "
        f"{bad.detail}.{given}",
        certainty=Certainty.INFERRED if way.from_user else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=("Compare the index with the number of elements before it is used.",),
    )
