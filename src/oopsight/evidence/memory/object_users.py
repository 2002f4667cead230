"""Which object's memory went wrong, which modules use it, and which of their functions could have.

Two questions are answered, where the data flow or the list check asks them: a freed object that is
still in use (who frees such objects?), and an object that was written over from the one before it
(who writes to that one?).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.corruption.overrun_writers import (
    WriterModule,
    able_to_overrun,
    lenders,
    refer_to,
    used_writers,
    writing_modules,
)
from oopsight.evidence.corruption.set_up_again import set_again
from oopsight.evidence.corruption.two_lists import TwoLists
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.exhaustion.allocators import Allocator, allocating
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.held_through import held_through
from oopsight.evidence.memory.jumping_freers import jumping
from oopsight.evidence.memory.object_in_question import InQuestion, in_question, with_handler
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.handing import giving_up, waiting
from oopsight.evidence.modules.inlined import inlined_callers
from oopsight.evidence.modules.known_calls import FREES
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    freers,
    givers_back,
    holding_variables,
    inner_functions,
    named,
    of_cache,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.sizes import freed_sizes
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free.callback_registries import registry_met
from oopsight.evidence.use_after_free.embedding import embedders, places_in
from oopsight.evidence.use_after_free.frees_after import CodeWays
from oopsight.evidence.use_after_free.present_freers import present_freers
from oopsight.evidence.use_after_free.still_registered import StillRegistered, still_registered
from oopsight.evidence.use_after_free.taking_out import (
    TakingOut,
    hurrying,
    new_only,
    places_met,
    taking_out,
)
from oopsight.plumbing import base_name
from oopsight.session import Session

MOST_SUSPECT_MODULES = 3
_MOST_MAKERS = 16
_POINTS = "the object points to"
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
    jumps: tuple[str, ...] = ()
    """Of :attr:`frees`, those whose last act is a jump to what frees: they leave no frame. Only
    where the allocator's record lacks who freed the object."""
    lent: bool = False
    """Whether it had the object from the kernel: :attr:`frees` let the kernel free it."""
    waits: tuple[str, ...] = ()
    """Of :attr:`frees`, those that first wait for readers under RCU, or for its completion."""
    gives_up: tuple[str, ...] = ()
    """Of :attr:`frees`, those that may have waited in vain for what they free."""
    hurries: tuple[str, ...] = ()
    """Of :attr:`frees`, those that do not wait for what runs for the object's work item or timer,
    where that is how it was used."""
    lends: tuple[str, ...] = ()
    """Of one whose object was written past, who makes such objects or has another module write to
    what they hand over."""
    takes_out: TakingOut | None = None
    """Who of it takes out of others' hands by what these still knew the object, and who not."""
    registered: tuple[StillRegistered, ...] = ()
    """Who of it frees such objects while the kernel still knows them, as it had been told."""
    sets_again: tuple[str, ...] = ()
    """Where all take it out: who has it set up in objects that are there already. What was pending
    then is with others twice, and is taken out once."""
    frees_others: tuple[str, ...] = ()
    """Its functions that free, but no such objects."""


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
    has_it: str | None = None
    """The module that has the memory of a freed object by now."""


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
        text = f"{_POINTS} its {reference.symbol}"
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


def _holders(session: Session, modules: Modules, one: SlabObject) -> Iterator[_Suspect]:
    for held in held_through(session, modules, one.address, one.address + one.size):
        why = f"an object that its variable {held.variable} leads to points to it"
        yield held.module, why, held.memory, None


def collect(
    session: Session,
    modules: Modules,
    flow: DataFlow | Missing,
    report: ListReport | Missing,
    backtrace: Backtrace | Missing,
    fault: Fault | Missing,
    task: CrashedTask | Missing,
    twice: TwoLists | Missing,
) -> ObjectUsers | Missing:
    """Find the object, then the modules bound to it, then what their code does."""
    known_flow = flow if isinstance(flow, DataFlow) else None
    listed = report if isinstance(report, ListReport) else None
    met = in_question(session, modules, known_flow, listed, backtrace, fault, task, twice)
    met = with_handler(met, session, modules, backtrace, fault, task)
    if met is None:
        return Missing(Why.NOT_APPLICABLE, "no freed or overwritten object is involved")
    path = backtrace if isinstance(backtrace, Backtrace) else None
    if met.foreign is not None:
        suspects: Iterable[_Suspect] = ((*one, None) for one in met.foreign.former)
    elif met.overrun is not None:
        # What ran over an object is not on the path of whoever came upon it.
        suspects = list(_suspects(session, modules, None, None, met.subject))
        suspects = suspects or list(_holders(session, modules, met.subject))
    else:
        suspects = _suspects(session, modules, path, known_flow, met.subject)
    reader = SessionReader(session)
    uses = _uses(session, modules, reader, suspects, met)
    inside = _with_place(met, known_flow, places_in(met.object, known_flow, listed))
    uses, has_it = _with_embedders(session, modules, reader, uses, met, known_flow, inside)
    if met.question == "freed" and uses and not met.object.tracks and not met.object.refers:
        uses = _with_makers(session, modules, reader, uses, met.subject)
    uses = [replace(use, inlined=_inlined(session, modules, reader, use)) for use in uses]
    gone = met.object.track("freed")
    if gone is not None and gone.handed_on and gone.by is None:
        uses = [
            replace(use, jumps=jumping(session, modules, reader, use.module, use.frees))
            for use in uses
        ]
    if met.overrun is not None:
        uses = [_lending(session, modules, reader, use, met.overrun) for use in uses]
        if uses and not any(use.writes or use.lends or use.guessed for use in uses):
            able = used_writers(session, modules, reader, uses[0].module, met.overrun)
            uses = [*_guessed(able), *uses]
    else:
        places = _with_place(met, known_flow, places_met(met.object, known_flow, listed))
        uses = [_with_ends(session, modules, reader, use, met, places, inside) for use in uses]
    if met.doubted and not any(_leaves_it(use) for use in uses):
        return Missing(Why.NOT_APPLICABLE, "nobody is seen to free what is on such a list")
    return ObjectUsers(met.question, met.role, met.object, met.overrun, tuple(uses), has_it=has_it)


def _leaves_it(use: ModuleUse) -> bool:
    """Whether some function of a module frees such objects and leaves them with others."""
    return bool(use.registered or (use.takes_out is not None and use.takes_out.leaves))


def _with_embedders(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    uses: list[ModuleUse],
    met: InQuestion,
    flow: DataFlow | None,
    places: tuple[int, ...],
) -> tuple[list[ModuleUse], str | None]:
    """The same, with who has such objects where none is bound to it; and whose it is now.

    :param places: where in the object the kernel met it
    """
    # What is in it by now tells whose it is, and not whose it was.
    by_content = met.question == "refilled" and all(use.why.startswith(_POINTS) for use in uses)
    if not by_content and (met.question != "freed" or uses):
        return uses, met.has_it
    registry = registry_met(flow.ways) if flow is not None else None
    found = embedders(session, modules, reader, met.object, places, registry)
    found = [one for one in found if one.module != met.has_it] or found
    guessed = [
        ModuleUse(one.module, one.why, None, one.frees, (), (), guessed=True)
        for one in found[:MOST_SUSPECT_MODULES]
    ]
    others = [use for use in uses if use.module not in {one.module for one in guessed}]
    owner = others[0].module if guessed and len(others) == 1 else None
    return [*guessed, *others], met.has_it or owner


def _with_place(met: InQuestion, flow: DataFlow | None, places: tuple[int, ...]) -> tuple[int, ...]:
    """The places in the object, and the one that the kernel takes for something registered."""
    known = met.place
    if known is None and flow is not None and len(flow.ways) > 1 and registry_met(flow.ways):
        at = flow.ways[1].value
        known = at - met.object.address if at is not None and at >= met.object.address else None
    return places if known is None or known >= met.object.size else (known, *places)


def _uses(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    suspects: Iterable[_Suspect],
    met: InQuestion,
) -> list[ModuleUse]:
    """What the code of the modules bound to an object does; failing these, of who can write."""
    bound: dict[str, tuple[str, BytesPointer | None, list[Address]]] = {}
    for name, why, because, at in suspects:
        if name not in bound:
            if len(bound) >= MOST_SUSPECT_MODULES:
                continue
            bound[name] = (why, because, [])
        if at is not None:
            bound[name][2].append(at)
    found = [_use(session, modules, reader, name, one, met) for name, one in bound.items()]
    if met.overrun is None or found:
        return found
    able = writing_modules(session, modules, reader, met.overrun)[:MOST_SUSPECT_MODULES]
    return _guessed(able)


def _guessed(able: list[WriterModule]) -> list[ModuleUse]:
    """Modules that nothing binds to an object but what their code can do."""
    return [
        ModuleUse(
            one.module,
            one.why,
            one.because,
            (),
            one.writes,
            one.uses,
            allocates=one.allocates,
            guessed=True,
        )
        for one in able
    ]


def _use(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    name: str,
    bound: tuple[str, BytesPointer | None, list[Address]],
    met: InQuestion,
) -> ModuleUse:
    """What the code of a module does that is bound to an object.

    :param bound: why, what says so, and its variables that hold the object
    """
    why, because, variables = bound
    module = next((m for m in modules.loaded if m.name == name), None)
    inner = inner_functions(session, module, reader) if module is not None else []
    frees = freers(inner, met.subject.cache)
    if met.freed_by:
        frees = named(one for one in inner if one.outside & {*met.freed_by})
    back = givers_back(inner) if met.foreign is not None else ()
    lent = bool(back) and met.foreign is not None and (met.foreign.lent or not frees)
    bases = {_symbol_start(session, at) for at in variables} | {int(at) for at in variables}
    able = able_to_overrun(inner, bases, met.overrun)
    source = met.overrun.source if met.overrun is not None else None
    writers = [function for _, function in able]
    copies_it = refer_to(session, writers, int(source.address)) if source is not None else []
    return ModuleUse(
        module=name,
        why=why,
        because=because,
        frees=back if lent else frees,
        writes=named(f for _, f in able),
        copies_it=named(copies_it),
        uses=named(f for f in inner if f.refers & bases),
        ranks=_ranks(able) if met.overrun is not None else (),
        guessed=why.startswith(_HELD_BY),
        lent=lent,
    )


def _lending(
    session: Session, modules: Modules, reader: SessionReader, use: ModuleUse, overrun: Overrun
) -> ModuleUse:
    """The same, with who may have had another module write to the object."""
    module = next((m for m in modules.loaded if m.name == use.module and m.taints), None)
    if module is None or use.guessed:
        return use
    found = lenders(session, modules, reader, module, overrun)
    if found is None:
        return use
    why = use.why if use.writes else f"{use.why}; it {found[0]}"
    return replace(use, why=why, uses=use.uses if use.writes else (), lends=found[1])


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


def _with_ends(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    use: ModuleUse,
    met: InQuestion,
    places: tuple[int, ...],
    inside: tuple[int, ...],
) -> ModuleUse:
    """The same, with who ends what others do with the object before it is freed.

    :param places: where in the object its address was known
    :param inside: these, and where else the kernel met it
    """
    module = next((m for m in modules.loaded if m.name == use.module and m.taints), None)
    if module is None or not use.frees:
        return use
    code = inner_functions(session, module, reader)
    uses = of_cache(uses_of(reader, code), met.subject.cache)
    waits = tuple(name for name in waiting(uses) if name in use.frees)
    size = met.object.size
    far = max(places, default=0)
    others = {known.function for known in freed_sizes(uses) if not known.fits(size, far)}
    others |= {*freers(code)} - {*freers(code, met.subject.cache)}
    if met.question == "refilled" and met.foreign is None:
        present = present_freers(session, modules, module, met.object, uses)
        # Where all do, a variable may still lead to what the object was.
        others |= present if {*use.frees} - present - others else set()
    ways = CodeWays(Calls(reader, (), {}), code)
    # What nobody has come to know by then, nobody uses.
    unable = {*new_only(uses, ways), *others} if len(use.frees) > 1 else set()
    use = replace(use, frees=tuple(n for n in use.frees if n not in unable) or use.frees)
    vain = tuple(name for name in giving_up(uses) if name in use.frees)
    taken = taking_out(uses, places, ways, others)
    again: tuple[str, ...] = ()
    if taken is not None and not taken.leaves:
        again, _ = set_again(uses, code, taken.begin)
    return replace(
        use,
        waits=waits,
        gives_up=vain,
        hurries=hurrying(uses, met.running, others) if met.running is not None else (),
        takes_out=taken,
        sets_again=again,
        registered=still_registered(uses, {*places, *inside}, ways, others),
        frees_others=tuple(sorted(others)),
    )


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


def _symbol_start(session: Session, address: int) -> int:
    try:
        start: int = session.prog.symbol(address).address
    except LookupError:
        return address
    return start
