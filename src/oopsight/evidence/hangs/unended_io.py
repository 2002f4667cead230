"""Functions of block drivers that end I/O on some ways only."""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.hangs.io_in_flight import IoInFlight
from oopsight.evidence.hangs.stacks import COLD
from oopsight.evidence.modules.known_calls import ENDS_IO
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.ownership import Ownership, plain
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.machine_code import Expression, Instruction, direct_target
from oopsight.kernel.omissions import omission
from oopsight.plumbing import base_name
from oopsight.session import Session


@dataclass(frozen=True)
class UnendedIo:
    """Of one driver."""

    module: ModulePointer
    functions: tuple[tuple[str, str], ...]
    """Names, and symbol and offset of where they return without."""


@dataclass(frozen=True)
class UnendedIos:
    """Of the drivers that tasks wait for."""

    drivers: tuple[UnendedIo, ...]

    def of(self, module: str | None) -> tuple[tuple[str, str], ...]:
        """The functions of a module."""
        return next((one.functions for one in self.drivers if one.module.name == module), ())


def collect(session: Session, io: IoInFlight | Missing, modules: Modules) -> UnendedIos | Missing:
    """Read the code of the drivers."""
    if isinstance(io, Missing):
        return Missing(Why.NOT_APPLICABLE, "nobody waits for I/O")
    names = {one.driver for one in io.requests} | {one.driver for one in io.bio_disks}
    wanted = [one for one in modules.loaded if one.name in names and one.taints]
    return UnendedIos(tuple(_of(session, modules, one) for one in wanted))


def _of(session: Session, modules: Modules, module: Module) -> UnendedIo:
    try:
        code = Ownership(session, modules, module, ENDS_IO)
    except SymbolError:
        return UnendedIo(module.pointer, ())
    found: dict[str, str] = {}
    for one in code.functions:
        if COLD not in one.name and any(plain(name) in ENDS_IO for name in one.outside):
            at = next(_ways_out(code, one), None)
            if at is not None:
                found.setdefault(base_name(one.name), f"{base_name(one.name)}+{at - one.start:#x}")
    return UnendedIo(module.pointer, tuple(found.items()))


def _ways_out(code: Ownership, one: ModuleFunction) -> Iterator[int]:
    """Where a function returns without having ended what it is handed, or kept it."""
    function = code.code(one)
    if function is None:
        return
    ends = [at for at, row in function.code.items() if _is_end(code, row)]
    ended = {function.registers(at).get("rdi") for at in ends}
    own = [register for register in ARGUMENTS if Expression(register, 0) in ended]
    if own:
        return  # the ways on which it keeps what it is given were looked at
    left = omission(function, ends, code.is_aside)
    if left is not None and left.acts:
        yield left.returns


def _is_end(code: Ownership, row: Instruction) -> bool:
    return row.mnemonic in ("call", "jmp") and code.called(direct_target(row)) in ENDS_IO
