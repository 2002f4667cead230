"""The function that a variable was handed to, and that returned as if it had filled it.

The NULL pointer is what its caller had put there before.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.ownership import Ownership
from oopsight.evidence.pointers import InstructionPointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import FRAME, direct_target, memory_place
from oopsight.kernel.pointer_fate import RETURNS
from oopsight.kernel.unfilled_variable import promised, unfilled
from oopsight.plumbing import base_name
from oopsight.session import Session


@dataclass(frozen=True)
class Unfilled:
    """The call, as far as the code tells."""

    module: str
    caller: str
    function: str
    """Returns on some way as where it has filled the variable, and has not."""
    set_at: InstructionPointer
    """Where its caller had set the variable."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> Unfilled | Missing:
    """Look who got the address of the variable that the bad value was read from."""
    nothing = Missing(Why.NOT_APPLICABLE, "the bad value was in no variable that others fill")
    way = flow.first
    module = next((one for one in modules.loaded if one.name == way.module), None)
    if module is None or not module.taints or way.ended != "set" or way.end is None:
        return nothing
    code = Ownership(session, modules, module)
    one = code.holding(int(way.end.instruction.address))
    function = code.code(one) if one is not None else None
    use = _read_at(way)
    if function is None or use is None:
        return nothing
    for site, target, register in _handed(function, int(way.end.instruction.address)):
        called = code.by_start.get(target)
        inner = code.code(called) if called is not None else None
        promise = promised(function, site, use) if inner is not None else None
        if called is None or inner is None or promise is None:
            continue
        if unfilled(inner, register, promise, lambda to: code.does(to, "") == RETURNS):
            name = base_name(called.name)
            return Unfilled(module.name, base_name(way.function), name, way.end.instruction)
    return nothing


def _read_at(way: Way) -> int | None:
    """Where the function that had set the variable read it again."""
    reads = (one for one in way.steps if one.how == "reloaded" and one.function == way.function)
    return next((int(one.instruction.address) for one in reads), None)


def _handed(function: Function, set_at: int) -> list[tuple[int, int, str]]:
    """The calls that are given the address of a variable, their targets, and in which register."""
    instruction = function.code.get(set_at)
    place = memory_place(instruction, function.registers(set_at)) if instruction else None
    found = []
    for at, row in function.code.items() if place is not None and place.base == FRAME else ():
        target = direct_target(row) if row.mnemonic == "call" else None
        if target is None:
            continue
        registers = function.registers(at)
        found += [(at, target, name) for name in ARGUMENTS if registers.get(name) == place]
    return found
