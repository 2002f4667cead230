"""What a block driver's functions do with the requests, or bios, that it has not completed.

The function that is handed requests mostly hands them on, by a list for one, to others of the
driver. One of these may take one off the list, or be handed it, and neither end nor keep it.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.io_in_flight import IoInFlight
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.known_calls import ENDS_IO
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.answers import is_looked_at
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.lost_requests import ENDS, KEEPS, LOOKS, Fate, brings, given, gotten
from oopsight.kernel.machine_code import Expression, direct_target, memory_place, stores
from oopsight.plumbing import base_name
from oopsight.session import Session

_HARMLESS = re.compile(
    r"_*(?:_raw_(?:spin|read|write)_\w+|mem(?:cpy|cmp|move|set)\w*|list_(?:add|del_entry)_valid\w*"
    r"|blk_mq_start_request|blk_rq_map_sg\w*|blk_mq_unique_tag|printk|dev_\w*printk"
    r"|dev_(?:err|warn|info)|usleep_range\w*|msleep\w*|mutex_\w+|sg_\w+|str\w*|u?delay|might_\w+"
    r"|cond_resched|copy_\w+|trace_\w+|dynamic_\w+|bio_advance\w*|local_bh_\w+)"
)
_ADDS = re.compile(r"__list_add_valid\w*")
"""What looks at an entry before the code puts it on a list."""
_REQUEST = Expression("rsi", 0)
_DEEPEST = 3
_MOST_MODULES = 4


@dataclass(frozen=True)
class LostRequest:
    """A function that can lose a request."""

    function: str
    at: str
    """Symbol and offset of where it has none any more: it returns there, or gets the next one."""
    untied: bool
    """Whether it had taken it off a list, so that nothing leads to it."""


@dataclass(frozen=True)
class Driver:
    """What the code of a driver does with requests."""

    module: ModulePointer
    losers: tuple[LostRequest, ...]
    """Those that take them off a list first."""
    enders: tuple[str, ...]
    """Functions that end requests."""
    hands_on: bool
    """Whether the function that is handed requests ends none itself."""
    keeps_one: bool
    """Whether that function keeps a request where but one can be."""


@dataclass(frozen=True)
class LostRequests:
    """Of the drivers from outside the kernel's tree that have requests."""

    drivers: tuple[Driver, ...]

    def of(self, module: str | None) -> Driver | None:
        """That of a module."""
        return next((one for one in self.drivers if one.module.name == module), None)


def collect(session: Session, io: IoInFlight | Missing, modules: Modules) -> LostRequests | Missing:
    """Read the code of the drivers that have not completed something."""
    if isinstance(io, Missing):
        return Missing(Why.NOT_APPLICABLE, io.detail)
    takes = {one.driver: one.function for one in io.bio_disks}
    takes |= {one.driver: one.function for one in io.requests if one.driver is not None}
    found = []
    for module in [m for m in modules.loaded if m.name in takes and "O" in m.taints]:
        found.append(_Code(session, modules, module).driver(takes[module.name]))
        if len(found) >= _MOST_MODULES:
            break
    return LostRequests(tuple(found))


def _looks_at(function: Function, place: Expression) -> bool:
    """Whether it reads what is there: it may find that busy."""
    return any(
        memory_place(row, function.registers(at)) == place and not stores(row)
        for at, row in function.code.items()
    )


class _Code:
    """The functions of one module."""

    def __init__(self, session: Session, modules: Modules, module: Module) -> None:
        self._stacks = StackReader(session, modules)
        self._module = module
        self._given: dict[tuple[int, str], Fate | None] = {}
        self._depth = 0
        self._functions: dict[str, Function] = {}
        try:
            for name, start, _ in machine_code(SessionReader(session), module):
                function = self._stacks.function(start)
                if function is not None and ".cold" not in name:
                    self._functions[name] = function
        except SymbolError:
            pass

    def driver(self, takes: str) -> Driver:
        """What they do with requests.

        :param takes: the function that is handed them
        """
        enders = [name for name, one in self._functions.items() if self._ends(one)]
        concerned = [
            name
            for name, one in self._functions.items()
            if name == takes or self._reaches(one, _DEEPEST)
        ]
        losers = [lost for name in concerned for lost in self._lost(name, takes=name == takes)]
        taking = next((one for name, one in self._functions.items() if name == takes), None)
        ends = taking is not None and self._reaches(taking, _DEEPEST)
        return Driver(
            module=self._module.pointer,
            losers=tuple(sorted(losers, key=lambda one: not one.untied)),
            enders=tuple(dict.fromkeys(base_name(n) for n in enders if n != takes)),
            hands_on=taking is not None and not ends,
            keeps_one=taking is not None and self._keeps_one(taking),
        )

    def _keeps_one(self, function: Function) -> bool:
        """Whether the request of the second argument, ``struct blk_mq_queue_data *``, is stored."""
        for at, row in function.code.items():
            if brings(row) and memory_place(row, function.registers(at)) == _REQUEST:
                fate = gotten(function, at, self._does)
                if fate is not None and any(not _looks_at(function, one) for one in fate.alone):
                    return True
        return False

    def _lost(self, name: str, *, takes: bool) -> list[LostRequest]:
        """How one loses requests: each function once.

        :param takes: it is the one that the kernel hands them
        """
        function = self._functions[name]
        answers = takes or self._is_asked(function)
        found = []
        for fate in self._fates(function):
            if not (fate.ended or (takes and fate.kept)):
                continue
            lost = [at for at in fate.lost if not answers or not fate.is_told(at)]
            for at in sorted(lost, key=lambda at: at not in fate.untied):
                place = f"{name}+{at - function.start:#x}"
                found.append(LostRequest(base_name(name), place, at in fate.untied))
        found.sort(key=lambda one: not one.untied)
        return found[:1]

    def _is_asked(self, function: Function) -> bool:
        """Whether one of the module's functions looks at what it returns."""
        return any(
            direct_target(row) == function.start and is_looked_at(caller, row)
            for caller in self._functions.values()
            for row in caller.code.values()
            if row.mnemonic == "call"
        )

    def _fates(self, function: Function) -> list[Fate]:
        """What becomes of all that the function gets."""
        found = [given(function, register, self._does) for register in ARGUMENTS]
        for at, row in function.code.items():
            if not brings(row) or at not in function.code or not function.registers(at):
                continue
            handed = memory_place(row, function.registers(at)) == _REQUEST
            fate = gotten(function, at, self._does, stays=handed)
            # What is loaded and not taken off a list is kept where it was.
            if fate is not None and row.mnemonic != "call":
                fate = fate._replace(lost=fate.silent if handed else fate.untied)
            found.append(fate)
        return [one for one in found if one is not None]

    def _ends(self, function: Function) -> bool:
        """Whether it ends requests by itself."""
        return any(
            self._is_end(target)
            for row in function.code.values()
            if row.mnemonic in ("call", "jmp") and (target := direct_target(row)) is not None
        )

    def _reaches(self, function: Function, depth: int) -> bool:
        """Whether it ends requests, or one does that it leads to by so many calls."""
        reached = nearest = {function.start: function}
        for _ in range(depth):
            called = {
                inner.start: inner
                for one in nearest.values()
                for row in one.code.values()
                if (inner := self._own(direct_target(row))) is not None
            }
            nearest = {start: one for start, one in called.items() if start not in reached}
            reached = reached | nearest
        return any(self._ends(one) for one in reached.values())

    def _is_end(self, target: int | None) -> bool:
        name = self._stacks.names.function_at(target) if target is not None else None
        return name is not None and name.lstrip("_") in ENDS_IO

    def _own(self, target: int | None) -> Function | None:
        if target is None or not self._module.holds(Address(target)):
            return None
        function = self._stacks.function(target)
        return function if function is not None and function.start == target else None

    def _does(self, target: int | None, register: str) -> str:
        name = self._stacks.names.function_at(target) if target is not None else None
        if self._is_end(target):
            return ENDS if register == ARGUMENTS[0] else LOOKS
        own = self._own(target)
        if name is not None and _ADDS.fullmatch(name) and register == ARGUMENTS[0]:
            return KEEPS
        if own is None:
            return LOOKS if name is not None and _HARMLESS.fullmatch(name) else KEEPS
        key = own.start, register
        if key not in self._given:
            self._given[key] = None  # of one that calls itself
            if self._depth < _DEEPEST:
                self._depth += 1
                self._given[key] = given(own, register, self._does)
                self._depth -= 1
        fate = self._given[key]
        if fate is None or fate.kept:
            return KEEPS
        return ENDS if fate.ended else LOOKS
