"""The fault: which instruction accessed which address, with which registers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.backtrace import Backtrace, Role, crashed_trace
from oopsight.evidence.pointers import FramePointer, Unmapped
from oopsight.session import Session

if TYPE_CHECKING:
    from drgn import StackFrame

PAGE_FAULT = "page_fault"
# x86 page fault error code, arch/x86/include/asm/trap_pf.h
_ERROR_WRITE = 1 << 1
_ERROR_FETCH = 1 << 4
_LONGEST_INSTRUCTION = 15


@dataclass(frozen=True)
class Operand:
    """A memory operand ``base + index * scale + displacement`` with the registers' values."""

    base: str | None
    base_value: Address | None
    index: str | None
    displacement: int
    address: Address | None
    """What the operand comes to; ``None`` where a register is not known."""


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


def disassemble(code: bytes, pc: int) -> tuple[str, str, Operand, str | None] | None:
    """First instruction: text, hex bytes, its memory operand without register values, access."""
    import capstone

    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    instruction = next(engine.disasm(code, pc, 1), None)
    if instruction is None:
        return None
    operand = Operand(None, None, None, 0, None)
    access = None
    for item in instruction.operands:
        if item.type == capstone.x86.X86_OP_MEM:
            operand = Operand(
                base=instruction.reg_name(item.mem.base) if item.mem.base else None,
                base_value=None,
                index=instruction.reg_name(item.mem.index) if item.mem.index else None,
                displacement=item.mem.disp,
                address=None,
            )
            access = "read" if item.access & capstone.CS_AC_READ else "write"
            break
    text = f"{instruction.mnemonic} {instruction.op_str}".strip()
    return text, instruction.bytes.hex(), operand, access


def _with_values(operand: Operand, backtrace: Backtrace) -> Operand:
    value = backtrace.register(operand.base) if operand.base else None
    address = None
    if value is not None and operand.index is None:
        address = Address((value + operand.displacement) & ((1 << 64) - 1))
    return Operand(operand.base, value, operand.index, operand.displacement, address)


def _unmapped(session: Session, address: int) -> Unmapped | None:
    """Ask the page tables; a page that is merely filtered out of the dump counts as mapped."""
    from drgn import FaultError
    from drgn.helpers.linux.mm import follow_phys

    try:
        follow_phys(session.prog["init_mm"].address_of_(), address)
    except FaultError as error:
        if error.address == address:
            return Unmapped(Address(address))
    except (LookupError, NotImplementedError, ValueError):
        pass
    return None


def _handler_value(frames: list[StackFrame], name: str) -> int | None:
    """Value of an integer variable in the innermost handler frame that still has it."""
    from drgn import FaultError, ObjectAbsentError

    for frame in frames:
        try:
            return int(frame[name])
        except (LookupError, ObjectAbsentError, FaultError, TypeError):
            continue
    return None


def collect(session: Session, backtrace: Backtrace) -> Fault | Missing:
    """Read the exception's registers, and the handler's own variables where they survived."""
    from drgn import FaultError

    frame = backtrace.fault
    if frame is None:
        return Missing(Why.NOT_APPLICABLE, "no exception interrupted kernel code")
    decoded = None
    with contextlib.suppress(FaultError):
        decoded = disassemble(session.read(frame.pc, _LONGEST_INSTRUCTION), frame.pc)
    operand = _with_values(decoded[2], backtrace) if decoded else None
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
        elif decoded:
            access = decoded[3]
        value = _handler_value(handler, "address")
        if value is None:
            value = frame.pc if access == "execute" else operand.address if operand else None
        address = None if value is None else Address(value)
    return Fault(
        exception=exception,
        address=address,
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
