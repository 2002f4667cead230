"""What the bad address is: whose memory, or which kind of nonsense."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session
from oopsight.text import printable

_MASK = (1 << 64) - 1
_MAX_ERRNO = 4095  # include/linux/err.h
# include/linux/poison.h, with x86-64's POISON_POINTER_DELTA
_POISON = {
    0xDEAD000000000100: "LIST_POISON1: the next pointer of a deleted list entry",
    0xDEAD000000000122: "LIST_POISON2: the previous pointer of a deleted list entry",
}
_PATTERNS = {
    0x6B: "freed slab memory (POISON_FREE)",
    0x5A: "slab memory never written (POISON_INUSE)",
    0xCC: "freed init memory or a breakpoint fill (POISON_FREE_INITMEM)",
}
_POISON_REACH = 4096


@dataclass(frozen=True)
class BadAddress:
    """The address that faulted, identified."""

    address: Address
    kind: str
    """``null``, ``error-pointer``, ``poison``, ``user``, ``non-canonical``, ``module``,
    ``module-area-gap``, ``kernel`` or ``unknown``."""
    detail: str


def error_number(value: int) -> int | None:
    """The errno of an ``ERR_PTR``.

    >>> error_number(0xFFFFFFFFFFFFFFFE), error_number(0xFFFF888000000000)
    (2, None)
    """
    return _MASK + 1 - value if _MASK - _MAX_ERRNO < value <= _MASK else None


_LIST_POISONS = (0xDEAD000000000100, 0xDEAD000000000122)


def nonsense(address: int) -> tuple[str, str] | None:
    """Kinds of address that no memory can be at, by value alone: kind and detail.

    >>> nonsense(0x38)
    ('null', 'NULL + 0x38 (56)')
    >>> nonsense(0xFFFFFFFFFFFFFFF4)
    ('error-pointer', 'ERR_PTR(-12)')
    >>> nonsense(0x6B6B6B6B6B6B6BA3)[0], nonsense(0x0F00BA4000000000)[0]
    ('poison', 'non-canonical')
    >>> nonsense(0xDEAD0000000000F8)[1]
    'LIST_POISON1: the next pointer of a deleted list entry -0x8'
    """
    if address < 4096:
        return "null", f"NULL + {address:#x} ({address})"
    if address > _MASK - _MAX_ERRNO:
        return "error-pointer", f"ERR_PTR({address - _MASK - 1})"
    for poison, what in _POISON.items():
        if 0 <= address - poison < 0x22:
            return "poison", f"{what} + {address - poison:#x}"
    # An entry's address is that of its list_head less the member's offset, a multiple of 8.
    for poison in _LIST_POISONS:
        if abs(address - poison) < _POISON_REACH and address % 8 == poison % 8:
            return "poison", f"{_POISON[poison]} {address - poison:+#x}"
    for byte, what in _PATTERNS.items():
        pattern = int.from_bytes(bytes([byte]) * 8, "little")
        if abs(address - pattern) < _POISON_REACH:
            return "poison", f"{what} {address - pattern:+#x}"
    top = address >> 47
    if top == 0:
        return "user", "an address of user space"
    # 57-bit addresses (5-level paging) are canonical from bit 56 up.
    if address >> 56 not in (0, 0xFF):
        return "non-canonical", "no address at all: its upper bits are neither all 0 nor all 1"
    return None


def collect(session: Session, fault: Fault, modules: Modules) -> BadAddress | Missing:
    """Identify the faulting address, or the operand's where the exception tells none."""
    from drgn import FaultError
    from drgn.helpers.common.memory import identify_address

    address = fault.address
    if address is None and fault.operand is not None:
        address = fault.operand.address
    if address is None:
        return Missing(Why.NOT_APPLICABLE, "the fault was not an access to memory")
    known = nonsense(int(address))
    if known:
        return BadAddress(address, *known)
    owner = modules.owner(address)
    if owner:
        return BadAddress(address, "module", f"{owner.name} + {address - owner.base:#x}")
    if modules.in_area(address):
        near = [m for m in modules.loaded if m.base < address]
        below = max(near, key=lambda m: m.base, default=None)
        where = f"above {below.name}" if below else "below all modules"
        return BadAddress(address, "module-area-gap", f"no module is loaded there, {where}")
    try:
        identified = identify_address(session.prog, address)
    except (FaultError, LookupError, NotImplementedError, ValueError) as error:
        return BadAddress(address, "unknown", f"cannot be told: {error}")
    if identified is None:
        return BadAddress(address, "unknown", "belongs to nothing that is known")
    return BadAddress(address, "kernel", printable(str(identified)))
