"""Functions that went on to another by a jump, as their last act, and so left no frame.

``return other(object);`` becomes a jump: the function is on the way to the crash, but not on the
stack. The call instruction of the frame outside still names it. If that goes through a pointer, it
cannot have led to a function whose address nobody takes: whoever jumps there was called.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from oopsight.cheap import dataclass
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.kernel.call_sites import call_sites, mentions
from oopsight.plumbing import base_name
from oopsight.text import printable

if TYPE_CHECKING:
    from typing_extensions import Self

CALL, CALL_SIZE = 0xE8, 5
_MASK = (1 << 64) - 1
_LARGEST = 16384
_MOST = 1 << 20
_LANDING_PAD = b"\xf3\x0f\x1e\xfa"  # endbr64
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
        return _through_pointer(prog, modules, returns_to, inner)
    try:
        called, running = prog.symbol(target), prog.symbol(inner)
    except LookupError:
        return None
    name = base_name(printable(called.name))
    if target not in (called.address, called.address + _ENDBR) or name.startswith(_TRAMPOLINES):
        return None
    # A function's unlikely half, ``.cold``, is the function itself.
    if called.address == running.address or base_name(running.name) == name:
        return None
    size = min(called.size, _LARGEST)
    ends = {running.address, running.address + _ENDBR}
    by_name = bool(call_sites(prog, called.address, size, ends, jumps=True))
    return JumpedOn(name, owner.name, by_name)


def _through_pointer(prog: Any, modules: Modules, returns_to: int, inner: int) -> JumpedOn | None:
    """The one function that jumps to the next frame's, where a pointer can only have led to it."""
    owner = modules.owner(inner)
    if owner is None or not owner.taints or owner.holds(returns_to):
        return None
    try:
        running = prog.symbol(inner)
    except LookupError:
        return None
    if named_target(prog, returns_to) in (running.address, running.address + _ENDBR):
        return None
    jumpers = _jumpers(prog, owner, running)
    if not jumpers or _pointed_to(prog, owner, running):
        return None
    held = [one for one in jumpers if _pointed_to(prog, owner, one)]
    if len(held) != 1:
        return None
    return JumpedOn(base_name(printable(held[0].name)), owner.name, by_name=True)


def _jumpers(prog: Any, module: Module, running: Any) -> list[Any]:
    """The functions of a module that jump to the beginning of another."""
    sites: dict[int, tuple[Any, set[int]]] = {}
    ends = {running.address, running.address + _ENDBR}
    for start, end in module.ranges:
        for site in call_sites(prog, start, min(end - start, _MOST), ends, jumps=True):
            try:
                one = prog.symbol(site)
            except LookupError:
                continue
            if one.address != running.address:
                sites.setdefault(one.address, (one, set()))[1].add(site)
    return [one for one, at in sites.values() if _jumps(prog, one, at)]


def _jumps(prog: Any, function: Any, sites: set[int]) -> bool:
    """Whether one of some places in a function is a jump, and not a part of other instructions."""
    from drgn import FaultError

    from oopsight.kernel.disassembler import disassemble

    try:
        code = prog.read(function.address, min(function.size, _LARGEST))
    except FaultError:
        return False
    rows = disassemble(code, function.address)
    return any(row.address in sites and row.mnemonic == "jmp" for row in rows)


def _pointed_to(prog: Any, module: Module, function: Any) -> bool:
    """Whether a function can be called through a pointer, as far as its module's memory tells.

    What only the code for its initialisation took is gone; with IBT the landing pad still tells.
    """
    from drgn import FaultError

    try:
        if prog.read(function.address, _ENDBR) == _LANDING_PAD:
            return True
    except FaultError:
        return True
    entries = {function.address, function.address + _ENDBR}
    listed = _call_sites_of_ftrace(prog, module)
    for start, end in module.ranges:
        for at, held in mentions(prog, start, min(end - start, _MOST), entries):
            if at not in listed and not _is_symbol(prog, at, held, function.size):
                return True
    return False


def _is_symbol(prog: Any, at: int, value: int, size: int) -> bool:
    """Whether what holds an address is an entry of a symbol table: ``Elf64_Sym.st_value``."""
    from drgn import FaultError

    try:
        words = prog.read(at, 16)
    except FaultError:
        return False
    return bool(words == value.to_bytes(8, "little") + size.to_bytes(8, "little"))


def _call_sites_of_ftrace(prog: Any, module: Module) -> range:
    """Where a module lists the beginnings of all its functions, for ftrace."""
    from drgn import FaultError
    from drgn.helpers.linux.module import find_module

    try:
        found = find_module(prog, module.name)
        start = int(found.ftrace_callsites.value_()) if found else 0
        count = int(found.num_ftrace_callsites.value_()) if found else 0
    except (FaultError, LookupError, AttributeError, TypeError):
        return range(0)
    return range(start, start + 8 * count)


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
