"""What still led to memory that was given back, and who of a module left it there.

Cases that need no object to be found: a lookup by number that returned it, as of an IDR, and a list
or queue that leads to the stack of a task which has left its function, as data flow or the kernel's
list check met it.
"""

from __future__ import annotations

from collections.abc import Collection

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow, Way
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.handing import DEPTH, Uses, freeing_helpers
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import freers, inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.frees_after import frees_after
from oopsight.evidence.use_after_free.stack_entry import in_use, leavers, reported
from oopsight.plumbing import base_name
from oopsight.session import Session

# Lookups and walks, and what takes an entry out again or puts another in its place.
_LOOKUPS = {
    "idr_for_each": ("idr_remove", "idr_replace", "idr_destroy"),
    "idr_find": ("idr_remove", "idr_replace", "idr_destroy"),
    "idr_get_next": ("idr_remove", "idr_replace", "idr_destroy"),
    "xa_load": ("xa_erase", "__xa_erase", "xa_store", "__xa_store", "xa_destroy"),
    "xa_find": ("xa_erase", "__xa_erase", "xa_store", "__xa_store", "xa_destroy"),
    "xa_find_after": ("xa_erase", "__xa_erase", "xa_store", "__xa_store", "xa_destroy"),
    "xas_find": ("xa_erase", "__xa_erase", "xa_store", "__xa_store", "xas_store", "xa_destroy"),
    "radix_tree_lookup": ("radix_tree_delete", "radix_tree_delete_item"),
    "rhashtable_lookup": ("rhashtable_remove", "rhashtable_destroy"),
}
_PUTS_IN = ("idr_alloc", "xa_alloc", "__xa_alloc", "xa_insert", "__xa_insert", "xa_store",
            "__xa_store", "radix_tree_insert", "rhashtable_insert")  # fmt: skip
_ALLOCATES = ("kmalloc", "__kmalloc", "kmem_cache_alloc", "kzalloc", "kvmalloc", "__kvmalloc")
_QUEUES = ("add_wait_queue", "__add_wait_queue", "prepare_to_wait", "prepare_to_swait")
_OTHERS_STACK = "the stack of another task"


@dataclass(frozen=True)
class LeftBehind:
    """What led there, and the functions that can have left it so."""

    module: str
    by: str
    """The lookup's name, or what holds the list."""
    on_stack: bool
    functions: tuple[str, ...]
    taken_out_by: str | None
    """The function that would have taken it out."""
    entry: Owner | None = None
    """The entry on the stack, where the list check met it."""


def collect(
    session: Session,
    flow: DataFlow,
    modules: Modules | Missing,
    report: ListReport | Missing,
    backtrace: Backtrace | Missing,
) -> LeftBehind | Missing:
    """Look at the ways of the bad value, and at what the list check met."""
    nothing = Missing(Why.NOT_APPLICABLE, "neither a lookup nor a queue leads to what is gone")
    if isinstance(modules, Missing):
        return modules
    queue = _queue(flow)
    if queue is not None:
        code = _code(session, modules, queue[0])
        queueing = named(one for one in code if _calls(one, _QUEUES))
        if not queueing:
            queueing = leavers(session, modules, queue[0])
        return LeftBehind(*queue, True, queueing, None)
    if isinstance(report, ListReport) and isinstance(backtrace, Backtrace):
        listed = _listed(session, modules, report, backtrace)
        if listed is not None:
            return listed
    for way in flow.ways[:2]:
        lookup = _looked_up(way) or _walked(session, modules, way)
        module = flow.first.module if way.returned_by is None else way.module
        if lookup is None or module is None:
            continue
        code = _code(session, modules, module)
        removal = _LOOKUPS[lookup]
        uses = uses_of(SessionReader(session), code)
        trees = _Trees(uses)
        takes = {base_name(f.name) for f in code if trees.takes_out(f, removal, way, lookup)}
        able, helpers = set(freers(code)), freeing_helpers(uses, code)
        for helper, callers in helpers.items():
            if callers & takes:
                # Who calls it is to take the object out.
                able = (able - {helper}) | callers
        left = [
            one
            for one in code
            if base_name(one.name) in able - takes
            and (
                _puts_in(session, one, helpers)
                if _calls(one, _PUTS_IN)
                else not _calls(one, _ALLOCATES)
            )
        ]
        # Who puts new ones in frees those that have no place there, too.
        left.sort(key=lambda one: _calls(one, _ALLOCATES))
        return LeftBehind(module, f"{lookup}()", False, named(left), f"{removal[0]}()")
    return nothing


class _Trees:
    """The trees that a module's functions hand to the kernel."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses

    def takes_out(
        self, one: ModuleFunction, removal: tuple[str, ...], way: Way, lookup: str
    ) -> bool:
        """Whether a function takes entries out of the tree that a way's lookup was in."""
        emptied = self._of(base_name(one.name), removal)
        where = self._of(base_name(way.function), (lookup,))
        unknown = not where or None in where | emptied
        if unknown:
            return bool(emptied) or _calls(one, removal)
        return not where.isdisjoint(emptied)

    def _of(self, function: str, called: tuple[str, ...], depth: int = DEPTH) -> set[int | None]:
        """Those that it, or one that it calls, hands to functions of these names.

        Of a variable its address, of a member its distance from the object; ``None`` for others.
        """
        found: set[int | None] = set()
        for call in self._uses[function].handed if function in self._uses else ():
            if call.own and depth:
                found |= self._of(base_name(call.name), called, depth - 1)
            elif not call.own and call.name.startswith(called):
                root, distance = within(call.arguments[0])
                variable = root.kind == "number"
                found.add(distance + root.number if variable else distance or None)
        return found


def _queue(flow: DataFlow) -> tuple[str, str] | None:
    """A module's data that leads to another task's stack, on which the bad value was read."""
    if len(flow.ways) < 2 or flow.bad is None or flow.bad.is_memory:
        return None
    read = flow.ways[0].held_in
    if read is None or read.kind != "stack" or read.detail != _OTHERS_STACK:
        return None
    return next((found for way in flow.ways[1:3] if (found := _in_module(way))), None)


def _listed(
    session: Session, modules: Modules, report: ListReport, backtrace: Backtrace
) -> LeftBehind | None:
    """An entry on a stack that the list check met, of a function which is not at work there."""
    entry = reported(report)
    name = next((frame.module for frame in backtrace.blamable if frame.module is not None), None)
    module = next((m for m in modules.loaded if m.name == name and m.taints), None)
    functions = leavers(session, modules, module.name) if entry and module is not None else ()
    if entry is None or module is None or not functions:
        return None
    if in_use(session, entry.address, functions):
        return None
    heads = (report.entry(role) for role in ("should", "next", "prev"))
    head = next((one.owner for one in heads if one and one.owner.kind == "module"), None)
    by = "a list" if head is None else head.symbol or f"its variable at {head.address}"
    return LeftBehind(module.name, by, True, functions, None, entry)


def _looked_up(way: Way) -> str | None:
    """The lookup that returned a pointer, or the walk that handed it to a function."""
    places = (way.returned_by, *(step.function for step in way.passed_by))
    names = (base_name(place or "").removesuffix("_fast") for place in places)
    return next((name for name in names if name in _LOOKUPS), None)


def _walked(session: Session, modules: Modules, way: Way) -> str | None:
    """The lookup by which a function walks that lost the trace: each pass has its own call."""
    if way.ended != "lost" or way.module is None:
        return None
    code = _code(session, modules, way.module)
    called = {
        c for one in code if base_name(one.name) == base_name(way.function) for c in one.calls
    }
    return next((name for name in _LOOKUPS if name in called), None)


def _in_module(way: Way) -> tuple[str, str] | None:
    held = way.held_in
    if held is None or held.kind != "module" or held.module is None:
        return None
    return held.module, way.name or f"its variable at {held.address}"


def _code(session: Session, modules: Modules, name: str) -> list[ModuleFunction]:
    module = next((m for m in modules.loaded if m.name == name), None)
    return [] if module is None else inner_functions(session, module)


def _puts_in(session: Session, one: ModuleFunction, helpers: Collection[str]) -> bool:
    """Whether a function frees after it has put something in, and not just where that failed."""
    calls = Calls(SessionReader(session), (), {})
    return frees_after(calls, one, lambda name: name.startswith(_PUTS_IN), helpers) is not False


def _calls(one: ModuleFunction, names: tuple[str, ...]) -> bool:
    return any(called.startswith(names) for called in one.outside)
