"""An access past the end of an area of vmalloc: who made the area, and what told how far to go.

The kernel keeps an address of the caller with each area. Where the function that ran past the end
went as far as numbers in memory told it, the area may as well be too small for them.
"""

from __future__ import annotations

import array

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.extent import Extent, Origin, Taken
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.memory.owner import area_caller
from oopsight.evidence.modules.module_roles import tables_with
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import InstructionPointer
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

_MOST_TABLE = 4096


@dataclass(frozen=True)
class Bound:
    """A number in memory that told how far to go."""

    function: str
    """That read it."""
    instruction: InstructionPointer


@dataclass(frozen=True)
class PastArea:
    """Who had the area made, and what is known of how far the module's function wanted to go."""

    maker: str | None
    """Function, base name; ``None`` where it is gone, as an initialisation function is."""
    maker_module: str | None
    runner: str
    """The function of a module that went past the end, or had it done."""
    runner_module: str
    bound: Bound | None
    """Set where nothing but memory told how far: neither an argument nor a call's result."""
    tellers: tuple[str, ...] = ()
    """Where the kernel had it made: functions in one table with the runner that do nothing but
    return a number, by which the kernel may have."""


def collect(
    session: Session,
    flow: DataFlow,
    backtrace: Backtrace,
    modules: Modules,
    task: CrashedTask | Missing,
) -> PastArea | Missing:
    """Look where the bad address is in the guard page behind an area."""
    bad = flow.bad
    if bad is None or bad.kind != "vmalloc" or bad.mapped:
        return Missing(Why.NOT_APPLICABLE, "no access was past the end of an area of vmalloc")
    found = calls(session, backtrace, None if isinstance(task, Missing) else task.cpu)
    contexts = (found.context(position) for position in range(len(found.frames)))
    foreign = [one for one in modules.loaded if one.taints]
    for context in contexts:
        module = None if context is None else modules.owner(context.function.start)
        if context is None or module not in foreign:
            continue

        def of_module(outer: Context, name: str = module.name) -> bool:
            owner = modules.owner(outer.function.start)
            return owner is not None and owner.name == name

        caller = area_caller(session, int(bad.address))
        made = None if caller is None else found.reader.function(caller)
        owner = None if caller is None else modules.owner(caller)
        by_kernel = made is not None and owner is None
        return PastArea(
            maker=None if made is None else base_name(printable(made[0])),
            maker_module=None if owner is None else owner.name,
            runner=base_name(context.function.name),
            runner_module=module.name,
            bound=_bound(Extent(found.tracer, of_module).taken(context)),
            tellers=_tellers(session, found, module, context) if by_kernel else (),
        )
    return Missing(Why.NOT_APPLICABLE, "no module from outside the kernel's tree is on the path")


def _tellers(session: Session, found: Calls, module: Module, runner: Context) -> tuple[str, ...]:
    """Functions in the tables that the runner is in, which only work out a number."""
    from drgn import FaultError

    names: dict[str, None] = {}
    for begin in sorted(tables_with(session, module, runner.function.start)):
        try:
            table = session.read(begin, int(session.prog.symbol(begin).size) & ~7)
        except (FaultError, LookupError):
            continue
        for value in array.array("Q", table[:_MOST_TABLE]):
            code = found.function(value) if module.holds(value) else None
            if code is not None and code.start == value and tells_a_number(code):
                names[base_name(code.name)] = None
    return tuple(names)


def tells_a_number(code: Function) -> bool:
    """Whether a function calls nothing and stores nothing, and so can only return something."""
    stores = any(
        operand.writes and operand.memory is not None and operand.memory.base != "rsp"
        for row in code.instructions
        for operand in row.operands
        if not row.mnemonic.startswith("nop")
    )
    calls_ = any(row.is_call for row in code.instructions)
    return not stores and not calls_ and any("rax" in row.written for row in code.instructions)


def _bound(taken: list[Taken]) -> Bound | None:
    if not taken or any(one.origin is not Origin.MEMORY for one in taken):
        return None
    one = taken[0]
    row = one.context.function.instructions[one.index]
    instruction = InstructionPointer(Address(row.address), row.bytes.hex(), row.text)
    return Bound(base_name(one.context.function.name), instruction)
