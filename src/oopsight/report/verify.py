"""Read every pointer of a report's proof again from a dump."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oopsight.errors import VerificationError
from oopsight.evidence import Address, Evidence, to_plain
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.file_accessed import FileAccessed
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.evidence.pointers import (
    BytesPointer,
    InstructionPointer,
    Memory,
    RegisterPointer,
    TaskFrame,
    TaskPointer,
    Variable,
)
from oopsight.report import SCHEMA
from oopsight.session import Session

MOST_POINTERS = 10_000
MOST_BYTES = 4096
LONGEST_INSTRUCTION = 15


def _memory(session: Session, claimed: dict[str, Any]) -> Memory:
    """Read a member again, its place computed from type and object alone."""
    from drgn import Object

    from oopsight.evidence.memory.slab_caches import memory_of

    name = str(claimed["object_type"])
    if not name.startswith("struct "):
        raise ValueError(f"{name} is no struct")
    pointer = Object(session.prog, f"{name} *", int(claimed["object"], 16))
    return memory_of(pointer, str(claimed["member"]))


def _variable(session: Session, claimed: dict[str, Any]) -> Variable:
    """Read a word of a global variable again, its place computed from symbol and offset alone."""
    name, offset = str(claimed["name"]), int(claimed["offset"])
    address = int(claimed["address"], 16)
    symbol = session.prog.symbol(address)
    if symbol.name != name or symbol.address + offset != address:
        raise ValueError(f"{Address(address)} is {symbol.name} + {address - symbol.address}")
    return Variable(name, offset, Address(address), session.read(address, 8).hex())


def _bytes(session: Session, claimed: dict[str, Any]) -> BytesPointer:
    """Read as many bytes again as are claimed."""
    address, size = int(claimed["address"], 16), len(str(claimed["bytes"])) // 2
    if not 0 < size <= MOST_BYTES:
        raise ValueError(f"{size} bytes are not read again")
    return BytesPointer(Address(address), session.read(address, size).hex())


def _instruction(session: Session, claimed: dict[str, Any]) -> InstructionPointer:
    """Disassemble again what is in memory now."""
    from oopsight.evidence.flow.instructions import decode

    address, size = int(claimed["address"], 16), len(str(claimed["bytes"])) // 2
    rows = decode(session.read(address, min(size, LONGEST_INSTRUCTION)), address, 1)
    if not rows:
        raise ValueError("no instruction")
    return InstructionPointer(Address(address), rows[0].bytes.hex(), rows[0].text)


def _task(session: Session, claimed: dict[str, Any]) -> TaskPointer:
    """Read a task again, at its address."""
    from oopsight.evidence.hangs.stacks import task_pointer

    return task_pointer(_task_struct(session, claimed["address"]))


def _task_frame(session: Session, claimed: dict[str, Any]) -> TaskFrame:
    """Unwind a task again and take the frame of the same number."""
    from oopsight.evidence.hangs.stacks import StackReader
    from oopsight.evidence.modules.modules import Modules

    modules = Evidence(session).get(Modules)
    stack = StackReader(session, modules).read(
        _task_struct(session, claimed["task"]), look_into=False
    )
    return stack.pointer(stack.calls[int(claimed["index"])])


def _task_struct(session: Session, address: str) -> Any:
    from drgn import Object

    return Object(session.prog, "struct task_struct *", int(address, 16))


_READ_AGAIN: dict[str, Callable[[Session, dict[str, Any]], Any]] = {
    Memory.TYPE: _memory,
    Variable.TYPE: _variable,
    BytesPointer.TYPE: _bytes,
    InstructionPointer.TYPE: _instruction,
    TaskPointer.TYPE: _task,
    TaskFrame.TYPE: _task_frame,
}
"""Pointers that are found by their own fields; the others must be among what the facts hold."""


def _known(evidence: Evidence) -> Iterator[Any]:
    """Every pointer but memory that the dump itself yields."""
    backtrace, log, modules = (evidence.get(kind) for kind in (Backtrace, Log, Modules))
    unloaded = evidence.get(UnloadedModules)
    task, accessed, fault = (evidence.get(kind) for kind in (CrashedTask, FileAccessed, Fault))
    if isinstance(backtrace, Backtrace):
        yield from (frame.pointer for frame in backtrace.frames)
        yield from (RegisterPointer(name, value) for name, value in backtrace.registers)
    if isinstance(log, Log):
        yield from log.lines
    if isinstance(modules, Modules):
        yield from (module.pointer for module in modules.loaded)
        yield modules.last_unloaded_pointer
    if isinstance(unloaded, UnloadedModules):
        yield from (module.because for module in unloaded.modules)
    if isinstance(task, CrashedTask):
        yield from task.ancestry
        yield from task.files
    if isinstance(accessed, FileAccessed):
        yield accessed.file
    if isinstance(fault, Fault):
        yield fault.unmapped


class Verifier:
    """Verifies reports against one dump, whose facts are collected once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        evidence = Evidence(session)
        self._known = [to_plain(pointer) for pointer in _known(evidence) if pointer is not None]

    def verify(self, report: dict[str, Any]) -> int:
        """Check a report against the dump.

        :return: the number of pointers, all of which hold
        :raises VerificationError: naming the first pointer that does not hold, or if the report is
            malformed
        """
        if report.get("schema") != SCHEMA:
            raise VerificationError(
                f"the report's schema is {report.get('schema')!r}, not {SCHEMA!r}"
            )
        count = 0
        try:
            pointers = [
                (f"step {number}", claimed)
                for number, step in enumerate(report["chain"], 1)
                for claimed in step["because"]
            ]
        except (KeyError, TypeError):
            raise VerificationError("the report's chain is malformed") from None
        for where, claimed in pointers[:MOST_POINTERS]:
            count += 1
            if not isinstance(claimed, dict):
                raise VerificationError(f"{where}: {claimed!r} is no pointer")
            read_again = _READ_AGAIN.get(str(claimed.get("type")))
            if read_again is not None:
                found = _reread(self._session, read_again, claimed)
                if found != claimed:
                    raise VerificationError(f"{where}: {_name(claimed)} does not hold: {found}")
            elif claimed not in self._known:
                raise VerificationError(f"{where}: {_name(claimed)} is not what this dump shows")
        return count


def verify(report: dict[str, Any], session: Session) -> int:
    """Check a report against a dump that is used for nothing else; see :class:`Verifier`."""
    return Verifier(session).verify(report)


def _reread(
    session: Session, read_again: Callable[[Session, dict[str, Any]], Any], claimed: dict[str, Any]
) -> Any:
    from drgn import FaultError

    try:
        return to_plain(read_again(session, claimed))
    except FaultError as error:
        return f"unreadable at {Address(error.address)}"
    except (LookupError, AttributeError, TypeError, ValueError, OverflowError) as error:
        return f"no such thing: {error}"


def _name(claimed: dict[str, Any]) -> str:
    return f"{claimed.get('type')} pointer {claimed.get('command')!r}"
