from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import handmade_facts as made
import pytest
from drgn import BadDataError
from handmade_waits import symptom

from oopsight.evidence import Address, Missing
from oopsight.evidence.crash import file_accessed
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.file_accessed import FileAccessed, collect
from oopsight.evidence.pointers import FileReference
from oopsight.kinds import Kind
from oopsight.session import Session

FILE, SOCKET, OTHER = 0xFFFF888000001000, 0xFFFF888000002000, 0xFFFF888000003000
READ, IOCTL, MMAP, GETPID = 0, 16, 9, 39
TASK = replace(
    made.task(),
    files=(
        FileReference("/proc/slabinfo", 3, Address(FILE)),
        FileReference("socket:[17]", 4, Address(SOCKET)),
    ),
)


class Case:
    """A crash path whose functions have variables or parameters that lead to files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.variables: dict[int, list[tuple[str, int]]] = {}
        self.parameters: list[tuple[int, str, int]] = []
        self.registers: dict[str, int] | None = None
        self.path = made.backtrace(
            interrupted=False, string=Role.FAULT, seq_read=Role.CALLER, vfs_read=Role.CALLER
        )
        frames = {frame.index: frame.index for frame in self.path.frames}
        monkeypatch.setattr(file_accessed, "crashed_trace", lambda _: frames)
        monkeypatch.setattr(file_accessed, "_variables", lambda at: self.variables.get(at, []))
        monkeypatch.setattr(file_accessed, "_parameters", lambda *_: self.parameters)
        monkeypatch.setattr(file_accessed, "_system_call", lambda _: self.registers)

    def collect(
        self, path: Backtrace | None = None, kind: Kind = Kind.PAGE_FAULT
    ) -> FileAccessed | Missing:
        session = cast("Session", SimpleNamespace(prog=None))
        return collect(session, path or self.path, TASK, symptom(kind))

    def found(self) -> FileAccessed:
        found = self.collect()
        assert isinstance(found, FileAccessed)
        return found


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(monkeypatch)


def test_a_variable_of_the_innermost_frame_comes_first(case: Case) -> None:
    first, second, third = (frame.index for frame in case.path.frames)
    case.variables = {second: [("iocb->ki_filp", FILE)], third: [("file", SOCKET)]}
    found = case.found()
    assert (found.file.path, found.variable) == ("/proc/slabinfo", "iocb->ki_filp")
    assert found.frame.index == second
    assert first != second


def test_what_has_no_name_in_the_file_system_is_no_file(case: Case) -> None:
    (_, _, last) = (frame.index for frame in case.path.frames)
    case.variables = {last: [("file", SOCKET)]}
    assert isinstance(case.collect(), Missing)
    case.parameters = [(last, "file", FILE)]
    assert case.found().variable == "file"


def test_a_file_that_the_task_has_not_open_counts_if_it_has_a_path(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = case.path.frames[0].index
    case.variables = {index: [("file", 0), ("file", OTHER)]}
    monkeypatch.setattr(file_accessed, "_reference", lambda *_: None)
    assert isinstance(case.collect(), Missing)
    opened = FileReference("/dev/opening", None, Address(OTHER))
    monkeypatch.setattr(file_accessed, "_reference", lambda _, __, at: opened if at else None)
    assert case.found().file == opened


@pytest.mark.parametrize(
    ("registers", "path"),
    [
        ({"orig_ax": READ, "rdi": 3, "r8": 0}, "/proc/slabinfo"),
        ({"orig_ax": IOCTL, "rdi": 3, "r8": 0}, "/proc/slabinfo"),
        ({"orig_ax": MMAP, "rdi": 0, "r8": 3}, "/proc/slabinfo"),
        ({"orig_ax": READ, "rdi": 4, "r8": 0}, None),
        ({"orig_ax": READ, "rdi": 9, "r8": 0}, None),
        ({"orig_ax": GETPID, "rdi": 3, "r8": 3}, None),
        (None, None),
    ],
)
def test_the_system_calls_descriptor_is_the_last_resort(
    case: Case, registers: dict[str, int] | None, path: str | None
) -> None:
    case.registers = registers
    found = case.collect()
    assert (found.file.path if isinstance(found, FileAccessed) else None) == path


def test_an_interrupt_did_not_come_by_the_system_call(case: Case) -> None:
    case.registers = {"orig_ax": READ, "rdi": 3, "r8": 0}
    path = made.backtrace(interrupted=True, tick=Role.FAULT, idle=Role.INTERRUPTED)
    assert isinstance(case.collect(path), Missing)


def test_a_soft_lockup_is_of_the_task_unless_the_interrupt_does_not_end(case: Case) -> None:
    case.registers = {"orig_ax": READ, "rdi": 3, "r8": 0}
    path = made.backtrace(interrupted=True, handle_softirqs=Role.FAULT, spin=Role.INTERRUPTED)
    passing = replace(path.frames[0], plumbing="enters the kernel")
    found = case.collect(replace(path, frames=(passing, path.frames[1])), Kind.SOFT_LOCKUP)
    assert isinstance(found, FileAccessed)
    assert found.frame.index == path.frames[1].index
    assert isinstance(case.collect(path, Kind.SOFT_LOCKUP), Missing)


def test_members_are_followed_until_one_is_null() -> None:
    class Value:
        def __init__(self, address: int, **members: Any) -> None:
            self.address, self.members = address, members

        def member_(self, name: str) -> Any:
            return SimpleNamespace(read_=lambda: self.members[name])

        def value_(self) -> int:
            return self.address

        def __bool__(self) -> bool:
            return bool(self.address)

    file = Value(FILE)
    area = Value(1, vm_file=file)
    assert file_accessed._follow(Value(2, vma=area), ("vma", "vm_file")) == FILE
    assert file_accessed._follow(Value(2, vma=Value(0)), ("vma", "vm_file")) == 0


def test_a_place_that_debug_information_cannot_compute_is_passed_over() -> None:
    """Evaluating it from damaged registers may divide by zero."""

    class Frame:
        def locals(self) -> list[str]:
            return ["rate", "count"]

        def __getitem__(self, name: str) -> Any:
            if name == "rate":
                raise BadDataError("modulo by zero in DWARF expression")
            return SimpleNamespace(type_=SimpleNamespace(type_name=lambda: "int"))

    assert list(file_accessed._variables(Frame())) == []
