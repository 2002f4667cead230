"""Functions that went on to another by a jump, as their last act, and so left no frame.

``return other(object);`` becomes a jump: the function is on the way to the crash, but not on the
stack. The call instruction of the frame outside still names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from oopsight.cheap import dataclass
from oopsight.evidence.modules.modules import Modules
from oopsight.kernel.call_sites import call_sites

if TYPE_CHECKING:
    from typing_extensions import Self

CALL, CALL_SIZE = 0xE8, 5
_MASK = (1 << 64) - 1
_LARGEST = 16384
_ENDBR = 4  # a direct call may skip the landing pad of indirect ones
# Trampolines that are patched to lead to whoever is registered, include/linux/static_call.h.
_TRAMPOLINES = ("__SCT__", "__x86_", "__pfx_", "__fentry__")


@dataclass(frozen=True)
class JumpedOn:
    """A module's function without a frame."""

    function: str
    module: str
    by_name: bool = False
    """Whether its code has a jump that names the function which has a frame."""


class OnStack(Protocol):
    """A frame, of whichever kind of trace."""

    @property
    def plumbing(self) -> str | None:
        """Why it is passed over in the search for whom to blame."""

    @property
    def jumped_on(self) -> JumpedOn | None:
        """What it called, where that has no frame."""

    def without_frame(self, called: JumpedOn) -> Self:
        """What it called, as a frame at the same place."""


_Frame = TypeVar("_Frame", bound=OnStack)


def blamable(frames: Iterable[_Frame]) -> tuple[_Frame, ...]:
    """Frames that are no plumbing; what has jumped on stands with the frame of its caller."""
    found: list[_Frame] = []
    for frame in frames:
        if frame.jumped_on is not None:
            found.append(frame.without_frame(frame.jumped_on))
        if frame.plumbing is None:
            found.append(frame)
    return tuple(found)


def named_target(prog: Any, returns_to: int) -> int | None:
    """Where the call that returns to an address leads, if it names that; else ``None``."""
    from drgn import FaultError

    if returns_to < CALL_SIZE:  # a jump through a null pointer
        return None
    try:
        code = prog.read(returns_to - CALL_SIZE, CALL_SIZE)
    except FaultError:
        return None
    if code[0] != CALL:
        return None
    return (returns_to + int.from_bytes(code[1:], "little", signed=True)) & _MASK


def jumped_on(prog: Any, modules: Modules, returns_to: int, inner: int) -> JumpedOn | None:
    """The function of a module that was called there, if it is not the one that has a frame.

    :param returns_to: program counter of the frame outside
    :param inner: program counter of the next frame inside
    """
    target = named_target(prog, returns_to)
    owner = modules.owner(target) if target is not None else None
    if target is None or owner is None:
        return None
    try:
        called, running = prog.symbol(target), prog.symbol(inner)
    except LookupError:
        return None
    name = called.name.partition(".")[0]
    if target not in (called.address, called.address + _ENDBR) or name.startswith(_TRAMPOLINES):
        return None
    # A function's unlikely half, ``.cold``, is the function itself.
    if called.address == running.address or running.name.partition(".")[0] == name:
        return None
    size = min(called.size, _LARGEST)
    ends = {running.address, running.address + _ENDBR}
    by_name = bool(call_sites(prog, called.address, size, ends, jumps=True))
    return JumpedOn(name, owner.name, by_name)


def names_its_call(prog: Any, returns_to: int) -> bool:
    """Whether the call that returns to an address names the function, and is not through a pointer.

    A call through a pointer may be one of the thunk that jumps there.
    """
    target = named_target(prog, returns_to)
    if target is None:
        return False
    try:
        called = prog.symbol(target)
    except LookupError:
        return False
    return target in (called.address, called.address + _ENDBR) and not called.name.startswith(
        _TRAMPOLINES
    )
