"""What a crash report in console text says, as plain data.

Nothing here is a guess about the cause: every field is read off the text, or is ``None`` or empty
where the text does not carry it. ``missing`` says what a whole report would have had.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.kinds import Kind


@dataclass(frozen=True)
class Frame:
    """One line of a stack trace, or one inlined call of it.

    ``offset`` and ``size`` are bytes; ``None`` for an inlined call. ``reliable`` is false for the
    lines the kernel marks with ``?``: leftovers on the stack, not calls in progress.
    """

    function: str
    offset: int | None = None
    size: int | None = None
    module: str | None = None
    file: str | None = None
    line: int | None = None
    reliable: bool = True
    inline: bool = False


@dataclass(frozen=True)
class Stack:
    """A stack trace; ``role`` is ``crash``, ``allocated``, ``freed``, ``stored`` or ``other``."""

    role: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Skipped:
    """A frame that was passed over in the search for the function to blame, and why."""

    function: str
    reason: str


@dataclass(frozen=True)
class Task:
    """The task that was running: ``CPU: n PID: n Comm: name``."""

    name: str
    pid: int
    cpu: int | None = None


@dataclass(frozen=True)
class Access:
    """The access that failed, as the headline and the lines under it tell."""

    address: int | None = None
    kind: str | None = None
    """``read``, ``write`` or ``execute``."""
    size: int | None = None
    """In bytes."""


@dataclass(frozen=True)
class Instruction:
    """The instruction at fault, from the ``Code:`` line."""

    text: str
    """Disassembly."""
    bytes: str
    """Hex."""
    access: str | None
    """``read`` or ``write``; ``None`` if it accesses no memory."""
    size: int | None
    """Of the access, in bytes."""
    base: str | None
    index: str | None
    scale: int
    displacement: int
    address: int | None
    """What the operand comes to; ``None`` where a register's value is not in the text."""
    words: str
    """The same, in words: ``read of 8 bytes at rax+0x10, rax = 0``."""


@dataclass(frozen=True)
class Taint:
    """One letter of the kernel's taint flags."""

    letter: str
    meaning: str


@dataclass(frozen=True)
class CrashReport:
    """One crash report. ``first_line`` counts from 0 in the text that was given."""

    kind: Kind
    title: str
    headline: str
    first_line: int
    function: str | None = None
    guilty_file: str | None = None
    skipped: tuple[Skipped, ...] = ()
    stacks: tuple[Stack, ...] = ()
    registers: tuple[tuple[str, int], ...] = ()
    code: str | None = None
    instruction: Frame | None = None
    """The function that the program counter was in."""
    decoded: Instruction | None = None
    """What the ``Code:`` line holds; filled by :func:`oopsight.oops.decoded`."""
    access: Access | None = None
    machine: str | None = None
    """The processor's family as the registers tell: ``x86_64``, ``arm64`` …"""
    task: Task | None = None
    release: str | None = None
    taints: str | None = None
    tainted: tuple[Taint, ...] = ()
    hardware: str | None = None
    modules: tuple[str, ...] = ()
    last_unloaded: str | None = None
    locks_held: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    program_counter: int | None = None
    """Where the console gives it as a number: of no known code, it has no name."""
    text: tuple[tuple[float | None, str], ...] = ()
    """The report's lines, each with its seconds since boot."""

    @property
    def trace(self) -> tuple[Frame, ...]:
        """The frames of the crash's own stack, innermost first."""
        return next((stack.frames for stack in self.stacks if stack.role == "crash"), ())
