"""Who clears a field while what runs of its own accord, and uses it, goes on.

Other code of the module that clears it has stopped the timer, the work or the thread first: so NULL
is nothing that these have to expect. Not a fact by itself: :mod:`oopsight.evidence.modules.doers`
asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow import Reader
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import MOST_VISITED, Function
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import reaching
from oopsight.evidence.modules.stoppers import calling, direct, ending
from oopsight.plumbing import base_name


def clearing_unstopped(
    reader: Reader,
    backtrace: Backtrace,
    cleared: Mapping[str, Iterable[int]],
    code: list[ModuleFunction],
) -> tuple[str, ...]:
    """Functions that clear a field, or have a helper do so, and stop nothing, as others do.

    :param cleared: for each function that clears it where, behind the instruction that does
    """
    ends = ending(backtrace)
    if not ends:
        return ()
    asked = _Stopping(reader, ends, code)
    found: dict[str, None] = {}
    trusting = False
    for one in [one for one in code if base_name(one.name) in cleared]:
        name = base_name(one.name)
        stopped, running = asked.ways(one, set(cleared[name]))
        if not stopped:
            # Those that call it may have stopped it for it.
            callers = [by for by in code if one.name in by.calls and by is not one]
            each = {by: asked.ways(by, asked.calls_of(by, one)) for by in callers}
            stopped = any(before for before, _ in each.values())
            left = [base_name(by.name) for by, (_, without) in each.items() if without]
            found |= dict.fromkeys(left if stopped else [name])
        elif running:
            found[name] = None
        trusting = trusting or stopped
    return tuple(found) if trusting else ()


class _Stopping:
    """Where the functions of a module stop what met the pointer."""

    def __init__(self, reader: Reader, ends: tuple[str, ...], code: list[ModuleFunction]) -> None:
        self._calls = Calls(reader, (), {})
        self._ends = ends
        self._stopping = {base_name(one.name) for one in direct(ends, code)}
        self._stops = set(reaching(self._stopping, code))

    def ways(self, one: ModuleFunction, places: set[int]) -> tuple[bool, bool]:
        """Whether a function comes to some places after it has stopped it, and whether without.

        :param places: ends of instructions
        """
        name = base_name(one.name)
        if name not in self._stops:
            return False, True
        code = self._calls.function(one.start) if name in self._stopping else None
        if code is None:
            return True, False  # a function that it calls does so
        there = {at for at, row in enumerate(code.instructions) if row.end in places}
        without = there & _reached(code, calling(self._calls, code, self._ends))
        return bool(there - without), bool(without)

    def calls_of(self, one: ModuleFunction, called: ModuleFunction) -> set[int]:
        """Where a function calls another: behind the instructions."""
        code = self._calls.function(one.start)
        rows = code.instructions if code is not None else ()
        return {row.end for row in rows if row.target == called.start}


def _reached(code: Function, stops: set[int]) -> set[int]:
    """Indexes of the instructions to which a way leads past all of some."""
    seen = {0} - stops
    work = list(seen)
    while work and len(seen) < MOST_VISITED:
        new = set(code.after[work.pop()]) - seen - stops
        seen |= new
        work += new
    return seen
