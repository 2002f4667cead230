"""The task that was running when the machine went down, its ancestry and open files."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why, missing_from
from oopsight.evidence.crash.standstill import NO_PANIC, Standstill
from oopsight.evidence.pointers import FileReference, TaskPointer
from oopsight.kernel.paths import path_of
from oopsight.session import Session
from oopsight.text import c_string, printable

MOST_ANCESTORS = 64
MOST_FILES = 4096


@dataclass(frozen=True)
class CrashedTask:
    """The panicking CPU's current task."""

    pid: int
    comm: str
    cpu: int
    ancestry: tuple[TaskPointer, ...]
    """The task itself, its parent … up to init."""
    files: tuple[FileReference, ...]
    files_missing: Missing | None
    """Why the list of files is not whole."""
    started: tuple[float | None, ...] = ()
    """When each of the ancestry was started, seconds since boot."""

    @property
    def pointer(self) -> TaskPointer:
        """For the proof."""
        return self.ancestry[0]


def _pointer(task: Any) -> TaskPointer:
    comm = printable(c_string(task.comm))
    return TaskPointer(task.pid.value_(), comm, Address(task.value_()))


def _ancestry(task: Any) -> tuple[TaskPointer, ...]:
    from drgn import FaultError

    found = [_pointer(task)]
    seen = {task.value_()}
    while len(found) < MOST_ANCESTORS:
        try:
            task = task.real_parent.read_()
            if not task or task.value_() in seen:
                break
            seen.add(task.value_())
            if task.pid.value_() == 0:
                break
            found.append(_pointer(task))
        except FaultError:
            break
    return tuple(found)


def _started(session: Session, task: TaskPointer) -> float | None:
    """In the monotonic clock, which the log's clock follows closely."""
    from drgn import FaultError, Object

    try:
        started = Object(session.prog, "struct task_struct *", int(task.address)).start_time
        return round(float(started.value_()) / 1e9, 6)
    except (FaultError, LookupError, AttributeError):
        return None


def file_path(file: Any) -> str:
    """Path of a ``struct file *`` as its task would write it."""
    return path_of(file.f_path.address_of_())


def _files(task: Any) -> tuple[tuple[FileReference, ...], Missing | None]:
    from drgn import FaultError
    from drgn.helpers.linux.fs import for_each_file

    found: list[FileReference] = []
    missing = None
    try:
        for fd, file in for_each_file(task):
            if len(found) >= MOST_FILES:
                break
            try:
                path = file_path(file)
            except FaultError as error:
                missing = missing_from(error)
                continue
            found.append(FileReference(path, fd, Address(file.value_())))
    except FaultError as error:
        missing = missing_from(error)
    return tuple(found), missing


def collect(session: Session, still: Standstill | Missing) -> CrashedTask | Missing:
    """Read the panic task."""
    if isinstance(still, Standstill):
        return Missing(Why.NOT_APPLICABLE, NO_PANIC)
    from drgn.helpers.linux.panic import panic_task
    from drgn.helpers.linux.sched import task_cpu

    task = panic_task(session.prog)
    files, missing = _files(task) if task.files else ((), None)
    ancestry = _ancestry(task)
    return CrashedTask(
        pid=task.pid.value_(),
        comm=printable(c_string(task.comm)),
        cpu=task_cpu(task),
        ancestry=ancestry,
        files=files,
        files_missing=missing,
        started=tuple(_started(session, ancestor) for ancestor in ancestry),
    )
