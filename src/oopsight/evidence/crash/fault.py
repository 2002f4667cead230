"""The fault: which instruction accessed which address, with which registers."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import INTERRUPT, KASAN, Backtrace, Role, crashed_trace
from oopsight.evidence.crash.kasan_check import (
    checked_access,
    reported_access,
    reported_address,
)
from oopsight.evidence.crash.log import Log
from oopsight.evidence.pointers import FramePointer, Unmapped
from oopsight.session import Session

if TYPE_CHECKING:
    from drgn import StackFrame

PAGE_FAULT = "page_fault"
GENERAL_PROTECTION = "general_protection"
STACK_SEGMENT = "stack_segment"
DIVIDE_ERROR = "divide_error"
INVALID_OPCODE = "invalid_op"
"""Mostly the ``ud2`` of a BUG() or WARN()."""
_SERVES = ("handle_mm_fault", "__handle_mm_fault")
"""Functions that bring in what a page fault was for: memory may run out there."""
# x86 page fault error code, arch/x86/include/asm/trap_pf.h
_ERROR_WRITE = 1 << 1
_ERROR_FETCH = 1 << 4
_LONGEST_INSTRUCTION = 15
_CANONICAL = 47  # from this bit on, all are the same


@dataclass(frozen=True)
class Operand:
    """A memory operand ``base + index * scale + displacement`` with the registers' values.

    Of several (``movs`` has two) the one that can have faulted.
    """

    base: str | None
    base_value: Address | None
    index: str | None
    displacement: int
    address: Address | None
    """What the operand comes to; ``None`` where a register is not known."""
    index_value: Address | None = None
    scale: int = 1

    @property
    def absolute(self) -> bool:
        """Whether the address stands in the code."""
        return self.base is None and self.index is None and self.address is not None


@dataclass(frozen=True)
class Fault:
    """A page fault or another exception in kernel code."""

    exception: str | None
    """After its entry point: ``page_fault``, ``general_protection``, ``divide_error`` …"""
    address: Address | None
    """The address accessed; ``None`` for exceptions without one."""
    access: str | None
    """``read``, ``write`` or ``execute``."""
    pc: Address
    function: str
    module: str | None
    instruction: str | None
    """Disassembly; ``None`` where the text page is not in the dump."""
    code: str | None
    """The instruction's bytes, hex."""
    operand: Operand | None
    unmapped: Unmapped | None
    """Set where the page tables confirm that nothing is mapped at ``address``."""
    frame: FramePointer
    check: Address | None = None
    """Where KASAN's check stopped the machine before the access, at :attr:`pc`. What is told then
    is what the access would have met."""


def disassemble(
    code: bytes, pc: int, registers: dict[str, int], address: int | None = None
) -> tuple[str, str, Operand, str | None] | None:
    """First instruction: text, hex bytes, its memory operand, and whether that is read or written.

    :param registers: as far as known
    :param address: what faulted, to choose between two operands

    >>> text, _, operand, access = disassemble(bytes.fromhex("488b04cf"), 0, {"rdi": 1, "rcx": 2})
    >>> text, str(operand.address), access
    ('mov rax, qword ptr [rdi + rcx*8]', '0x11', 'read')
    """
    from oopsight.evidence.flow.instructions import decode

    rows = decode(code, pc, 1)
    if not rows:
        return None
    row = rows[0]
    found = []
    for operand in row.operands:
        memory = operand.memory
        if memory is None:
            continue
        known = {**registers, "rip": row.end}
        parts = [known.get(name) for name in (memory.base, memory.index) if name]
        total = None
        if None not in parts and memory.segment not in ("gs", "fs"):
            base = known.get(memory.base, 0) if memory.base else 0
            index = known.get(memory.index, 0) if memory.index else 0
            total = Address((base + index * memory.scale + memory.displacement) & ((1 << 64) - 1))
        chosen = Operand(
            base=memory.base,
            base_value=_address(known.get(memory.base)) if memory.base else None,
            index=memory.index,
            displacement=memory.displacement,
            address=total,
            index_value=_address(known.get(memory.index)) if memory.index else None,
            scale=memory.scale,
        )
        found.append((chosen, "read" if operand.reads else "write"))
    if not found:
        return row.text, row.bytes.hex(), Operand(None, None, None, 0, None), None
    hit = [
        one
        for one in found
        if address is not None and one[0].address is not None and 0 <= address - one[0].address < 64
    ]
    operand_, access = (hit or found)[0]
    return row.text, row.bytes.hex(), operand_, access


def _address(value: int | None) -> Address | None:
    return None if value is None else Address(value)


def _unmapped(session: Session, address: int) -> Unmapped | None:
    """Ask the page tables; a page that is merely filtered out of the dump counts as mapped."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import follow_phys

    try:
        follow_phys(session.prog["init_mm"].address_of_(), address)
    except FaultError as error:
        if error.address == address:
            return Unmapped(Address(address))
    except (LookupError, NotImplementedError, ValueError, SymbolError):
        pass
    return None


def _handler_value(frames: list[StackFrame], name: str) -> int | None:
    """Value of an integer variable in the innermost handler frame that still has it."""
    from drgn import FaultError, ObjectAbsentError

    for frame in frames:
        try:
            return int(frame[name])
        except (LookupError, ObjectAbsentError, FaultError, TypeError, SymbolError):
            continue
    return None


_LOGGED_ADDRESS = re.compile(r"address:? ([0-9a-f]{16}|[0-9a-f]{8})\b")
_LOGGED_ACCESS = re.compile(r"#PF: \w+ (read|write|instruction fetch)")


def logged(log: Log) -> tuple[int | None, str | None]:
    """Address and access of the last page fault that the log tells of.

    >>> from oopsight.evidence.pointers import LogPointer
    >>> texts = ("BUG: unable to handle page fault for address: ffffc90000400000",
    ...          "#PF: supervisor write access in kernel mode")
    >>> lines = tuple(LogPointer(1.0, text) for text in texts)
    >>> logged(Log(lines, None, None, None)) == (0xffffc90000400000, "write")
    True
    """
    access = None
    for line in reversed(log.lines):
        how = _LOGGED_ACCESS.match(line.text)
        if how and access is None:
            access = "execute" if how[1] == "instruction fetch" else how[1]
        if line.text.startswith("BUG: ") and (found := _LOGGED_ADDRESS.search(line.text)):
            return int(found[1], 16), access
    return None, None


def collect(session: Session, backtrace: Backtrace, log: Log | Missing) -> Fault | Missing:
    """Read the exception's registers, and the handler's own variables where they survived."""
    from drgn import FaultError

    frame = backtrace.fault
    if frame is None:
        return Missing(Why.NOT_APPLICABLE, "no exception interrupted kernel code")
    if backtrace.exception in (INTERRUPT, "nmi"):
        return Missing(Why.NOT_APPLICABLE, "an interrupt led to the panic, not an exception")
    served = any(
        row.function in _SERVES and row.role is Role.PANIC_PATH for row in backtrace.frames
    )
    if backtrace.exception == PAGE_FAULT and served:
        return Missing(Why.NOT_APPLICABLE, "the panic came as a page fault was served as it should")
    told = logged(log) if isinstance(log, Log) else (None, None)
    exception = backtrace.exception
    address = access = None
    if exception == PAGE_FAULT:
        handler = [
            frame
            for frame, row in zip(crashed_trace(session), backtrace.frames, strict=False)
            if row.role is Role.PANIC_PATH
        ]
        error_code = _handler_value(handler, "error_code")
        if error_code is not None:
            access = "write" if error_code & _ERROR_WRITE else "read"
            access = "execute" if error_code & _ERROR_FETCH else access
        else:
            access = told[1]
        address = _handler_value(handler, "address")
        if address is None:
            address = frame.pc if access == "execute" else told[0]
    decoded = None
    if access != "execute":
        with contextlib.suppress(FaultError):
            code = session.read(frame.pc, _LONGEST_INSTRUCTION)
            decoded = disassemble(code, frame.pc, dict(backtrace.registers), address)
    operand = decoded[2] if decoded else None
    if exception == PAGE_FAULT:
        if access is None and decoded:
            access = decoded[3]
        if address is None and operand:
            address = operand.address
    found = Fault(
        exception=exception,
        address=_address(address),
        access=access,
        pc=frame.pc,
        function=frame.function,
        module=frame.module,
        instruction=decoded[0] if decoded else None,
        code=decoded[1] if decoded else None,
        operand=operand,
        unmapped=_unmapped(session, address) if address is not None else None,
        frame=frame.pointer,
    )
    return _of_access(session, found, dict(backtrace.registers), log)


def _of_access(
    session: Session, fault: Fault, registers: dict[str, int], log: Log | Missing
) -> Fault:
    """The fault that an access would have met, had not KASAN's check before it stopped it."""
    shadow = fault.operand.address if fault.operand is not None else None
    reported = reported_address(log) if fault.exception == KASAN else None
    row = (
        checked_access(session, fault.pc, registers, shadow)
        if reported is None
        else reported_access(session, fault.pc, registers, reported)
    )
    decoded = disassemble(row.bytes, row.address, registers) if row is not None else None
    if row is None or decoded is None:
        return fault
    instruction, code, operand, access = decoded
    address = operand.address
    canonical = address is not None and address >> _CANONICAL in (0, (1 << 64 - _CANONICAL) - 1)
    return replace(
        fault,
        exception=PAGE_FAULT if canonical else GENERAL_PROTECTION,
        address=address if canonical else None,
        access=access,
        pc=Address(row.address),
        instruction=instruction,
        code=code,
        operand=operand,
        unmapped=_unmapped(session, address) if address is not None and canonical else None,
        check=fault.pc,
    )
