"""The crash path as the backward tracing needs it: physical frames, memory and symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.evidence.crash.backtrace import Backtrace, Role, crashed_trace
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.evidence.flow.moves import Context
    from oopsight.evidence.flow.ways import FlowStep

_CHUNK = 4096
_ASSEMBLY_SIZE = 512
_DECODED = "oopsight-decoded-functions"


class SessionReader:
    """A session's memory and symbols, each asked for once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pages: dict[int, bytes | None] = {}
        self._functions: dict[int, tuple[str, int, int] | None] = {}

    def _page(self, number: int) -> bytes | None:
        from drgn import FaultError

        if number not in self._pages:
            try:
                self._pages[number] = self._session.read(number * _CHUNK, _CHUNK)
            except (FaultError, OverflowError):
                self._pages[number] = None
        return self._pages[number]

    def read(self, address: int, size: int) -> bytes | None:
        """Memory, or ``None`` where it is not mapped or not in the dump."""
        if size <= 0 or not 0 <= address < 1 << 64 or address + size > 1 << 64:
            return None
        result = bytearray()
        for number in range(address // _CHUNK, (address + size - 1) // _CHUNK + 1):
            page = self._page(number)
            if page is None:
                return None
            result += page
        start = address % _CHUNK
        return bytes(result[start : start + size])

    def function(self, address: int) -> tuple[str, int, int] | None:
        """Name, start and size in bytes of the function that holds the address."""
        if address < 1 << 63:
            return None
        if address not in self._functions:
            self._functions[address] = self._symbol(address)
        return self._functions[address]

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        """As :meth:`function`, but only if the symbol is one of code."""
        from drgn import SymbolKind

        try:
            symbol = self._session.prog.symbol(address)
        except LookupError:
            return None
        if symbol.kind != SymbolKind.FUNC:
            return None
        return printable(symbol.name), symbol.address, symbol.size

    def _symbol(self, where: int | str) -> tuple[str, int, int] | None:
        try:
            symbol = self._session.prog.symbol(where)
        except LookupError:
            return None
        return printable(symbol.name), symbol.address, symbol.size or _ASSEMBLY_SIZE

    def named(self, name: str, near: int) -> tuple[str, int, int] | None:
        """The function of a name; of several (static ones) the one nearest to ``near``."""
        try:
            found = self._session.prog.symbols(name)
        except LookupError:
            return None
        best = min(found, key=lambda symbol: abs(symbol.address - near), default=None)
        # A module's parts lie within its memory, the kernel's within its image.
        if best is None or abs(best.address - near) > 1 << 27:
            return None
        return printable(best.name), best.address, best.size or _ASSEMBLY_SIZE


def segments(session: Session, cpu: int) -> dict[str, int]:
    """Base address of ``gs``: the CPU's own per-CPU area."""
    from drgn import FaultError

    try:
        return {"gs": session.prog["__per_cpu_offset"][cpu].value_()}
    except (LookupError, FaultError, IndexError, SymbolError):
        return {}


def calls(
    session: Session, backtrace: Backtrace, cpu: int | None, *, no_code: bool = False
) -> Calls:
    """The crash path's calls, innermost first.

    :param no_code: the fault was to carry out an instruction where there is none
    """
    frames = crashed_trace(session)
    physical = [
        PhysicalFrame(
            index=row.index,
            pc=row.pc,
            sp=row.sp,
            registers=dict(frames[row.index].registers()),
            faulted=row.role is Role.FAULT,
            no_code=no_code and row.role is Role.FAULT,
        )
        for row in backtrace.frames
        if row.role in (Role.FAULT, Role.CALLER) and not row.inline and row.index < len(frames)
    ]
    # Code of the crash path is decoded once for all that follow values through it.
    functions = session.prog.cache.setdefault(_DECODED, {})
    bases = {} if cpu is None else segments(session, cpu)
    return Calls(SessionReader(session), physical, bases, functions)


def place_of(found: Calls, step: FlowStep) -> tuple[Context, int] | None:
    """The function in which a step of the data flow was made, and the instruction in it."""
    contexts = (found.context(position) for position in range(len(found.frames)))
    context = next((one for one in contexts if one is not None and one.frame == step.frame), None)
    at = context.function.index(int(step.instruction.address)) if context is not None else None
    return (context, at) if context is not None and at is not None else None
