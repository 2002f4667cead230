"""Pointers into the dump, of which proofs are made: each can be read again by anybody.

Every field is determined by the dump, and ``command`` by the fields, so that a pointer in a report
holds exactly if reading it again gives the same.
"""

from __future__ import annotations

from typing import ClassVar, Union

from oopsight.cheap import dataclass
from oopsight.evidence import Address


@dataclass(frozen=True)
class Memory:
    """A member of a kernel object, with the bytes that were read."""

    TYPE: ClassVar[str] = "memory"
    object_type: str
    """C type, ``struct kmem_cache``."""
    object: Address
    member: str
    address: Address
    """``object`` plus the member's offset."""
    bytes: str
    """In hex, in memory order."""

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"{self.object_type}.{self.member} {self.object:x}"


@dataclass(frozen=True)
class Variable:
    """A word of a global variable, with the bytes that were read."""

    TYPE: ClassVar[str] = "variable"
    name: str
    """Of its symbol."""
    offset: int
    """From the symbol, bytes."""
    address: Address
    bytes: str
    """In hex, in memory order."""

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"rd {self.address:x}"


@dataclass(frozen=True)
class Unmapped:
    """An address that the kernel's page tables do not map."""

    TYPE: ClassVar[str] = "unmapped"
    address: Address

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"vtop {self.address:x}"


@dataclass(frozen=True)
class FramePointer:
    """A frame of the crashed task's backtrace."""

    TYPE: ClassVar[str] = "frame"
    index: int
    pc: Address
    function: str

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return "bt"


@dataclass(frozen=True)
class LogPointer:
    """A line of the kernel log."""

    TYPE: ClassVar[str] = "log"
    seconds: float
    """Since boot."""
    text: str

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return "log"


@dataclass(frozen=True)
class ModulePointer:
    """A module, loaded or the last one unloaded."""

    TYPE: ClassVar[str] = "module"
    name: str
    loaded: bool
    base: Address | None

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return "mod -t" if self.loaded else "p last_unloaded_module"


@dataclass(frozen=True)
class TaskPointer:
    """A task."""

    TYPE: ClassVar[str] = "task"
    pid: int
    comm: str
    address: Address

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"ps {self.pid}"


@dataclass(frozen=True)
class TaskFrame:
    """A frame of the stack of any task, inlined calls not counted."""

    TYPE: ClassVar[str] = "task-frame"
    pid: int
    task: Address
    """Of its ``struct task_struct``."""
    index: int
    pc: Address
    function: str

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"bt {self.task:x}"


@dataclass(frozen=True)
class FileReference:
    """An open file of the crashed task."""

    TYPE: ClassVar[str] = "file"
    path: str
    fd: int | None
    address: Address
    """Of its ``struct file``."""

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"struct file.f_path {self.address:x}"


@dataclass(frozen=True)
class BytesPointer:
    """Memory without a type."""

    TYPE: ClassVar[str] = "bytes"
    address: Address
    bytes: str
    """In hex, in memory order."""

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"rd -8 {self.address:x} {len(self.bytes) // 2}"


@dataclass(frozen=True)
class InstructionPointer:
    """An instruction of the kernel or a module."""

    TYPE: ClassVar[str] = "instruction"
    address: Address
    bytes: str
    """In hex."""
    text: str
    """Disassembled."""

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return f"dis {self.address:x} 1"


@dataclass(frozen=True)
class RegisterPointer:
    """A register, as it was when the exception interrupted the code."""

    TYPE: ClassVar[str] = "register"
    register: str
    value: Address

    @property
    def command(self) -> str:
        """Shows it at the prompt."""
        return "bt"


Pointer = Union[  # noqa: UP007  # evaluated at run time on Python 3.10 in type hints
    Memory,
    Variable,
    Unmapped,
    FramePointer,
    LogPointer,
    ModulePointer,
    TaskPointer,
    TaskFrame,
    FileReference,
    BytesPointer,
    InstructionPointer,
    RegisterPointer,
]
