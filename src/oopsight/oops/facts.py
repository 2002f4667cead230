"""What a crash report in console text says, as plain data.

Nothing here is a guess about the cause: every field is read off the text, or is ``None`` or empty
where the text does not carry it. ``missing`` says what a whole report would have had.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    task: Task | None = None
    release: str | None = None
    taints: str | None = None
    hardware: str | None = None
    modules: tuple[str, ...] = ()
    locks_held: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def trace(self) -> tuple[Frame, ...]:
        """The frames of the crash's own stack, innermost first."""
        return next((stack.frames for stack in self.stacks if stack.role == "crash"), ())
