"""Which object's memory went wrong, which modules use it, and which of their functions could have.

Two questions are answered, where the data flow or the list check asks them: a freed object that is
still in use (who frees such objects?), and an object that was written over from the one before it
(who writes to that one?).
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.freelist_overrun import freelist_overrun
from oopsight.evidence.corruption.head_overrun import among_others, head_overrun
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.overrun import Overrun, overrun_of, run_within
from oopsight.evidence.corruption.overrun_writers import able_to_overrun, writing_modules
from oopsight.evidence.corruption.written_over import written_over
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.exhaustion.allocators import Allocator, allocating
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner, SlabObject, owner_of
from oopsight.evidence.modules.inlined import inlined_callers
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    ALLOCATES,
    FREES,
    freers,
    holding_variables,
    inner_functions,
    named,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.anothers import Anothers, anothers
from oopsight.evidence.use_after_free.embedding import embedders, places_in
from oopsight.evidence.use_after_free.free_link import read_while_free, still_linked
from oopsight.evidence.use_after_free.handler_object import freed_work, given_away
from oopsight.evidence.use_after_free.reused import refilled as refilled_object
from oopsight.evidence.use_after_free.reused import reused as reused_object
from oopsight.evidence.use_after_free.stale_entry import stale_entry
from oopsight.plumbing import base_name
from oopsight.plumbing.mechanisms import ALLOCATOR
from oopsight.session import Session

MOST_SUSPECT_MODULES = 3
_MOST_MAKERS = 16
_READ_FROM = "the bad pointer was read from it"
_WORD = 8
_HELD_BY = "the object that held the pointer to it"
_Suspect = tuple[str, str, BytesPointer | None, Address | None]
"""Module, reason, what says so, and the address of a variable that holds the object."""


@dataclass(frozen=True)
class ModuleUse:
    """A module that has to do with the object."""

    module: str
    why: str
    because: BytesPointer | None
    """What in the dump says so; ``None`` where the module is on the crash path."""
    frees: tuple[str, ...]
    """Its functions that free memory, initialisation and exit left out."""
    writes: tuple[str, ...]
    """Its functions that copy or fill memory, those that are told how much room there is last."""
    uses: tuple[str, ...]
    """Its functions that refer to the variable which holds the object."""
    copies_it: tuple[str, ...] = ()
    """Those of :attr:`writes` that refer to the variable from which was copied."""
    allocates: bool | None = None
    """Whether it allocates such objects; ``None`` where its code does not tell."""
    inlined: tuple[tuple[str, str], ...] = ()
    """Of :attr:`frees`, functions with an inlined one that holds the freeing call."""
    ranks: tuple[int, ...] = ()
    """How suspect each of :attr:`writes` is by its code, 0 the most; none where that is open."""
    guessed: bool = False
    """Whether nothing binds it to the object but what its code can do."""


@dataclass(frozen=True)
class ObjectUsers:
    """The object and who uses it."""

    question: str
    """``freed``, ``reused`` (freed, and allocated again for somebody else), ``refilled`` (the same,
    by its content alone), ``listed`` (the same, by the list that it was on) or ``overrun``."""
    role: str
    """What the object is to the crash, in words."""
    object: SlabObject
    """The freed one, or the one that was run over from its predecessor."""
    overrun: Overrun | None
    modules: tuple[ModuleUse, ...]
    """Most closely bound first."""


def _freed(flow: DataFlow | None, report: ListReport | None) -> tuple[str, SlabObject] | None:
    """The object that is free and in use, and what it is to the crash."""
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
    fresh = _fresh_on_list(flow, report)
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
    """Whether a check was handed a pointer to memory in use: where that was kept is no matter.

    A kernel thread has its argument from memory that is always freed once the thread runs.
    """
    return flow.subject == "argument" and _in_use(flow.bad)


def _in_use(owner: Owner | None) -> bool:
    return (
        owner is not None and owner.is_memory and not (owner.slab is not None and owner.slab.freed)
    )


def _fresh_on_list(
    flow: DataFlow | None, report: ListReport | None
) -> tuple[str, SlabObject] | None:
    """An object just allocated, to be added to a list on which its memory already is.

    Its former life ended while it was on the list: the list still leads to the same address, or to
    another entry in the same object, which has been initialised since.
    """
    if flow is None or report is None or report.operation != "add" or report.double_add:
        return None
    neighbour, was = report.entry("prev") or report.entry("next"), report.entry("was")
    added = flow.first.value if flow.subject == "argument" else None
    if neighbour is None or was is None or added is None or neighbour.owner.slab is None:
        return None
    one = neighbour.owner.slab
    fresh = (flow.first.returned_by or "").lstrip("_").startswith(ALLOCATES)
    within = one.address <= added < one.end and fresh
    empty = was.owner.address in (0, neighbour.owner.address)
    if not empty or not (within or neighbour.owner.address == added):
        return None
    if one.track("freed") is None and not fresh:
        return None
    return "its memory was still on the list when it was allocated again", one


def _overran_list(
    session: Session, modules: Modules, report: ListReport
) -> tuple[str, SlabObject, Overrun] | None:
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
        or run_within(session, one, field)
        or written_over(session, modules, one, field, None)
    )
    return None if found is None else ("its list pointer was found wrong", one, found)


def _overran(
    session: Session, modules: Modules | None, flow: DataFlow | None
) -> tuple[str, SlabObject, Overrun] | None:
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
    found = run_within(session, held.slab, int(held.address)) or written_over(
        session, modules, held.slab, int(held.address), at
    )
    return None if found is None else (_READ_FROM, held.slab, found)


def _damaged_head(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject, Overrun] | None:
    """An object of which only the beginning is other than of those beside it, with the pointer."""
    held = flow.first.held_in if flow is not None and flow.of_a_pointer else None
    if flow is None or held is None or held.slab is None or held.slab.state != "allocated":
        return None
    if flow.bad is None or flow.bad.is_memory or flow.bad.kind in ("null", "error-pointer"):
        return None
    found = among_others(session, modules, held.slab, int(held.address))
    return None if found is None else (_READ_FROM, held.slab, found)


def _from_the_beginning(ran: tuple[str, SlabObject, Overrun]) -> bool:
    """Whether what ran over a pointer in its own object is all that there is of that object."""
    _, one, overrun = ran
    return overrun.within and overrun.start - one.address <= _WORD


def _in_allocator(backtrace: Backtrace | Missing) -> bool:
    """Whether the allocator itself met the bad pointer."""
    if isinstance(backtrace, Missing):
        return False
    inner = next((f for f in backtrace.crash_path if not f.inline), None)
    return inner is not None and inner.plumbing == ALLOCATOR


def _suspects(
    session: Session,
    modules: Modules,
    backtrace: Backtrace | None,
    flow: DataFlow | None,
    one: SlabObject,
) -> Iterator[_Suspect]:
    for track in one.tracks:
        for frame in track.blamable[:1]:
            if frame.module is not None:
                yield frame.module, f"{track.what} it", track.memory, None
    for reference in one.refers:
        text = f"the object points to its {reference.symbol}"
        yield reference.module, text, reference.memory, None
    for module, at, symbol, memory in holding_variables(
        session, modules, one.address, one.address + one.size
    ):
        yield module.name, f"its variable {symbol} holds the object", memory, at
    for step in (step for way in flow.ways[:2] for step in way.steps) if flow else ():
        if step.module is not None:
            yield step.module, f"its {step.function} uses the object", None, None
    for way in flow.ways[1:2] if flow else ():
        for reference in way.held_in.slab.refers if way.held_in and way.held_in.slab else ():
            text = f"{_HELD_BY} points to its {reference.symbol}"
            yield reference.module, text, reference.memory, None
    for frame_ in backtrace.blamable if backtrace else ():
        if frame_.module is not None:
            yield frame_.module, f"its {frame_.function} is on the crash path", None, None


def _former(foreign: Anothers | None) -> list[_Suspect]:
    """Who had an object that is another's now."""
    return [(*one, None) for one in foreign.former] if foreign is not None else []


def collect(
    session: Session,
    modules: Modules,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    backtrace: Backtrace | Missing,
    fault: Fault | Missing,
    task: CrashedTask | Missing,
) -> ObjectUsers | Missing:
    """Find the object, then the modules bound to it, then what their code does."""
    known_flow = flow if isinstance(flow, DataFlow) else None
    overrun = owned = None
    question = "freed"
    listed = report if isinstance(report, ListReport) else None
    freed = (
        _freed(known_flow, listed)
        or still_linked(session, known_flow)
        or _read_through(session, modules, known_flow)
        or freed_work(session, modules, known_flow)
    )
    reused = (
        given_away(session, known_flow)
        or read_while_free(session, known_flow)
        or reused_object(session, modules, known_flow)
    )
    ran = _overran(session, modules, known_flow) if reused is None else None
    if (
        reused is None
        and ran is None
        and _in_allocator(backtrace)
        and not isinstance(fault, Missing)
    ):
        cpu = 0 if isinstance(task, Missing) else task.cpu
        ran = freelist_overrun(session, modules, fault, cpu)
    if ran is None and reused is None and listed is not None:
        ran = _overran_list(session, modules, listed)
    refilled = foreign = None
    if reused is None and (ran is None or _from_the_beginning(ran)):
        foreign = anothers(session, modules, known_flow)
        refilled = refilled_object(session, known_flow)
    if reused is not None:
        question, (role, one) = "reused", reused
    elif foreign is not None:
        question, role, one = "refilled", foreign.role, foreign.object
    elif refilled is not None:
        question, (role, one) = "refilled", refilled
    elif ran is not None:
        question, (role, one, overrun) = "overrun", ran
    elif freed is not None:
        role, one = freed
        question = "freed" if one.freed else "reused"
        if freed == _fresh_on_list(known_flow, listed):
            question = "listed"
    elif (stale := stale_entry(session, known_flow)) is not None:
        question, (role, one, owned) = "refilled", stale
        overrun = head_overrun(session, modules, one, owned)
        if overrun is not None:
            question, role, owned = "overrun", _READ_FROM, None
    elif (damaged := _damaged_head(session, modules, known_flow)) is not None:
        question, (role, one, overrun) = "overrun", damaged
    else:
        return Missing(Why.NOT_APPLICABLE, "no freed or overwritten object is involved")
    path = backtrace if isinstance(backtrace, Backtrace) else None
    # Whose it was tells the entry before it.
    subject = overrun.before if overrun is not None else owned or one
    bound: dict[str, tuple[str, BytesPointer | None, list[Address]]] = {}
    # What ran over an object is not on the path of whoever came upon it.
    for name, why, because, at in _former(foreign) or _suspects(
        session, modules, None if overrun else path, None if overrun else known_flow, subject
    ):
        if name not in bound:
            if len(bound) >= MOST_SUSPECT_MODULES:
                continue
            bound[name] = (why, because, [])
        if at is not None:
            bound[name][2].append(at)
    reader = SessionReader(session)
    uses = []
    for name, (why, because, variables) in bound.items():
        module = next((m for m in modules.loaded if m.name == name), None)
        inner = inner_functions(session, module, reader) if module is not None else []
        near = {int(at) for at in variables}
        bases = {_symbol_start(session, at) for at in variables} | near
        able = able_to_overrun(inner, bases, overrun)
        uses.append(
            ModuleUse(
                module=name,
                why=why,
                because=because,
                frees=freers(inner, subject.cache),
                writes=named(f for _, f in able),
                copies_it=named(
                    f
                    for _, f in able
                    if overrun is not None
                    and overrun.source is not None
                    and _refers(session, f, int(overrun.source.address))
                ),
                uses=named(f for f in inner if f.refers & bases),
                ranks=_ranks(able) if overrun is not None else (),
                guessed=why.startswith(_HELD_BY),
            )
        )
    if overrun is not None and not uses:
        uses = [
            ModuleUse(w.module, w.why, None, (), w.writes, (), allocates=w.allocates, guessed=True)
            for w in writing_modules(session, modules, reader, overrun)[:MOST_SUSPECT_MODULES]
        ]
    if question == "freed" and not uses:
        places = places_in(one, known_flow, listed)
        uses = [
            ModuleUse(e.module, e.why, None, e.frees, (), (), guessed=True)
            for e in embedders(session, modules, reader, one, places)[:MOST_SUSPECT_MODULES]
        ]
    if question == "freed" and uses and not one.tracks and not one.refers:
        uses = _with_makers(session, modules, reader, uses, subject)
    uses = [replace(use, inlined=_inlined(session, modules, reader, use)) for use in uses]
    return ObjectUsers(question, role, one, overrun, tuple(uses))


def _ranks(able: list[tuple[int, ModuleFunction]]) -> tuple[int, ...]:
    """Of each name the first; the parts of a function are one."""
    ranks: dict[str, int] = {}
    for rank, function in able:
        ranks.setdefault(base_name(function.name), rank)
    return tuple(ranks.values())


def _inlined(
    session: Session, modules: Modules, reader: SessionReader, use: ModuleUse
) -> tuple[tuple[str, str], ...]:
    module = next((m for m in modules.loaded if m.name == use.module), None)
    if module is None or not use.frees:
        return ()
    code = inner_functions(session, module, reader)
    return inlined_callers(session, [f for f in code if base_name(f.name) in use.frees], FREES)


def _with_makers(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    uses: list[ModuleUse],
    one: SlabObject,
) -> list[ModuleUse]:
    """Who makes such objects, where those on the crash path do not: they were handed it.

    A variable that holds its address tells no more than that either.
    """
    told: list[ModuleUse] = []
    for use in uses:
        module = next((m for m in modules.loaded if m.name == use.module), None)
        made = _makes(session, modules, module, one) if module is not None else None
        told.append(replace(use, allocates=None if made is None else bool(made)))
    if any(use.allocates is not False for use in told):
        return told
    on_path = {use.module for use in told}
    for module in [m for m in modules.loaded if m.taints and m.name not in on_path][:_MOST_MAKERS]:
        made = _makes(session, modules, module, one)
        if not made or len(told) - len(uses) >= MOST_SUSPECT_MODULES:
            continue
        inner = inner_functions(session, module, reader)
        why = f"its {made[0].function} allocates such objects, which {uses[0].module} does not"
        frees = freers(inner, one.cache)
        told.append(ModuleUse(module.name, why, None, frees, (), (), allocates=True))
    if len(told) == len(uses) and not any(use.frees for use in told):
        told += _freeing(session, modules, reader, uses, one)
    return told


def _freeing(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    uses: list[ModuleUse],
    one: SlabObject,
) -> list[ModuleUse]:
    """Modules from outside the kernel that free anything: what their init allocated is not seen."""
    found: list[ModuleUse] = []
    on_path = {use.module for use in uses}
    why = f"its functions free memory, which those of {uses[0].module} do not"
    for module in [m for m in modules.loaded if m.taints and m.name not in on_path][:_MOST_MAKERS]:
        frees = freers(inner_functions(session, module, reader), one.cache)
        if frees and len(found) < MOST_SUSPECT_MODULES:
            found.append(ModuleUse(module.name, why, None, frees, (), (), guessed=True))
    return found


def _makes(
    session: Session, modules: Modules, module: Module, one: SlabObject
) -> tuple[Allocator, ...] | None:
    """Functions of a module that allocate from the object's cache; ``None`` if that is open."""
    found, whole = allocating(session, modules, module, one.cache_address, one.size)
    return found if found or whole else None


def _refers(session: Session, function: ModuleFunction, address: int) -> bool:
    """Whether a function refers to any place of the variable that holds an address."""
    try:
        symbol = session.prog.symbol(address)
    except LookupError:
        return address in function.refers
    end = symbol.address + symbol.size
    return any(symbol.address <= at < end for at in function.refers)


def _symbol_start(session: Session, address: int) -> int:
    try:
        start: int = session.prog.symbol(address).address
    except LookupError:
        return address
    return start
