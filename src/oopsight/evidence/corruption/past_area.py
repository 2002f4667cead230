"""An access past the end of an area of vmalloc: who made the area, and what told how far to go.

The kernel keeps an address of the caller with each area. Of an object of the slab allocator, behind
which an index led to where nothing can be accessed, the code tells who puts such in the field that
the pointer was read from. Where the function that ran past the end went as far as numbers in memory
told it, the area may as well be too small for them.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.extent import Extent, Origin, Taken
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.flow.instructions import Instruction, Memory
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.memory.owner import SlabObject, area_caller, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_keys import FieldKeys
from oopsight.evidence.modules.module_roles import inner_functions, tables_with
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import InstructionPointer
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

_MOST_TABLE = 4096
_MOST_CALLERS = 8
_DEEPEST = 2
"""Functions that a function calls, and these."""


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
    unaware: tuple[str, ...] = ()
    """Of them, those that read none of the fields that told the runner how far to go."""
    object: SlabObject | None = None
    """What it went past the end of instead of an area."""


def collect(
    session: Session,
    flow: DataFlow,
    backtrace: Backtrace,
    modules: Modules,
    task: CrashedTask | Missing,
    fault: Fault | Missing,
) -> PastArea | Missing:
    """Look where the bad address is in the guard page behind an area, or far behind an object."""
    bad = flow.bad
    one = None if isinstance(fault, Missing) else _before(session, modules, fault, flow)
    if one is None and (bad is None or bad.kind != "vmalloc" or bad.mapped):
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

        if one is not None:
            return _past_object(session, module, (found, context), one, flow.first, of_module)
        caller = area_caller(session, int(bad.address)) if bad is not None else None
        made = None if caller is None else found.reader.function(caller)
        owner = None if caller is None else modules.owner(caller)
        by_kernel = made is not None and owner is None
        entry = _entry(context, of_module)
        tellers = _tellers(session, found, module, entry) if by_kernel else []
        limits = Extent(found.tracer, of_module).limits(context)
        return PastArea(
            maker=None if made is None else base_name(printable(made[0])),
            maker_module=None if owner is None else owner.name,
            runner=base_name(context.function.name),
            runner_module=module.name,
            bound=_bound(Extent(found.tracer, of_module).taken(context)),
            tellers=names_of(tellers),
            unaware=names_of(unaware(tellers, limits)),
        )
    return Missing(Why.NOT_APPLICABLE, "no module from outside the kernel's tree is on the path")


def _before(session: Session, modules: Modules, fault: Fault, flow: DataFlow) -> SlabObject | None:
    """The object in use from which an index led to a bad address behind it."""
    value, operand = flow.first.value, fault.operand
    if fault.exception != PAGE_FAULT or fault.address is None or flow.subject != "operand":
        return None
    if value is None or operand is None or operand.index is None:
        return None
    one = owner_of(session, modules, int(value)).slab
    begins = one is not None and not one.freed and one.address == value
    return one if one is not None and begins and fault.address >= one.end else None


def _past_object(
    session: Session,
    module: Module,
    at: tuple[Calls, Context],
    one: SlabObject,
    way: Way,
    of_module: Callable[[Context], bool],
) -> PastArea:
    """Who puts what it allocates where the pointer to the object was read, and how far to go."""
    found, context = at
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, module, reader))
    keys = FieldKeys(way, uses)
    makers = (
        name
        for name, use in uses.items()
        for stored in use.stores
        if stored.what == "fresh" and stored.key in keys.candidates(use)
    )
    maker = next(makers, None)
    return PastArea(
        maker=maker,
        maker_module=module.name if maker is not None else None,
        runner=base_name(context.function.name),
        runner_module=module.name,
        bound=_bound(Extent(found.tracer, of_module).taken(context)),
        object=one,
    )


def _entry(context: Context, of_module: Callable[[Context], bool]) -> Context:
    """The function of the module through which the kernel came to a call."""
    for _ in range(_MOST_CALLERS):
        outer = context.caller()
        if outer is None or not of_module(outer):
            break
        context = outer
    return context


def _tellers(session: Session, found: Calls, module: Module, runner: Context) -> list[Function]:
    """Functions in the tables that the runner is in, which only work out a number."""
    from drgn import FaultError

    tellers: dict[int, Function] = {}
    for begin in sorted(tables_with(session, module, runner.function.start)):
        try:
            table = session.read(begin, int(session.prog.symbol(begin).size) & ~7)
        except (FaultError, LookupError):
            continue
        for value in array.array("Q", table[:_MOST_TABLE]):
            code = found.function(value) if module.holds(value) else None
            if code is not None and code.start == value and tells_a_number(found, module, code):
                tellers[value] = code
    return list(tellers.values())


def names_of(functions: Iterable[Function]) -> tuple[str, ...]:
    """Their names, each once."""
    return tuple(dict.fromkeys(base_name(one.name) for one in functions))


def tells_a_number(found: Calls, module: Module, code: Function, deep: int = _DEEPEST) -> bool:
    """Whether a function stores nothing, and so can only return something.

    What it calls of its module must not either.
    """
    stores = any(
        operand.writes and operand.memory is not None and operand.memory.base != "rsp"
        for row in code.instructions
        for operand in row.operands
        if not row.mnemonic.startswith("nop")
    )
    returns = any("rax" in row.written or row.is_call for row in code.instructions)
    if stores or not returns:
        return False
    called = [row.target for row in code.instructions if row.is_call]
    inner = [found.function(to) if to and deep and module.holds(to) else None for to in called]
    return all(one is not None and tells_a_number(found, module, one, deep - 1) for one in inner)


def unaware(tellers: Iterable[Function], limits: Iterable[Taken]) -> list[Function]:
    """Those that read none of the fields that tell another how far to go.

    By how far the fields are from the pointers that the code has; none, where no field does.
    """
    fields = {
        memory.displacement
        for one in limits
        if one.origin is Origin.MEMORY
        for memory in _read(one.context.function.instructions[one.index])
    }
    return (
        [
            code
            for code in tellers
            if fields.isdisjoint(at.displacement for row in code.instructions for at in _read(row))
        ]
        if fields
        else []
    )


def _read(row: Instruction) -> Iterator[Memory]:
    """Places outside the stack that an instruction accesses."""
    for operand in row.operands:
        if operand.memory is not None and operand.memory.base != "rsp":
            yield operand.memory


def _bound(taken: list[Taken]) -> Bound | None:
    if not taken or any(one.origin is not Origin.MEMORY for one in taken):
        return None
    one = taken[0]
    row = one.context.function.instructions[one.index]
    instruction = InstructionPointer(Address(row.address), row.bytes.hex(), row.text)
    return Bound(base_name(one.context.function.name), instruction)
