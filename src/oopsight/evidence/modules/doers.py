"""Which functions of a module can have brought a bad pointer about, rather than met it.

The bad pointer was read from a field. Who frees what that field holds and leaves the pointer there,
who stores what a call returned, who stores it without a reference: told by the whole code of the
module, with :mod:`~oopsight.evidence.field_code`. It puts suspects in order; what a function did
this time it does not tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.address import error_number
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.back_twice import getting_unheld, giving_back_twice
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.copied_mappings import CopiedMapping, copied_mappings
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_doers import FieldDoers, field_doers, is_new
from oopsight.evidence.modules.field_keys import UNKNOWN, FieldKeys, Layout, layout
from oopsight.evidence.modules.given_twice import (
    GivenTwice,
    given_before,
    given_twice,
    kept_after,
)
from oopsight.evidence.modules.handed_member import Member, handed_member, leaving_unfinished
from oopsight.evidence.modules.handing import (
    callers_of,
    freeing_helpers,
    leaving_at_times,
    putting_untaken,
)
from oopsight.evidence.modules.installers import installing
from oopsight.evidence.modules.left_in import LeftIn, left_in
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    allocates,
    destroyers,
    freers,
    inner_functions,
    moves,
    named,
    publishes,
    reaching,
    tables_with,
)
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.never_stored import handing_none, never_stored
from oopsight.evidence.modules.omitting import omitting
from oopsight.evidence.modules.ownership import Ownership
from oopsight.evidence.modules.past_count import past_count
from oopsight.evidence.modules.siblings import siblings
from oopsight.evidence.modules.sizes import FunctionSizes, freed_sizes
from oopsight.evidence.modules.skipping import filling, keeping_silent, not_listening, skipping
from oopsight.evidence.modules.stoppers import stopping, stopping_at_times, stopping_in_vain
from oopsight.evidence.modules.teardown import unbinding
from oopsight.evidence.modules.threads import Threads, threads_of
from oopsight.evidence.modules.unstopped import clearing_unstopped
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_WAYS = 3
_MANAGED = ("devm_kmalloc", "devm_kzalloc", "devm_kmemdup", "devm_kstrdup")


@dataclass(frozen=True)
class Doers:
    """Functions of the module that met the bad pointer."""

    module: str
    fields: tuple[FieldDoers, ...]
    frees: tuple[str, ...]
    """Free anything, and allocate nothing."""
    allocates: tuple[str, ...]
    """Free anything, and allocate too."""
    twice: tuple[str, ...] = ()
    """Free what a field holds and leave it there, and free the same again with all around it."""
    sizes: tuple[FunctionSizes, ...] = ()
    """Of those that free only what the module has allocated with a known size."""
    copies: tuple[FunctionSizes, ...] = ()
    """Of those that duplicate objects as a whole, the sizes of these."""
    gives_back: tuple[str, ...] = ()
    """Have the kernel give an object back, with the last reference or for good."""
    omits: tuple[str, ...] = ()
    """Make such objects as held the bad value, and leave the field alone that others who make them
    set."""
    installs: tuple[str, ...] = ()
    """Put objects where the one with the field that held NULL was found, and leave that field as it
    is, where others that do so set it."""
    wipes: tuple[str, ...] = ()
    """Fill with zeros what is in use and stays so."""
    unlinks: tuple[str, ...] = ()
    """Take entries off lists, and leave the poison of ``list_del()`` in them."""
    registers: tuple[str, ...] = ()
    """Make known to the kernel the function through which it came into the module, where it met
    NULL."""
    stops: tuple[str, ...] = ()
    """Stop, or wait for, what had called the module when it met the bad pointer: its timers, its
    work, its thread; themselves or by a function that they call."""
    stops_at_times: tuple[str, ...] = ()
    """Of these, those that themselves do so on some ways only."""
    stops_in_vain: tuple[str, ...] = ()
    """Of these, those that do so before, or after, what starts it again, or what it starts."""
    stops_for_others: tuple[str, ...] = ()
    """Of these again, those that others of the module call."""
    unstopped: tuple[str, ...] = ()
    """Clear the field that held NULL, or have it cleared, and do not stop that first, as others do
    that clear it."""
    managed: tuple[str, ...] = ()
    """Have memory of the kernel that it frees itself when a device is unbound."""
    unbinds: tuple[str, ...] = ()
    """Are called before that, and do not end what met the bad pointer."""
    threads: Threads = Threads()
    """Who starts threads, and what these run."""
    helpers: tuple[str, ...] = ()
    """Free only what they are given, or what that holds, for others of the module."""
    both: tuple[str, ...] = ()
    """Take references, and give them back themselves or by what they call."""
    uncounts: tuple[str, ...] = ()
    """Give references back: what they free, they free with the last one."""
    past_count: tuple[str, ...] = ()
    """Free without regard to the references what others of the module count."""
    skips: tuple[str, ...] = ()
    """Return with success on some way and have not set the field that held NULL, although they had
    what they put there on others."""
    untaken: tuple[str, ...] = ()
    """Give back a reference to what some field holds, which may be the object in question, have
    taken none, and leave the pointer there; and none of them belongs to another that takes one."""
    at_times: tuple[str, ...] = ()
    """Give back what some field holds, and on some ways leave the pointer there."""
    mappings: tuple[CopiedMapping, ...] = ()
    """Give mappings operations that give something back as these end, and take nothing as a
    process that forks has them copied."""
    unstored: tuple[str, ...] = ()
    """Make what belongs in the device's driver data, which held NULL, when the device is bound;
    but no function ever stores it there."""
    hands_none: tuple[str, ...] = ()
    """Tell the kernel NULL for what it hands to callbacks, where others tell it something."""
    silent: tuple[str, ...] = ()
    """Say on some way that all went well, and have not set the field that held NULL in what they
    were given, as on others."""
    unfinished: tuple[str, ...] = ()
    """Have the member set up that held NULL when it was handed to the kernel, and on some way
    return without that."""
    siblings: tuple[str, ...] = ()
    """Are handed the object in place of those that set the field that held NULL."""
    deaf: tuple[str, ...] = ()
    """Have a function of the module set the field that held NULL, which may fail, and do not look
    whether it has."""
    twice_given: tuple[GivenTwice, ...] = ()
    """Give back on some ways what they are handed, where their callers do so then as well."""
    given_before: tuple[GivenTwice, ...] = ()
    """Give back what a field holds, and then have a helper do so again with all around it."""
    kept_after: tuple[GivenTwice, ...] = ()
    """Have a helper free what an object's fields hold, which leaves the pointers, and keep that."""
    again: tuple[str, ...] = ()
    """Give the same back twice on one way, or free outright what they have given back."""
    unheld: tuple[str, ...] = ()
    """Take no reference to what they return, where those that call them give one back."""
    left: tuple[LeftIn, ...] = ()
    """Of those that write into what they free, what the freed object says to that."""

    def field(self, way: int) -> FieldDoers | None:
        """Of the field that a way's value was read from."""
        return next((one for one in self.fields if one.way == way), None)

    def holding(self, begin: int, end: int) -> FieldDoers | None:
        """Of the field that held a pointer into some memory."""
        held = (one for one in self.fields if one.value is not None and begin <= one.value < end)
        return next(held, None)


def collect(
    session: Session,
    flow: DataFlow,
    modules: Modules,
    backtrace: Backtrace | Missing,
    users: ObjectUsers | Missing,
) -> Doers | Missing:
    """Read the code of the module that is nearest to the bad pointer, where a rule will ask."""
    if not isinstance(users, ObjectUsers) and not _asked(flow):
        return Missing(Why.NOT_APPLICABLE, "the bad pointer is no trace of an earlier mistake")
    name = _module(flow, backtrace)
    if name is None and isinstance(users, ObjectUsers) and users.modules:
        name = users.modules[0].module
    module = next((one for one in modules.loaded if one.name == name), None)
    if module is None or not module.taints:
        return Missing(Why.NOT_APPLICABLE, "no module from outside the kernel's tree met it")
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    makers = {base_name(one.name) for one in inner if allocates(one)}
    able = freers(inner)
    helpers = tuple(freeing_helpers(uses, inner))
    busy = makers | {base_name(one.name) for one in inner if moves(one)}
    stops = stopping(backtrace, inner)
    at_times = stopping_at_times(reader, backtrace, inner)
    known = layout(session.prog)
    managed = [one for one in inner if any(c.startswith(_MANAGED) for c in one.outside)]
    member = handed_member(flow.ways, module.name, uses)
    fields = tuple(
        found
        for number, way in enumerate(flow.ways[:_MOST_WAYS])
        if (found := field_doers(module, number, flow.ways, uses, inner, known, reader.read))
        is not None
    )
    return Doers(
        module=module.name,
        fields=fields,
        frees=tuple(one for one in able if one not in busy),
        allocates=tuple(one for one in able if one in busy),
        twice=tuple(name for name, use in uses.items() if _twice(use)),
        sizes=freed_sizes(uses),
        copies=tuple(FunctionSizes(n, use.copies) for n, use in uses.items() if use.copies),
        gives_back=destroyers(inner),
        omits=_omitting(session, modules, module, flow, uses, inner, known, member),
        installs=installing(flow.ways, uses, inner),
        wipes=wiping(uses, makers),
        registers=_registering(session, module, flow, backtrace, inner),
        stops=stops,
        stops_at_times=at_times,
        stops_in_vain=stopping_in_vain(reader, backtrace, inner, _callbacks(users, module)),
        unstopped=_unstopped(reader, backtrace, fields, inner),
        stops_for_others=tuple(name for name in at_times if name in callers_of(inner)),
        managed=named(managed),
        unbinds=unbinding(session, module, managed, inner, stops),
        threads=threads_of(session, reader, inner, uses),
        helpers=helpers,
        given_before=given_before(uses),
        kept_after=kept_after(uses, helpers),
        both=tuple(
            name
            for name in reaching({name for name, use in uses.items() if use.uncounts}, inner)
            if name in uses and uses[name].counts
        ),
        past_count=past_count(uses),
        uncounts=tuple(name for name, use in uses.items() if use.uncounts),
        unlinks=tuple(name for name, use in uses.items() if use.unlinks),
        skips=skipping(session, modules, module, flow.first, uses, known),
        untaken=_untaken(reader, flow, uses),
        at_times=tuple(name for name, use in uses.items() if leaving_at_times(use, uses)),
        mappings=copied_mappings(session, reader, module, uses, inner),
        unfinished=leaving_unfinished(Ownership(session, modules, module), member, uses)
        if member is not None
        else (),
        siblings=_siblings(session, modules, module, flow, uses, known, member),
        unstored=never_stored(session, module, flow.first, backtrace, uses, inner, known)
        if isinstance(backtrace, Backtrace)
        else (),
        hands_none=handing_none(flow.first, uses, known, module.name),
        silent=keeping_silent(session, modules, module, flow.first, uses, known),
        deaf=not_listening(session, modules, module, flow.first, uses, known),
        twice_given=given_twice(session, modules, module, uses),
        again=giving_back_twice(uses),
        unheld=getting_unheld(uses),
        left=left_in(session, users, uses) if isinstance(users, ObjectUsers) else (),
    )


def _callbacks(users: ObjectUsers | Missing, module: Module) -> tuple[str, ...]:
    """Functions of a module to which the object in question has pointers."""
    refers = users.object.refers if isinstance(users, ObjectUsers) else ()
    return tuple(base_name(one.symbol) for one in refers if one.module == module.name)


def _unstopped(
    reader: SessionReader,
    backtrace: Backtrace | Missing,
    fields: tuple[FieldDoers, ...],
    code: list[ModuleFunction],
) -> tuple[str, ...]:
    """Who clears the field that was met, and goes on with what has met it."""
    met = next((one for one in fields if one.way == 0), None)
    if met is None or isinstance(backtrace, Missing):
        return ()
    return clearing_unstopped(reader, backtrace, dict(met.cleared_at), code)


def _untaken(reader: SessionReader, flow: DataFlow, uses: dict[str, FieldUse]) -> tuple[str, ...]:
    """Who gives back references that it did not take: of a known object, what variables hold."""
    slab = flow.bad.slab if flow.bad is not None else None

    def may_hold(key: int) -> bool:
        held = reader.read(key, 8) if in_kernel_half(key) else None
        at = None if held is None else int.from_bytes(held, "little")
        return slab is None or (at is not None and slab.address <= at < slab.end)

    return tuple(name for name, keys in putting_untaken(uses).items() if any(map(may_hold, keys)))


def wiping(uses: dict[str, FieldUse], makers: set[str]) -> tuple[str, ...]:
    """Functions that fill with zeros what is in use and stays so.

    :param makers: functions of the module that allocate
    """
    return tuple(
        name for name, use in uses.items() if any(not is_new(one.into, makers) for one in use.wipes)
    )


def _asked(flow: DataFlow) -> bool:
    """Whether it is a check's argument, an error code, or was kept in memory."""
    end = flow.first.end
    value = end.value if end is not None else None
    code = value is not None and error_number(value) is not None
    code = code or (flow.of_a_pointer and flow.first.ended == "loaded")
    return (
        flow.subject == "argument" or code or (flow.bad is not None and flow.bad.kind == "poison")
    )


def _module(flow: DataFlow, backtrace: Backtrace | Missing) -> str | None:
    if flow.first.module is not None:
        return flow.first.module
    frames = backtrace.blamable if isinstance(backtrace, Backtrace) else ()
    held = flow.first.held_in
    refers = held.slab.refers if held is not None and held.slab is not None else ()
    known = (
        *(frame.module for frame in frames),
        # Who jumped on to the kernel's function has no frame, but may have handed it the object.
        *(way.module for way in flow.ways[:_MOST_WAYS]),
        held.module if held is not None else None,
        *(ref.module for ref in refers),
    )
    return next((one for one in known if one is not None), None)


def _twice(use: FieldUse) -> bool:
    left = {one.key for one in use.frees if not one.cleared and not one.whole}
    return any(one.whole and one.key in left for one in use.frees)


def _registering(
    session: Session,
    module: Module,
    flow: DataFlow,
    backtrace: Backtrace | Missing,
    code: list[ModuleFunction],
) -> tuple[str, ...]:
    """Who refers to a table with the function that the kernel called, and registers things."""
    end = flow.first.end
    held = flow.first.held_in
    if isinstance(backtrace, Missing) or end is None or end.value != 0:
        return ()
    if any(_from_variable(way, module) for way in flow.ways):
        return ()  # it did not come with what was registered
    frames = [frame for frame in backtrace.crash_path if not frame.inline]
    inside = itertools.dropwhile(lambda frame: frame.module != module.name, frames)
    own = list(itertools.takewhile(lambda frame: frame.module == module.name, inside))
    called = {base_name(frame.function) for frame in own[-1:]}
    starts = [one.start for one in code if base_name(one.name) in called]
    tables = {at for start in starts for at in tables_with(session, module, start)}
    tables.update(starts)
    found = [one for one in code if one.refers & tables and publishes(one)]
    # What the object points to of the module was given with it.
    given = {int(ref.value) for ref in held.slab.refers} if held and held.slab else set()
    return named(sorted(found, key=lambda one: not one.refers & given))


def _from_variable(way: Way, module: Module) -> bool:
    """Whether a value was read from a variable; of the per-CPU ones, by the module itself.

    The kernel has its own there, such as lists of work items to be carried out.
    """
    held, end = way.held_in, way.end
    if held is None or held.kind != "per-cpu":
        return held is not None and held.kind in ("module", "kernel")
    return end is not None and end.module == module.name


def _omitting(
    session: Session,
    modules: Modules,
    module: Module,
    flow: DataFlow,
    uses: dict[str, FieldUse],
    code: list[ModuleFunction],
    known: Layout = UNKNOWN,
    member: Member | None = None,
) -> tuple[str, ...]:
    """Who makes objects as the one with the field, and does not set that, where others do."""
    held = flow.bad if flow.subject == "argument" else flow.first.held_in
    slab = held.slab if held is not None else None
    if held is None or slab is None or held.offset is None:
        return ()
    keys = FieldKeys(flow.first, uses, known)
    # What the module itself reads may be an object of the kernel's, of the same size as its own.
    other = flow.first.module is not None or any(
        one.key == keys.of(use) for use in uses.values() for one in use.stores
    )
    return omitting(
        session,
        modules,
        module,
        slab,
        held.offset,
        uses,
        code,
        set_elsewhere=other,
        member=member,
    )


def _siblings(
    session: Session,
    modules: Modules,
    module: Module,
    flow: DataFlow,
    uses: dict[str, FieldUse],
    known: Layout,
    member: Member | None,
) -> tuple[str, ...]:
    """Who is handed the object with the field that held NULL in place of others who set that."""
    way = flow.first
    if way.ended != "loaded" or way.end is None or way.end.value != 0:
        return ()
    setting: Collection[str] = filling(way, uses, known)
    if member is not None:
        setting = [name for name, use in uses.items() if member.set_by(use)]
    return siblings(Ownership(session, modules, module), setting, uses) if setting else ()
