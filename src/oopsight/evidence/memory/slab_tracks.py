"""The kernel's records of who allocated and who freed; SLUB's own of an object (slub_debug=U)."""

from __future__ import annotations

from itertools import dropwhile
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass, replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import why_plumbing
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import Program

# SLAB_STORE_USER and SLAB_RED_ZONE, include/linux/slab.h, before Linux 6.9.
_STORE_USER, _RED_ZONE = 1 << 16, 1 << 10
_MOST_FRAMES = 32
_CALL, _DIRECT_CALL = 5, 0xE8  # its length and opcode: call rel32


@dataclass(frozen=True)
class TrackFrame:
    """One call of the recorded stack."""

    pc: Address
    function: str
    module: str | None
    plumbing: str | None
    """As of a backtrace's frame."""


@dataclass(frozen=True)
class Track:
    """A record of who allocated or freed: of SLUB, of KASAN or of the page allocator."""

    what: str
    """``allocated`` or ``freed``."""
    address: Address
    """Of the record itself."""
    caller: TrackFrame | None
    """Who called the allocator."""
    pid: int | None
    cpu: int | None
    jiffies: int | None
    """``None`` where the record does not tell one of these."""
    frames: tuple[TrackFrame, ...]
    """Innermost first; empty where no stack was recorded."""

    memory: BytesPointer
    """The record's first bytes."""
    handed_on: bool = False
    """Whether what the first of :attr:`blamable` called was not the allocator but a module's
    function, or an unknown one, that jumped there and so left no address of its own."""
    by: TrackFrame | None = None
    """That function, where the call names it."""

    @property
    def blamable(self) -> tuple[TrackFrame, ...]:
        """Who can be to blame for it, innermost first."""
        return tuple(frame for frame in self.calls if frame.plumbing is None)

    @property
    def calls(self) -> tuple[TrackFrame, ...]:
        """The stack with the allocator's caller at its top.

        The kernel leaves out a fixed number of frames, which with inlining may be one too many.
        """
        known = {frame.function for frame in self.frames}
        if self.caller is None or self.caller.function in known:
            return self.frames
        return (self.caller, *self.frames)


def _frame(prog: Program, modules: Modules | None, pc: int) -> TrackFrame:
    owner = modules.owner(pc) if modules else None
    module = owner.name if owner else None
    try:
        name = printable(prog.symbol(pc - 1).name)
    except LookupError:
        return TrackFrame(Address(pc), f"{pc:#x}", module, "no code is known there")
    return TrackFrame(Address(pc), name, module, why_plumbing(name, None, module))


def _frames(prog: Program, modules: Modules | None, track: Any) -> tuple[TrackFrame, ...]:
    from drgn import FaultError

    try:
        # Since Linux 5.19 (commit 5cf909c553e9) the stack is in the depot.
        return depot_frames(prog, modules, track.handle.value_())
    except (AttributeError, FaultError):
        pass
    try:
        pcs = [pc.value_() for pc in track.addrs]
    except (AttributeError, FaultError):
        return ()
    return tuple(_frame(prog, modules, pc) for pc in pcs[:_MOST_FRAMES] if pc)


def depot_frames(prog: Program, modules: Modules | None, handle: int) -> tuple[TrackFrame, ...]:
    """A stack that the kernel keeps in its depot, innermost first; empty where it has none.

    :param handle: a ``depot_stack_handle_t``
    """
    from drgn import FaultError, Object
    from drgn.helpers.linux.stackdepot import stack_depot_fetch

    try:
        stack = Object(prog, "depot_stack_handle_t", handle)
        trace = stack_depot_fetch(stack) if handle else None
        # drgn adds a frame for each inlined call.
        pcs = [frame.pc for frame in trace if not frame.is_inline] if trace is not None else []
    except (FaultError, LookupError, ValueError, AttributeError, IndexError, SymbolError):
        return ()
    return tuple(_frame(prog, modules, pc) for pc in pcs[:_MOST_FRAMES] if pc)


def of_depot(
    session: Session,
    modules: Modules | None,
    what: str,
    record: tuple[int, int],
    pid: int | None,
    handle: int,
) -> Track:
    """A record that has no more than a process and a stack in the depot.

    What KASAN runs to record it is left out.

    :param record: where it lies, and its size in bytes
    :param handle: of that stack
    :raises drgn.FaultError: if the record cannot be read
    """
    address, size = record
    made = Track(
        what=what,
        address=Address(address),
        caller=None,
        pid=pid,
        cpu=None,
        jiffies=None,
        frames=tuple(dropwhile(_recording, depot_frames(session.prog, modules, handle))),
        memory=BytesPointer(Address(address), session.read(address, min(size, 32)).hex()),
    )
    return _with_jump(session.prog, modules, made)


def _recording(frame: TrackFrame) -> bool:
    return frame.module is None and frame.function.lstrip("_").startswith("kasan_")


def _with_jump(prog: Program, modules: Modules | None, made: Track) -> Track:
    first = next(iter(made.blamable), None)
    jumped, by = handed_on(prog, modules, first) if first is not None else (False, None)
    return replace(made, handed_on=jumped, by=by)


def handed_on(
    prog: Program, modules: Modules | None, first: TrackFrame
) -> tuple[bool, TrackFrame | None]:
    """What stands before the return address of the first who can be to blame: whom it called.

    :return: whether that was a module's or an unknown function, and which
    """
    from drgn import FaultError

    try:
        code = prog.read(first.pc - _CALL, _CALL)
    except FaultError:
        return False, None
    if code[0] != _DIRECT_CALL:
        return True, None
    target = first.pc + int.from_bytes(code[1:], "little", signed=True)
    called = _frame(prog, modules, target + 1)
    if "x86_indirect" in called.function:
        return True, None
    # A function of the kernel's own frees for its caller, as an allocator does.
    return (False, None) if called.module is None else (True, called)


def _flag(prog: Program, name: str, before: int) -> int:
    """A flag of a cache: since Linux 6.9 (commit cc61eb851461) an enum numbers them."""
    try:
        number: int = prog.constant(f"_{name}").value_()
    except LookupError:
        return before
    return 1 << number


def has_red_zones(prog: Program, cache: int) -> bool:
    """Whether a cache has red zones between its objects (``slub_debug=Z``).

    :param cache: address of a ``struct kmem_cache``
    """
    from drgn import FaultError, Object

    try:
        flags: int = Object(prog, "struct kmem_cache", address=cache).flags.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return False
    return bool(flags & _flag(prog, "SLAB_RED_ZONE", _RED_ZONE))


def tracks(
    session: Session, modules: Modules | None, cache: Any, address: int
) -> tuple[Track, ...]:
    """Read the records behind an object: they follow its data and free pointer.

    :param cache: ``struct kmem_cache *``
    :param address: of the object
    :return: empty where the cache keeps none, or they cannot be read
    """
    from drgn import FaultError, Object

    prog = session.prog
    try:
        if not cache.flags.value_() & _flag(prog, "SLAB_STORE_USER", _STORE_USER):
            return ()
        inuse, offset = cache.inuse.value_(), cache.offset.value_()
        kind = prog.type("struct track")
        # mm/slub.c, get_info_end(): a free pointer outside the object lies before the records.
        end = inuse + 8 if offset >= inuse else inuse
        size = kind.size or 0
    except (FaultError, LookupError, AttributeError, SymbolError):
        return ()
    result = []
    for number, what in enumerate(("allocated", "freed")):
        try:
            track = Object(prog, kind, address=address + end + number * size)
            caller = track.addr.value_()
            if not caller:
                continue
            made = Track(
                what=what,
                address=Address(address + end + number * size),
                caller=_frame(prog, modules, caller),
                pid=track.pid.value_(),
                cpu=track.cpu.value_(),
                jiffies=track.when.value_(),
                frames=_frames(prog, modules, track),
                memory=BytesPointer(
                    Address(address + end + number * size),
                    session.read(address + end + number * size, min(size, 32)).hex(),
                ),
            )
            result.append(_with_jump(prog, modules, made))
        except (FaultError, AttributeError):
            continue
    return tuple(result)
