"""The file that the crashing call was accessing, from the frames, checked with the open files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from oopsight.evidence import Missing, Why
from oopsight.evidence.backtrace import Backtrace, Role, crashed_trace
from oopsight.evidence.pointers import FileReference, FramePointer
from oopsight.evidence.task import CrashedTask
from oopsight.session import Session


@dataclass(frozen=True)
class FileAccessed:
    """An open file of the task that a frame of the crash path held in a variable."""

    file: FileReference
    frame: FramePointer
    variable: str


def _file_pointers(frame: Any) -> Iterator[tuple[str, int]]:
    """Variables of the frame that lead to a ``struct file``: name and address of the file."""
    from drgn import FaultError, ObjectAbsentError

    routes = {"struct file *": "", "struct kiocb *": "ki_filp", "struct seq_file *": "file"}
    for name in frame.locals():
        try:
            value = frame[name]
            member = routes.get(value.type_.type_name())
            if member is None:
                continue
            address = (value.member_(member) if member else value).value_()
        except (FaultError, ObjectAbsentError, LookupError, AttributeError):
            continue
        yield f"{name}->{member}" if member else name, address


def collect(session: Session, backtrace: Backtrace, task: CrashedTask) -> FileAccessed | Missing:
    """Look through the crash path, innermost frame first; only an open file of the task counts."""
    from drgn import FaultError

    files = {int(file.address): file for file in task.files}
    if not files:
        return Missing(Why.NOT_APPLICABLE, "the task has no open file that could be read")
    frames = crashed_trace(session)
    for row in backtrace.frames:
        if row.role not in (Role.FAULT, Role.CALLER):
            continue
        try:
            for variable, address in _file_pointers(frames[row.index]):
                if address in files:
                    return FileAccessed(files[address], row.pointer, variable)
        except FaultError:
            continue
    # Variables are often optimised out; what a callee saved in registers and on the stack is not.
    for row in backtrace.frames:
        if row.role in (Role.FAULT, Role.CALLER) and not row.inline:
            for register, value in frames[row.index].registers().items():
                if value in files:
                    return FileAccessed(files[value], row.pointer, register)
    return Missing(Why.NOT_APPLICABLE, "no frame of the crash path holds an open file")
