"""A linked list was broken.

Finds
    The kernel's list check (CONFIG_DEBUG_LIST) stopped at an entry whose neighbours do not point
    back to it, or code followed the poison that ``list_del()`` leaves in an entry.

Why it happens
    An entry is deleted or added twice, used after it was deleted, changed without the lock, or the
    memory it lies in was overwritten.

How it is decided
    The check's own report in the log is read: which operation, which pointer, what it held.
    ``LIST_POISON1`` and ``LIST_POISON2`` mean that the entry had been deleted before. Without the
    check, an access at these addresses means the same. Where the neighbour that is wrong is well
    linked at another place, it was added there while it was on this list; so it was where an entry
    had been deleted and the list leads to it still, from both sides. Blamed is the function that
    adds there and neither takes off nor allocates, of several the one that does so on all of its
    ways, whatever the entry says. Where neither the first nor the last entry leads back to the head
    to which something was added, who moves all entries of a list away and does not empty its head
    comes first. An entry that leads to itself while its neighbours lead to it was set up again: who
    does that to what it has not made comes first; so does who sets up a wait queue or lock again
    whose head is empty while an entry leads to it. Where neighbours do not agree, who changes lists
    and takes no lock, as others of the module do, comes first. So does who sets up work items that
    are there already, where a worker took one off a queue that by its own state is on none, or the
    check found such an item wrong; and who has a timer set up that may be pending, where the poison
    is in one. Of other lists (packets, hash chains) the store of a deletion tells that goes by a
    NULL link, or the poison that is in what a chain still leads to: if a list led to that entry,
    first comes who moves all entries away and leaves a head leading to them, who changes lists
    without the others' lock, who only adds; else who took it off.

When it is wrong
    The function on the stack found the list broken; a list broken by overwriting was broken
    elsewhere. Only where the entry had been deleted or added before is the mistake itself shown;
    else the verdict is *possible*. Which of two deletions is one too many stays open unless only
    one function of the module deletes, and no other of it had called that; but where the object has
    not the state that this one leaves, those come first that take off and leave it so; which of two
    additions always. An entry whose pointer is NULL was wiped: who fills memory in use with zeros
    comes first. Where the list leads to the same place of another such object, that was copied with
    its list's head. A head with NULL for a pointer was never set up: of the functions that make
    what has it, those come first that do not, then who sets up such. An entry that is on two lists
    may also have been freed while it was on the first, and allocated again.

Example
    ``list_del corruption, ffff888003400000->next is LIST_POISON1``: deleted twice.

Look next
    ``list`` from the head, ``rd`` of the entry; all places that delete from this list.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
    reference_step,
    where,
)
from oopsight.diagnosis.doers import copiers
from oopsight.diagnosis.never_set_up import never_set_up, should_have_set_up
from oopsight.diagnosis.off_list import off_list_finding
from oopsight.diagnosis.requeued import requeued_finding
from oopsight.evidence import Missing
from oopsight.evidence.corruption.empty_head import EmptyHead
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.off_list import OffList
from oopsight.evidence.corruption.requeued_work import RequeuedWork
from oopsight.evidence.corruption.set_up_again import SetUpAgain
from oopsight.evidence.corruption.stale_head import StaleHead
from oopsight.evidence.corruption.taken_off_before import TakenOffBefore
from oopsight.evidence.corruption.two_lists import TwoLists
from oopsight.evidence.corruption.unlocked import Unlocked
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name

_POISON = "LIST_POISON"


def _words(report: ListReport) -> tuple[str, Depth]:
    """What the report means."""
    entry = report.entry("entry")
    who = f"entry {entry.owner.address}" if entry else "the entry"
    if report.poison is not None:
        return f"{who} had been deleted from its list before", Depth.ROOT_CAUSE
    if report.double_add:
        return f"{who} was on the list already when it was added", Depth.ROOT_CAUSE
    was, should = report.entry("was"), report.entry("should")
    if report.field and was and should:
        held = "NULL" if was.owner.address == 0 else str(was.owner.address)
        return (
            f"{report.field} should have been {should.owner.address} and was {held} "
            f"({was.owner.detail})",
            Depth.MECHANISM,
        )
    if report.field is not None and was is None:
        return f"{who} is on no list: its pointer {report.field} is NULL", Depth.MECHANISM
    return "the neighbours of the entry do not point to it", Depth.MECHANISM


def _other_list(twice: TwoLists) -> str:
    name = f" {where(twice.head, twice.module)}" if twice.head else ""
    if twice.deleted:
        return (
            f"entry {twice.entry.address} had been deleted, and the list{name} leads to it still, "
            "from both sides: it had been added again while it was there"
        )
    return (
        f"entry {twice.entry.address} is linked into another place, of the list{name}, although "
        "its neighbours of before still lead to it"
    )


def _adders(twice: TwoLists | Missing) -> list[Culprit]:
    """Who adds to the list where the entry is now without taking it off anywhere."""
    if isinstance(twice, Missing):
        return []
    why = f"adds to {twice.head or 'that list'} and takes off no other: list_move() does both"
    return [Culprit(twice.module, name, None, None, why) for name in twice.adders]


def _splicers(twice: TwoLists | Missing, stale: StaleHead | Missing) -> list[Culprit]:
    """Who moves all entries of a list away, and leaves its head leading to them."""
    why = "moves a list's entries to another and leaves its head leading to them: "
    why += "list_splice_init() empties it"
    found: list[Culprit] = []
    if isinstance(twice, TwoLists):
        found += [Culprit(twice.module, name, None, None, why) for name in twice.splicers]
    if isinstance(stale, StaleHead):
        found += [Culprit(stale.module, name, None, None, why) for name in stale.functions]
    return found


def _owners(report: ListReport | Missing, modules: Modules | Missing) -> list[Culprit]:
    """The modules whose entries are on a list that functions of the kernel found broken."""
    if isinstance(report, Missing) or isinstance(modules, Missing):
        return []
    foreign = {module.name for module in modules.loaded if module.taints}
    found: list[Culprit] = []
    for entry in report.entries:
        slab = entry.owner.slab
        names = [entry.owner.module, *(one.module for one in (slab.refers if slab else ())[:1])]
        why = f"the entry {entry.owner.address} is its own"
        found.extend(Culprit(name, None, None, None, why) for name in names if name in foreign)
    return merge(found)


def _took_off_before(before: TakenOffBefore | Missing, backtrace: Backtrace) -> list[Culprit]:
    """Who can have left the entry as it is, where the one that did the same again cannot."""
    if isinstance(before, Missing):
        return []
    own = (frame for frame in backtrace.blamable if frame.module == before.module)
    worked = {base_name(frame.function) for frame in own}
    if worked & {*before.functions}:
        return []
    does = "adds such entries to lists" if before.added else "takes such entries off"
    why = f"{does}, and leaves the object as it is"
    return [Culprit(before.module, name, None, None, why) for name in before.functions]


def _wipers(report: ListReport | Missing, doers: Doers | Missing) -> list[Culprit]:
    """Who fills memory in use with zeros, where that is what an entry holds."""
    if isinstance(report, Missing) or isinstance(doers, Missing):
        return []
    if report.field is None or report.poison is not None:
        return []
    was = report.entry("was")
    if was is not None and was.owner.address:
        return []
    why = "fills memory in use with zeros, and the entry's pointer is NULL"
    return [Culprit(doers.module, name, None, None, why) for name in doers.wipes]


def _head_copiers(report: ListReport | Missing, doers: Doers | Missing) -> list[Culprit]:
    """Who copies objects with a list's head in them, where the list leads to the head's double."""
    if isinstance(report, Missing):
        return []
    was, should = report.entry("was"), report.entry("should") or report.entry("next")
    one, other = (entry.owner.slab if entry else None for entry in (was, should))
    if was is None or should is None or one is None or other is None:
        return []
    alike = one.cache_address == other.cache_address and one.address != other.address
    return copiers(doers, other) if alike and was.owner.offset == should.owner.offset else []


def _set_up_again(again: SetUpAgain | Missing) -> list[Culprit]:
    """Who sets up entries that are there already, where one on a list leads to itself."""
    if isinstance(again, Missing):
        return []
    why = "sets such entries up, whether they are on a list or not"
    if again.pending:
        why = "has what is there set up again, whether it is pending or not"
    elif again.head:
        why = "sets the head up, whether entries lead to it or not"
    return [Culprit(again.module, name, None, None, why) for name in again.functions]


def _leads_to_itself(again: SetUpAgain) -> str:
    if again.pending:
        return f"what is at {again.entry.address} was deleted, and the kernel still comes to it"
    if again.head:
        return f"the head {again.entry.address} is that of an empty list, and an entry leads to it"
    return f"entry {again.entry.address} leads to itself, and its neighbours lead to it"


def _without_lock(unlocked: Unlocked | Missing) -> list[Culprit]:
    """Who changes such lists and takes no lock, as others do."""
    if isinstance(unlocked, Missing):
        return []
    why = f"changes lists and takes no lock, as {', '.join(unlocked.locked[:2])} does"
    return [Culprit(unlocked.module, name, None, None, why) for name in unlocked.functions]


def _alone(report: ListReport | Missing, doers: Doers | Missing, culprits: list[Culprit]) -> bool:
    """Whether nobody else can have done what makes this deletion the one too many."""
    if isinstance(report, ListReport) and report.double_add:
        return False  # whoever added it before may have had to take it off
    if isinstance(doers, Missing) or not culprits or culprits[0].module != doers.module:
        return False
    return all(name == culprits[0].function for name in doers.unlinks)


def _called(culprits: list[Culprit], backtrace: Backtrace) -> bool:
    """Whether who worked on the list was called by its own module, which may be to blame for it."""
    frames = [frame for frame in backtrace.blamable if not frame.inline]
    first = culprits[0] if culprits else None
    own = [frame for frame in frames if first is not None and frame.module == first.module]
    return first is not None and first.module is not None and len(own) > 1


def list_corruption(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    twice: TwoLists | Missing,
    modules: Modules | Missing,
    doers: Doers | Missing,
    unlocked: Unlocked | Missing,
    again: SetUpAgain | Missing,
    head: EmptyHead | Missing,
    requeued: RequeuedWork | Missing,
    stale: StaleHead | Missing,
    off: OffList | Missing,
    before: TakenOffBefore | Missing,
) -> Finding | Clear:
    """Decide whether a list is broken."""
    if isinstance(off, OffList) and (off.explained or not off.poisoned):
        return off_list_finding(fault, backtrace, flow, off, modules)
    if isinstance(requeued, RequeuedWork):
        return requeued_finding(fault, requeued, modules)
    poisoned = (
        isinstance(flow, DataFlow) and flow.bad is not None and _POISON in flow.bad.detail
        and flow.subject == "operand"
    )  # fmt: skip
    if not isinstance(report, ListReport) and not poisoned:
        return Clear("no list check reported, and the bad value is no list poison")
    steps, meaning, depth = _proof(fault, flow, report, head, again, twice)
    spliced = _splicers(twice, stale)
    without = _without_lock(unlocked)
    added = [] if spliced else _adding(twice, without)
    brought = flow_culprits(flow, backtrace, what="the entry")
    worked = frame_culprits(backtrace, "worked on the list when it was found broken")
    # Who adds what it is handed is not to blame for that.
    twice_there = isinstance(report, ListReport) and report.double_add
    culprits = merge(
        spliced or added,
        should_have_set_up(head, doers),
        _wipers(report, doers),
        _head_copiers(report, doers),
        _set_up_again(again),
        without,
        _took_off_before(before, backtrace),
        *((brought, worked) if twice_there else (worked, brought)),
    )
    own = any(culprit.module for culprit in culprits)
    owners = [] if own else _owners(report, modules)
    culprits = merge(owners, culprits)
    blamed = blamed_first(culprits, fault.function)
    # That the list is broken is shown; who broke it only where the entry tells it itself.
    certainty, of_cause = Certainty.POSSIBLE, None
    if added:
        only = isinstance(twice, TwoLists) and twice.only
        certainty = Certainty.INFERRED if only else Certainty.POSSIBLE
    if depth is Depth.ROOT_CAUSE and not owners:
        told, of_cause = _told_by_entry(culprits, backtrace, report, doers, again)
        certainty = certainty if added else told
    does = _does(again, head, added=bool(added), spliced=bool(spliced))
    return Finding(
        title=f"list corruption in {blamed}",
        summary=f"{blamed} {does}: {meaning}.",
        certainty=certainty,
        cause_certainty=of_cause,
        depth=Depth.ROOT_CAUSE if added or spliced else depth,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Find all code that adds to and deletes from this list, and whether the same lock is "
            "held in each; list_del_init() and list_empty() make a second deletion harmless.",
        ),
        refines=("wild_pointer",),
    )


def _adding(twice: TwoLists | Missing, without: list[Culprit]) -> list[Culprit]:
    """Who adds to a list what is on another; two that add at once leave what looks like that.

    :param without: who works on the list without the lock that others hold
    """
    added = _adders(twice)
    names = {one.function for one in added} if len(added) > 1 else set()
    return merge([one for one in without if one.function in names], added)


def _told_by_entry(
    culprits: list[Culprit],
    backtrace: Backtrace,
    report: ListReport | Missing,
    doers: Doers | Missing,
    again: SetUpAgain | Missing,
) -> tuple[Certainty, Certainty | None]:
    """How sure it is who broke the list, and of the cause by itself, where the entry tells that."""
    if isinstance(again, SetUpAgain) and again.pending:
        return Certainty.POSSIBLE, None  # what it is in may have been freed
    if _called(culprits, backtrace) or not _alone(report, doers, culprits):
        # Which of two deletions, or additions, is the one too many is open.
        return Certainty.POSSIBLE, Certainty.SHOWN
    return Certainty.SHOWN, None


def _proof(
    fault: Fault,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    head: EmptyHead | Missing,
    again: SetUpAgain | Missing,
    twice: TwoLists | Missing,
) -> tuple[list[Step], str, Depth]:
    """The steps, what they mean in words, and how close to the cause that is."""
    steps = [fault_step(fault)]
    unset = never_set_up(head) if isinstance(head, EmptyHead) else []
    brought = flow_steps(flow) if isinstance(flow, DataFlow) else []
    if isinstance(report, Missing):
        meaning = "an entry was used after it had been deleted from its list"
        if isinstance(again, SetUpAgain):
            meaning = _leads_to_itself(again)
        steps += [*unset, *brought, Step(meaning, steps[0].because)]
        return steps, meaning, Depth.ROOT_CAUSE
    steps.append(Step(f"the list check reported: {report.text.text}", (report.text,)))
    meaning, depth = _words(report)
    if isinstance(head, EmptyHead):
        meaning = "the list's head has NULL for a pointer, as one that was never set up"
    objects: list[BytesPointer] = []
    for entry in report.entries:
        slab = entry.owner.slab
        if slab is not None and slab.head is not None and entry.role != "should":
            objects.append(slab.head)
            owned = reference_step(slab)
            steps += [owned] if owned is not None else []
    steps.append(Step(meaning, (report.text, *objects[:1])))
    if isinstance(again, SetUpAgain):
        meaning = _leads_to_itself(again)
        steps.append(Step(meaning, (again.memory,)))
    if isinstance(twice, TwoLists):
        meaning = _other_list(twice)
        steps.append(Step(meaning, (twice.from_entry, twice.back)))
    return [*steps, *unset, *brought], meaning, depth


def _does(
    again: SetUpAgain | Missing, head: EmptyHead | Missing, *, added: bool, spliced: bool
) -> str:
    """What the one to blame did, or can have done."""
    if added:
        return "added an entry to a list while it was on another, or elsewhere on the same"
    if spliced:
        return "can have moved the entries away, and left the list's head leading to them"
    if isinstance(head, EmptyHead):
        return "makes what has a list's head, sets up such or fills it with zeros"
    if isinstance(again, SetUpAgain):
        what = "a list's head that was in use" if again.head else "an entry that was on a list"
        what = "what was pending" if again.pending else what
        return f"can have set up {what}"
    return "worked on a list that is broken"
