"""Functions that can return with a reference which they took and give back on another way.

Looked for in the modules whose functions hang until something is not used any more.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.instructions import Instruction
from oopsight.evidence.hangs.kept_references import Does, Kept, does, kept, lowers, raises
from oopsight.evidence.hangs.waiting import Waits, hung
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.code_ahead import GIVES
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = ("completion", "event")
_MOST_MODULES = 4
_ANY = "__x86_indirect"
"""Calls through a pointer, which may lead to what signals."""
_DEEPEST = 16
"""Functions looked into of which each calls the next."""


@dataclass(frozen=True)
class ReferenceLeak:
    """A function of a module and its way out."""

    module: ModulePointer
    function: str
    taken_at: str
    """Symbol and offset of what took the reference."""
    returns_at: str
    error: int | None
    """What it returns there, if that is an error code."""


@dataclass(frozen=True)
class ReferenceLeaks:
    """Each function once; those first that return an error code."""

    leaks: tuple[ReferenceLeak, ...]

    def of(self, module: str | None) -> tuple[ReferenceLeak, ...]:
        """Those of a module."""
        return tuple(one for one in self.leaks if one.module.name == module)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> ReferenceLeaks | Missing:
    """Search the modules that wait for a completion or an event of which no holder is known."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    names = {
        wait.call.module
        for wait in waits.victims
        if wait.call is not None and wait.lock is not None and wait.lock.kind in _KINDS
        if not wait.lock.holders
    }
    wanted = [one for one in modules.loaded if one.name in names and one.taints]
    leaks = [leak for one in wanted[:_MOST_MODULES] for leak in _search(session, one)]
    return ReferenceLeaks(tuple(leaks))


class _Module:
    """What a module's own functions do to references."""

    def __init__(self, session: Session, module: Module) -> None:
        self._reader = SessionReader(session)
        self._calls = Calls(self._reader, (), {})
        self._module = module
        self._known: dict[int, tuple[Does, bool]] = {}
        self._depth = 0

    def code(self, start: int) -> Function | None:
        return self._calls.function(start)

    def does(self, target: int | None) -> tuple[Does, bool]:
        """What the function at an address does, and whether it returns what it took."""
        known = self._reader.function(target) if target is not None else None
        if known is None or target is None:
            return Does.OTHER, False
        if not self._module.holds(target):
            return does(known[0]), False
        start = known[1]
        if start not in self._known:
            if self._depth >= _DEEPEST:
                return Does.OTHER, False
            self._known[start] = Does.OTHER, False  # it may call itself
            self._depth += 1
            self._known[start] = self._looked_into(start)
            self._depth -= 1
        return self._known[start]

    def _looked_into(self, start: int) -> tuple[Does, bool]:
        code = self.code(start)
        if code is None:
            return Does.OTHER, False
        called = [self.does(row.target)[0] for row in code.instructions if row.is_call]
        jumped = [self.does(row.target)[0] for row in code.instructions if _out(code, row.target)]
        rows = code.instructions
        down = Does.GIVES in (*called, *jumped) or any(lowers(row) for row in rows)
        up = Does.TAKES in called or any(raises(row) for row in rows)
        if up and not down:
            return Does.TAKES, True
        return (Does.GIVES if down and not up else Does.OTHER), False


def _out(code: Function, target: int | None) -> bool:
    return target is not None and code.index(target) is None


def _search(session: Session, module: Module) -> list[ReferenceLeak]:
    known = _Module(session, module)
    found: dict[str, ReferenceLeak] = {}
    functions = inner_functions(session, module, SessionReader(session))
    silent = _silent(known, functions)
    for one in functions:
        code = known.code(one.start)
        ways = kept(code, known.does) if code is not None else []
        ways = [way for way in ways if _place_at(code, way.taken) not in silent]
        if ways:
            way = next((w for w in ways if w.error is not None), ways[0])
            found.setdefault(base_name(one.name), _leak(module, one.name, one.start, way))
    return sorted(found.values(), key=lambda leak: leak.error is None)


def _silent(known: _Module, functions: list[ModuleFunction]) -> set[tuple[str, int]]:
    """Counts that functions take down none of which signals anything, itself or by what it calls.

    Of such a one the last is waited for by nobody.
    """
    names = {one.name: one for one in functions}
    lowered: dict[tuple[str, int], bool] = {}
    for one in functions:
        code = known.code(one.start)
        down = [row for row in code.instructions if lowers(row)] if code is not None else []
        places = {place for row in down if (place := _place(row)) is not None}
        called = [names[name] for name in one.calls if name in names]
        outside = one.outside.union(*(other.outside for other in called))
        signals = not outside or any(name in GIVES or name.startswith(_ANY) for name in outside)
        for place in places:
            lowered[place] = lowered.get(place, False) or signals
    return {place for place, signals in lowered.items() if not signals}


def _place_at(code: Function | None, address: int) -> tuple[str, int] | None:
    rows = code.instructions if code is not None else ()
    return next((_place(row) for row in rows if row.address == address), None)


def _place(row: Instruction) -> tuple[str, int] | None:
    """The count that an instruction changes: a variable's address, or how far in an object."""
    memory = row.operands[0].memory if row.operands else None
    if row.is_call or memory is None or memory.base is None or memory.segment is not None:
        return None
    if memory.base == "rip":
        return "", row.end + memory.displacement
    return "object", memory.displacement


def _leak(module: Module, name: str, start: int, way: Kept) -> ReferenceLeak:
    return ReferenceLeak(
        module.pointer,
        base_name(name),
        f"{name}+{way.taken - start:#x}",
        f"{name}+{way.returns - start:#x}",
        way.error,
    )
