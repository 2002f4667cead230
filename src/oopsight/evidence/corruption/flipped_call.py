"""A call that names its function, and leads to where none is: the code itself was changed.

The compiler and the linker write such calls; the kernel, where it patches one, writes the address
of a function. No pointer is involved. If a single bit of the distance makes it the beginning of a
function, that bit was turned in memory.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.jumped_on import CALL_SIZE, named_target
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_BITS = 32  # of the distance
_SIGN = 1 << 31


@dataclass(frozen=True)
class FlippedCall:
    """The call instruction, and what it was."""

    code: BytesPointer
    caller: str
    target: Address
    """Where it leads now."""
    intended: tuple[tuple[int, str], ...]
    """Bit of the distance, and the function at whose beginning the call ends with it turned."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules | Missing
) -> FlippedCall | Missing:
    """Look at the call whose return address is on top of the stack."""
    nothing = Missing(Why.NOT_APPLICABLE, "no call that names its function led to where none is")
    if fault.address is None or fault.address != fault.pc:
        return nothing
    # A call that was patched to lead into a module does so after the module has gone.
    if isinstance(modules, Missing) or modules.in_area(fault.pc):
        return nothing
    prog: Any = session.prog
    rsp = backtrace.register("rsp")
    returns_to = read_word(session, int(rsp)) if rsp is not None else None
    if returns_to is None or named_target(prog, returns_to) != fault.pc:
        return nothing
    caller = _begun(prog, returns_to - 1)
    if caller is None:
        return nothing
    raw = session.read(returns_to - CALL_SIZE, CALL_SIZE)
    distance = int.from_bytes(raw[1:], "little")
    intended = []
    for bit in range(_BITS):
        turned = distance ^ 1 << bit
        signed = turned - (1 << 32) if turned & _SIGN else turned
        found = _begun(prog, returns_to + signed)
        if found is not None and found[1] == returns_to + signed:
            intended.append((bit, base_name(found[0])))
    pointer = BytesPointer(Address(returns_to - CALL_SIZE), raw.hex())
    return FlippedCall(pointer, base_name(caller[0]), fault.pc, tuple(intended))


def _begun(prog: Any, address: int) -> tuple[str, int] | None:
    """The function that an address lies in, and where it begins."""
    from drgn import SymbolKind

    if not 1 << 63 <= address < 1 << 64:
        return None
    try:
        symbol = prog.symbol(address)
    except LookupError:
        return None
    if symbol.kind not in (SymbolKind.FUNC, SymbolKind.UNKNOWN):
        return None
    return symbol.name, symbol.address
