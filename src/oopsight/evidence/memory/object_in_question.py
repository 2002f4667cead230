"""Which object's memory went wrong: freed and in use, given to somebody else, or run over.

Not a fact by itself: :mod:`oopsight.evidence.memory.object_users` asks it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Missing
from oopsight.evidence.corruption.freelist_overrun import freelist_overrun
from oopsight.evidence.corruption.head_overrun import among_others, head_overrun
from oopsight.evidence.corruption.list_holder import list_holder
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.overrun import Overrun, overrun_of, run_within
from oopsight.evidence.corruption.text_behind import text_behind
from oopsight.evidence.corruption.text_writers import letters
from oopsight.evidence.corruption.two_lists import TwoLists
from oopsight.evidence.corruption.written_over import written_over
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, Fault
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import Owner, SlabObject, owner_of
from oopsight.evidence.modules.field_keys import field_key
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.anothers import Anothers, anothers, has_it_now
from oopsight.evidence.use_after_free.armed_writer import armed_writer
from oopsight.evidence.use_after_free.claims import owner_of_object
from oopsight.evidence.use_after_free.dead_workqueue import delayed_on, is_dead
from oopsight.evidence.use_after_free.ended_thread import ended_thread
from oopsight.evidence.use_after_free.free_link import read_while_free, still_linked
from oopsight.evidence.use_after_free.fresh_entry import fresh_on_list
from oopsight.evidence.use_after_free.handler_object import freed_work, given_away, running_object
from oopsight.evidence.use_after_free.reused import refilled as refilled_object
from oopsight.evidence.use_after_free.reused import reused as reused_object
from oopsight.evidence.use_after_free.stale_entry import stale_entry
from oopsight.evidence.use_after_free.stale_holder import stale_holder
from oopsight.evidence.use_after_free.stale_tasklet import stale_tasklet
from oopsight.evidence.use_after_free.unmade import unmade
from oopsight.plumbing.mechanisms import ALLOCATOR
from oopsight.session import Session

_READ_FROM = "the bad pointer was read from it"
_WORD = 8
_DESTROYS = ("destroy_workqueue",)
_Ran = tuple[str, SlabObject, Overrun]
"""What an object is to the crash, the object, and what ran over it."""


@dataclass(frozen=True)
class InQuestion:
    """An object, and what is asked about it."""

    question: str
    """As in :class:`~oopsight.evidence.memory.object_users.ObjectUsers`."""
    role: str
    object: SlabObject
    overrun: Overrun | None = None
    like_it: SlabObject | None = None
    """One that is whose the object was."""
    foreign: Anothers | None = None
    """Whose it was, of an object that is another's now."""
    has_it: str | None = None
    """The module whose it is now."""
    place: int | None = None
    """Where in it the kernel still had what a module had registered, if only that is known."""
    running: int | None = None
    """Where in it the timer or work item is for which a handler was running."""
    freed_by: tuple[str, ...] = ()
    """Functions of the kernel by which alone it can have been freed, where that is known."""
    doubted: bool = False
    """Whether it counts only where somebody frees such and leaves a member of it with others."""

    @property
    def subject(self) -> SlabObject:
        """The object whose users are asked for: whose it was tells the entry before it."""
        return self.overrun.before if self.overrun is not None else self.like_it or self.object


def in_question(
    session: Session,
    modules: Modules,
    flow: DataFlow | None,
    report: ListReport | None,
    backtrace: Backtrace | Missing,
    fault: Fault | Missing,
    task: CrashedTask | Missing,
    twice: TwoLists | Missing,
) -> InQuestion | None:
    """Find the object that was freed or overwritten."""
    reused = given_away(session, flow) or read_while_free(session, flow)
    if reused is not None:
        return InQuestion("reused", *reused)
    ended = ended_thread(session, modules, flow)
    if ended is not None:
        return InQuestion("freed" if ended[1].freed else "reused", *ended)
    stale = stale_tasklet(session, modules, flow)
    if stale is not None:
        return _tasklet(*stale)
    both = reused_object(session, modules, flow)
    if both is not None:
        return InQuestion("reused", both.role, both.object, has_it=both.owner)
    ran = _overran(session, modules, flow)
    if ran is None and _in_allocator(backtrace) and not isinstance(fault, Missing):
        cpu = 0 if isinstance(task, Missing) else task.cpu
        ran = freelist_overrun(session, modules, fault, cpu)
        armed = armed_writer(session, modules, fault, cpu) if ran is None else None
        if armed is not None:
            return _refilled(armed)
    if ran is None and report is not None:
        ran = _overran_list(session, modules, report)
    path = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    on_path = [frame.module or "" for frame in path]
    if ran is None:
        ran = _overran_entry(session, modules, flow, on_path)
    if ran is None:
        ran = _overran_somewhere(session, modules, flow)
    again = _anothers(session, modules, flow, ran, on_path)
    if again is not None:
        return again
    if ran is not None:
        return InQuestion("overrun", *ran)
    return (
        _free(session, modules, flow, report)
        or _made_anew(twice)
        or _by_place(session, modules, flow)
        or _unmade(session, modules, flow, backtrace)
    )


def with_handler(
    found: InQuestion | None,
    session: Session,
    modules: Modules,
    backtrace: Backtrace | Missing,
    fault: Fault | Missing,
    task: CrashedTask | Missing,
) -> InQuestion | None:
    """The same, with whether a handler was running for it; where none is found, that one's."""
    if isinstance(backtrace, Missing) or isinstance(fault, Missing) or isinstance(task, Missing):
        return found
    if fault.exception not in (PAGE_FAULT, GENERAL_PROTECTION):
        return found
    running = running_object(session, modules, backtrace, task.cpu)
    if running is None:
        return found or _delayed_work(session, modules, backtrace, task.cpu)
    role, one, place = running
    question = "freed" if one.freed else "reused"
    its = InQuestion(question, role, one, place=place, running=place)
    if found is None:
        return its
    if one.address != found.object.address:
        return found
    if found.overrun is not None:
        # All that is in it is another's, if that began in it.
        return its if found.overrun.within else found
    return replace(found, running=place)


def _tasklet(role: str, one: SlabObject, place: int, foreign: Anothers | None) -> InQuestion:
    """An object with a scheduled tasklet in it that is free, or another's."""
    if foreign is None:
        return InQuestion("freed", role, one, place=place)
    return InQuestion("refilled", role, one, foreign=foreign, has_it=foreign.owner, place=place)


def _refilled(foreign: Anothers) -> InQuestion:
    """An object that is another module's by now."""
    return InQuestion(
        "refilled", foreign.role, foreign.object, foreign=foreign, has_it=foreign.owner
    )


def _unmade(
    session: Session, modules: Modules, flow: DataFlow | None, backtrace: Backtrace | Missing
) -> InQuestion | None:
    """An object that is reached as one that it is not any more."""
    path = backtrace if isinstance(backtrace, Backtrace) else None
    met = unmade(session, modules, flow, path)
    return None if met is None else InQuestion("refilled", *met)


def _anothers(
    session: Session,
    modules: Modules,
    flow: DataFlow | None,
    ran: _Ran | None,
    on_path: list[str],
) -> InQuestion | None:
    """An object that was freed, and is somebody else's by now.

    :param ran: what seems to have run over it: within it, that may be what its owner has there, and
        so may what goes on from another object of its owner
    :param on_path: names of the modules on the crash path
    """
    foreign = anothers(session, modules, flow, on_path) or stale_holder(session, modules, flow)
    if foreign is not None and (
        ran is None
        or ran[2].within
        or owner_of_object(session, modules, ran[2].before) == foreign.owner
    ):
        return _refilled(foreign)
    if ran is not None and not _from_the_beginning(ran):
        return None
    refilled = refilled_object(session, flow)
    if refilled is None:
        return None
    owner = has_it_now(session, modules, flow, refilled[1])
    return InQuestion("refilled", *refilled, has_it=owner)


def _free(
    session: Session, modules: Modules, flow: DataFlow | None, report: ListReport | None
) -> InQuestion | None:
    """An object that is free, or was when it came to be met."""
    dead = _dead_workqueue(session, flow)
    if dead is not None:
        return dead
    fresh = fresh_on_list(session, modules, flow, report)
    freed = (
        _freed(flow, report, fresh)
        or still_linked(session, flow)
        or _read_through(session, modules, flow)
        or freed_work(session, modules, flow)
    )
    if freed is None:
        return None
    if freed == fresh:
        return InQuestion("listed", *freed)
    return InQuestion("freed" if freed[1].freed else "reused", *freed)


def _made_anew(twice: TwoLists | Missing) -> InQuestion | None:
    """An entry on two lists, where those who add there have allocated what they add.

    Who allocated it anew added it, while its memory was on the list since its former life.
    """
    if isinstance(twice, Missing) or twice.deleted or twice.splicers or not twice.makers:
        return None
    slab = twice.entry.slab
    if slab is None or slab.freed:
        return None
    role = "its memory was still on the list when it was allocated again, and added to one"
    return InQuestion("listed", role, slab, doubted=True)


def _dead_workqueue(session: Session, flow: DataFlow | None) -> InQuestion | None:
    """A workqueue that the kernel does not know any more, free by now or not."""
    if flow is None or flow.subject != "argument" or flow.checker is None:
        return None
    slab = flow.bad.slab if flow.bad is not None else None
    if flow.bad is None or slab is None:
        return None
    if not is_dead(session, flow.checker, int(flow.bad.address)):
        return None
    role = f"{flow.checker} was handed it as a workqueue, and it had been destroyed"
    return InQuestion("freed", role, slab, freed_by=_DESTROYS)


def _delayed_work(
    session: Session, modules: Modules, backtrace: Backtrace, cpu: int
) -> InQuestion | None:
    """A workqueue that was destroyed before the timer of a delayed work for it had expired."""
    queue = delayed_on(session, backtrace, cpu)
    slab = owner_of(session, modules, queue).slab if queue is not None else None
    if slab is None:
        return None
    role = "a delayed work's timer was to queue it on this workqueue, which had been destroyed"
    question = "freed" if slab.freed else "refilled"
    return InQuestion(question, role, slab, freed_by=_DESTROYS)


def _by_place(session: Session, modules: Modules, flow: DataFlow | None) -> InQuestion | None:
    """An object that went wrong, by what is before it on its list or beside it in memory."""
    stale = stale_entry(session, flow)
    if stale is not None:
        role, one, before = stale
        overrun = head_overrun(session, modules, one, before)
        if overrun is not None:
            return InQuestion("overrun", _READ_FROM, one, overrun)
        return InQuestion("refilled", role, one, like_it=before)
    damaged = _damaged_head(session, modules, flow)
    return InQuestion("overrun", *damaged) if damaged is not None else None


def _freed(
    flow: DataFlow | None, report: ListReport | None, fresh: tuple[str, SlabObject] | None
) -> tuple[str, SlabObject] | None:
    """The object that is free and in use, and what it is to the crash.

    :param fresh: one that was on a list when it was allocated again
    """
    for number, way in enumerate(flow.ways[:2] if flow and not _handed_good(flow) else ()):
        held = way.held_in
        # A pointer that leads to memory in use was good: what held it may have been freed since.
        if number and flow is not None and (way.index is not None or _in_use(flow.first.held_in)):
            continue
        if held is not None and held.slab is not None and held.slab.freed:
            what = "the bad pointer" if number == 0 else "the pointer to it"
            return f"{what} was read from it", held.slab
    if flow is not None and flow.subject == "argument" and flow.checker is not None:
        slab = flow.bad.slab if flow.bad else None
        if slab is not None and slab.freed:
            return f"it was handed to {flow.checker}", slab
    if fresh is not None:
        return fresh
    for entry in report.entries if report else ():
        slab = entry.owner.slab
        if slab is not None and slab.freed and entry.role in ("prev", "next", "entry", "was"):
            return "it is on the list", slab
    return None


def _read_through(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject] | None:
    """The free object through whose address the pattern of freed memory was read.

    For a load of which only the pointer is known, and not the index.
    """
    if flow is None or flow.bad is None or flow.bad.kind != "poison" or len(flow.ways) < 2:
        return None
    value = flow.ways[1].value
    if flow.first.held_in is not None or value is None:
        return None
    slab = owner_of(session, modules, int(value)).slab
    return None if slab is None or not slab.freed else ("the bad pointer was read from it", slab)


def _handed_good(flow: DataFlow) -> bool:
    """Whether what was handed on is memory in use: where the pointer was kept is no matter.

    A kernel thread has its argument from memory that is always freed once the thread runs; who
    frees all parts of an object may have freed what held the pointer to a variable.
    """
    variable = flow.bad is not None and flow.bad.kind in ("module", "kernel")
    return _in_use(flow.bad) and (
        flow.subject == "argument" or (flow.subject == "freed" and variable)
    )


def _in_use(owner: Owner | None) -> bool:
    return (
        owner is not None and owner.is_memory and not (owner.slab is not None and owner.slab.freed)
    )


def _overran_list(session: Session, modules: Modules, report: ListReport) -> _Ran | None:
    """An object whose list pointer, which the list check found wrong, was run over."""
    role, _, pointer = (report.field or "").partition("->")
    entry, was = report.entry(role), report.entry("was")
    if entry is None or was is None or entry.owner.slab is None or entry.owner.slab.freed:
        return None
    if was.owner.is_memory or was.owner.kind == "null":
        return None
    one, field = entry.owner.slab, int(entry.owner.address) + (8 if pointer == "prev" else 0)
    found = (
        overrun_of(session, modules, one, field)
        or run_within(session, one, field, int(one.address))
        or written_over(session, modules, one, field, None)
    )
    return None if found is None else ("its list pointer was found wrong", one, found)


def _overran_entry(
    session: Session, modules: Modules, flow: DataFlow | None, on_path: list[str]
) -> _Ran | None:
    """An entry of a list that leads to the bad pointer, of which nothing tells whence it came."""
    if flow is None or flow.subject != "operand" or flow.first.held_in is not None:
        return None
    bad = flow.bad
    if bad is None or bad.is_memory or bad.kind in ("null", "error-pointer"):
        return None
    held = list_holder(session, modules, on_path, int(bad.address))
    if held is None or held.slab is None or held.slab.freed:
        return None
    one, field = held.slab, int(held.address)
    found = overrun_of(session, modules, one, field) or written_over(
        session, modules, one, field, None
    )
    return None if found is None else ("its list pointer leads nowhere", one, found)


def _overran_somewhere(session: Session, modules: Modules, flow: DataFlow | None) -> _Ran | None:
    """What lies behind an object of a module, and holds a text that was met as a pointer."""
    if flow is None or not flow.of_a_pointer or flow.first.held_in is not None:
        return None
    value = flow.first.end.value if flow.first.end is not None else flow.first.value
    if value is None or not letters(int(value)):
        return None
    for at in text_behind(session, modules, int(value)):
        one = owner_of(session, modules, at).slab
        found = overrun_of(session, modules, one, at) if one is not None else None
        if one is not None and found is not None and not one.freed:
            return "it may have held the bad pointer", one, found
    return None


def _overran(session: Session, modules: Modules | None, flow: DataFlow | None) -> _Ran | None:
    if flow is None or flow.first.end is None or flow.first.end.memory is None:
        return None
    for way in flow.ways[:2]:
        held, end = way.held_in, way.end
        if held is None or held.slab is None or end is None or end.memory is None:
            continue
        found = overrun_of(session, modules, held.slab, int(held.address))
        if found is not None:
            return _READ_FROM, held.slab, found
    way, kept = flow.first, flow.ways[1] if len(flow.ways) > 1 else None
    held = way.held_in
    if held is None or held.slab is None or held.slab.freed or not flow.of_a_pointer:
        return None
    # A pointer to memory is what it was to be.
    if flow.bad is None or flow.bad.is_memory or flow.bad.kind in ("null", "error-pointer"):
        return None
    at = kept.held_in.address if kept is not None and kept.held_in is not None else None
    found = run_within(session, held.slab, int(held.address), _base(way, held)) or written_over(
        session, modules, held.slab, int(held.address), at
    )
    return None if found is None else (_READ_FROM, held.slab, found)


def _base(way: Way, held: Owner) -> int:
    """From where the code counted to what it read."""
    key = field_key(way)
    return int(held.address) - (key if key is not None and key < held.address else 0)


def _damaged_head(session: Session, modules: Modules, flow: DataFlow | None) -> _Ran | None:
    """An object of which only the beginning is other than of those beside it, with the pointer."""
    held = flow.first.held_in if flow is not None and flow.of_a_pointer else None
    if flow is None or held is None or held.slab is None or held.slab.state != "allocated":
        return None
    if flow.bad is None or flow.bad.is_memory or flow.bad.kind in ("null", "error-pointer"):
        return None
    led = flow.ways[1].held_in if len(flow.ways) > 1 else None
    other = led.slab if led is not None else None
    found = among_others(session, modules, held.slab, int(held.address), other)
    return None if found is None else (_READ_FROM, held.slab, found)


def _from_the_beginning(ran: _Ran) -> bool:
    """Whether what ran over a pointer in its own object is all that there is of that object."""
    _, one, overrun = ran
    return overrun.within and overrun.start - one.address <= _WORD


def _in_allocator(backtrace: Backtrace | Missing) -> bool:
    """Whether the allocator itself met the bad pointer."""
    if isinstance(backtrace, Missing):
        return False
    inner = next((f for f in backtrace.crash_path if not f.inline), None)
    return inner is not None and inner.plumbing == ALLOCATOR
