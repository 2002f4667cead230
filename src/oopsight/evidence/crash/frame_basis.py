"""What each frame of the backtrace stands on: how it was found, and where its name comes from."""

from __future__ import annotations

from collections.abc import Callable

from oopsight.cheap import dataclass
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.kernel.detours import resumes_at
from oopsight.session import Session
from oopsight.symbols import SymbolStatus

REGISTERS = "saved registers"
ORC = "ORC"
FRAME_POINTER = "frame pointer"
RETURN_ADDRESS = "return address on the stack"


@dataclass(frozen=True)
class FrameBasis:
    """Of one frame."""

    index: int
    unwound: str
    """How it was found from the frame inside of it: :data:`ORC`, :data:`FRAME_POINTER` …; an
    inlined call as the function that it is part of."""
    names: str
    """Where its function and source line come from."""


def frame_basis(session: Session, backtrace: Backtrace) -> tuple[FrameBasis, ...]:
    """Tell of all frames."""
    covers = _orc(session)
    found: list[FrameBasis] = []
    inside: Frame | None = None
    start = 0
    frames = backtrace.frames
    for end, frame in enumerate(frames, 1):
        if frame.inline:
            continue
        unwound = _unwound(inside, covers)
        if inside is not None and inside.symbol is None and inside.role is Role.CALLER:
            at = resumes_at(session.prog, inside.sp)
            unwound = REGISTERS if at == frame.pc else unwound
        found += [
            FrameBasis(part.index, unwound, _names(part, session.symbols))
            for part in frames[start:end]
        ]
        inside, start = frame, end
    return tuple(found)


def _orc(session: Session) -> Callable[[int], bool] | None:
    """Whether ORC tells how to leave the function at an address; ``None`` without ORC."""
    from drgn import FaultError

    from oopsight.errors import SymbolError
    from oopsight.kernel.orc import OrcRules

    try:
        rules = OrcRules(session.prog)
    except (FaultError, LookupError, SymbolError):
        return None

    def covers(address: int) -> bool:
        try:
            return rules.covers(address)
        except FaultError:
            return False

    return covers


def _unwound(inside: Frame | None, covers: Callable[[int], bool] | None) -> str:
    if inside is None:
        return REGISTERS
    if inside.plumbing == "no code is there":
        return RETURN_ADDRESS
    # A return address may lie behind the end of the function that made the call.
    address = inside.pc if inside.role is Role.FAULT else inside.pc - 1
    if covers is None:
        return f"call frame information or {FRAME_POINTER}"
    return ORC if covers(address) else FRAME_POINTER


def _names(frame: Frame, symbols: SymbolStatus) -> str:
    if frame.role is Role.USER:
        return "none: of a program only the address is known"
    if frame.source is not None:
        return "symbol pack of debug information" if symbols.lines else "debug information"
    if frame.symbol is None:
        return "none"
    if frame.module is not None:
        return "the module's kallsyms in the dump"
    return "the kernel's kallsyms in the dump" if symbols.pack else "symbol table of the vmlinux"
