"""Stacks of tasks: who called whom, in a loop or not, and with which locks taken.

Physical frames only, named from the kernel's own symbol tables: it holds with debug information and
without.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.jumped_on import JumpedOn, blamable, jumped_on, names_its_call
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import TaskFrame, TaskPointer
from oopsight.kernel.code_ahead import Gift, ahead, resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.detours import follow
from oopsight.kernel.held_locks import Held, Place
from oopsight.kernel.lock_functions import WRAPPERS
from oopsight.kernel.loops import follows_pointers, loop_at
from oopsight.kernel.machine_code import SLOT
from oopsight.kernel.names import Names
from oopsight.kernel.preempt_count import preempt_count_offset
from oopsight.plumbing import base_name, why_plumbing
from oopsight.session import Session
from oopsight.text import c_string, printable

MOST_CALLS = 256
_MOST_FRAMES = 2048
"""With the inlined ones."""
_LARGEST_FUNCTION = 16384
_MOST_FUNCTIONS = 400
_DEEPEST = 8
"""Functions that call each other, each for the lock that the next takes."""
_FOLLOWED = "oopsight:functions-followed"
"""In the program's cache."""
COLD = ".cold"
"""In the names of parts of functions that the compiler has moved aside."""
_CALL_WITH_LOCK = (
    *("blocking_notifier_call_chain", "blocking_notifier_call_chain_robust"),
    *("srcu_notifier_call_chain", "iterate_supers", "iterate_supers_type"),
)
"""Functions that call others with a lock which readers share, and which therefore names nobody."""


@dataclass(frozen=True)
class HeldLock:
    """A lock that a function on the stack has taken and not given back, by its code."""

    kind: str
    """``spinlock``, ``mutex``, ``rwsem``, ``semaphore``, ``rtmutex``; or ``preemption`` or
    ``interrupts``, which are switched off."""
    address: Address | None
    """Where the code and the registers tell."""
    name: str | None
    taken_at: str
    """Symbol and offset of the call that took it."""
    by: str
    """The function that was called to take it."""
    offset: int | None = None
    """Its distance from the pointer through which the code came to it."""


@dataclass(frozen=True)
class Call:
    """A frame of a task's stack."""

    index: int
    """In the whole trace, innermost first, inlined calls not counted."""
    pc: Address
    sp: Address
    function: str
    offset: int
    module: str | None
    interrupted: bool
    plumbing: str | None
    """Why it is passed over in the search for whom to blame."""
    in_loop: bool | None = None
    """Whether the code there can come back to it; ``None`` where that was not looked at."""
    follows_pointers: bool | None = None
    """Whether that loop goes from object to object, and ends only as these say."""
    holds: tuple[HeldLock, ...] = ()
    """Locks that this function took before and still holds."""
    wants: HeldLock | None = None
    """The lock that the call in progress is to take."""
    calls_by_name: bool | None = None
    """Whether the call in progress names its function, and is not through a pointer; ``None`` where
    that was not looked at."""
    jumped_on: JumpedOn | None = None
    """What it called, where that went on by a jump and has no frame."""
    called_by: str | None = None
    """Set for what has no frame of its own: the function whose frame this is."""

    @property
    def name(self) -> str:
        """Function, and module in brackets."""
        return f"{self.function} [{self.module}]" if self.module else self.function

    def without_frame(self, called: JumpedOn) -> Call:
        """What this frame called, as a frame at the same place."""
        return Call(
            index=self.index,
            pc=self.pc,
            sp=self.sp,
            function=called.function,
            offset=0,
            module=called.module,
            interrupted=False,
            plumbing=None,
            called_by=self.function,
        )


@dataclass(frozen=True)
class TaskStack:
    """The kernel stack of a task."""

    task: TaskPointer
    cpu: int
    state: str
    """As ``ps`` shows it: ``R``, ``S``, ``D`` …"""
    calls: tuple[Call, ...]
    missing: Missing | None = None
    """Why the stack is not whole."""

    @property
    def blamable(self) -> tuple[Call, ...]:
        """Calls without plumbing, innermost first.

        What has jumped on stands there with the frame of its caller.
        """
        return blamable(self.calls)

    @property
    def culprit(self) -> Call | None:
        """The innermost call that can be to blame; a module's, where there is one."""
        blamable = self.blamable
        return next((c for c in blamable if c.module), blamable[0] if blamable else None)

    @property
    def looping(self) -> Call | None:
        """The function that a running task is caught in.

        The innermost that can be to blame and whose code comes back to the same place, a module's
        before the kernel's own; failing that, the innermost that can be to blame.
        """
        loops = [c for c in self.blamable if c.in_loop]
        return next((c for c in loops if c.module), loops[0] if loops else self.culprit)

    def inside(self, *functions: str) -> Call | None:
        """The innermost call of one of these functions; ``*`` at the end stands for any rest."""
        return next((c for c in self.calls if _matches(c.function, functions)), None)

    def pointer(self, call: Call) -> TaskFrame:
        """For the proof."""
        function = call.called_by or call.function
        return TaskFrame(self.task.pid, self.task.address, call.index, call.pc, function)


def _matches(function: str, patterns: tuple[str, ...]) -> bool:
    name = function.partition(".")[0]
    return any(
        name.startswith(p[:-1]) if p.endswith("*") else p in (name, function) for p in patterns
    )


def physical_frames(prog: Any, task: Any) -> list[Any]:
    """Frames of a task without the inlined ones, innermost first, bounded.

    :raises ValueError: if the task runs and its registers are not in the dump
    """
    trace = prog.stack_trace(task)
    whole = follow(prog, [trace[index] for index in range(len(trace))], _MOST_FRAMES)
    return [frame for frame in whole if not frame.is_inline][:MOST_CALLS]


def register(frame: Any, name: str) -> int | None:
    """A register's value in a frame; ``None`` where the unwinder lost it."""
    try:
        value: int = frame.register(name)
    except (LookupError, ValueError):
        return None
    return value


def task_pointer(task: Any) -> TaskPointer:
    """For the proof.

    :param task: ``struct task_struct *``
    :raises drgn.FaultError: if it cannot be read
    """
    return TaskPointer(task.pid.value_(), printable(c_string(task.comm)), Address(task.value_()))


def stack_base(session: Session, task: TaskPointer) -> int | None:
    """Where the kernel stack of a task begins; ``None`` where that cannot be read."""
    from drgn import FaultError, Object

    try:
        return int(Object(session.prog, "struct task_struct *", task.address).stack.value_())
    except (FaultError, LookupError, AttributeError):
        return None


class StackReader:
    """Reads stacks; remembers what it learned of each function."""

    def __init__(self, session: Session, modules: Modules | Missing) -> None:
        self._prog: Any = session.prog
        self._modules = modules
        self.names = Names(session.prog)
        self._functions: dict[int, Function | None] = {}
        self._frames: dict[int, list[Any]] = {}
        self._ahead: dict[int, tuple[Gift, ...]] = {}
        self._preempt_count = preempt_count_offset(session.prog)
        self._depth = 0

    @property
    def prog(self) -> Any:
        """The ``drgn.Program``."""
        return self._prog

    def frames(self, task: Any) -> list[Any]:
        """The physical frames, as drgn has them; empty where it cannot be unwound."""
        address = task.value_()
        if address not in self._frames:
            from drgn import FaultError

            try:
                self._frames[address] = physical_frames(self._prog, task)
            except (FaultError, ValueError, LookupError):
                self._frames[address] = []
        return self._frames[address]

    def read_memory(self, address: int, size: int) -> bytes:
        """Virtual memory.

        :raises drgn.FaultError: if any of it is not in the dump
        """
        data: bytes = self._prog.read(address, size)
        return data

    def read(self, task: Any, *, look_into: bool = True, skip: int = 0) -> TaskStack:
        """The stack of a task.

        :param task: ``struct task_struct *``
        :param look_into: also follow the code, for loops and locks held
        :param skip: so many innermost frames are left out
        :raises drgn.FaultError: if the task itself cannot be read
        """
        from drgn.helpers.linux.sched import task_cpu, task_state_to_char

        frames = self.frames(task)
        calls = []
        for index, frame in enumerate(frames):
            if index < skip:
                continue
            if frame.pc < 1 << 63:
                break
            calls.append(self._call(index, frames, look_into=look_into))
        missing = None
        if not frames:
            missing = Missing(Why.UNREADABLE, "the stack cannot be unwound")
        try:
            cpu = int(task_cpu(task))
        except (AttributeError, LookupError):
            cpu = -1
        return TaskStack(task_pointer(task), cpu, task_state_to_char(task), tuple(calls), missing)

    def _call(self, index: int, frames: list[Any], *, look_into: bool) -> Call:
        frame = frames[index]
        pc = frame.pc
        name, start, _ = self.names.code(pc if frame.interrupted else pc - 1)
        owner = self._modules.owner(pc) if isinstance(self._modules, Modules) else None
        module = owner.name if owner else None
        plumbing = "no code is known there" if start is None else why_plumbing(name, None, module)
        gone = None
        if index and look_into and not frame.interrupted and isinstance(self._modules, Modules):
            gone = jumped_on(self._prog, self._modules, pc, frames[index - 1].pc)
        call = Call(
            index=index,
            pc=Address(pc),
            sp=Address(frame.sp),
            function=base_name(name),
            offset=pc - start if start is not None else 0,
            module=module,
            interrupted=frame.interrupted,
            plumbing=plumbing,
            jumped_on=gone,
        )
        passes = plumbing is not None and call.function not in _CALL_WITH_LOCK
        if not look_into or passes or start is None:
            return call
        return self._looked_into(call, start, frames)

    def _looked_into(self, call: Call, start: int, frames: list[Any]) -> Call:
        function = self.function(start)
        if function is None:
            return call
        place = function.at(call.pc, calling=not call.interrupted)
        holds: tuple[HeldLock, ...] = ()
        wants = None
        if place is not None:

            def known(held: Held) -> HeldLock:
                address = place.address(held, lambda name: self.value(frames, call.index, name))
                return HeldLock(
                    kind=held.kind,
                    address=None if address is None else Address(address),
                    name=None if address is None else self.names.data(address),
                    taken_at=f"{call.function}+{held.site - start:#x}",
                    by=held.by,
                    offset=held.offset,
                )

            holds = tuple(known(h) for h in place.held)
            wants = known(place.wanted) if place.wanted is not None else None
        loop = loop_at(function, call.pc)
        return replace(
            call,
            in_loop=bool(loop),
            follows_pointers=follows_pointers(loop),
            holds=holds,
            wants=wants,
            calls_by_name=None if call.interrupted else names_its_call(self._prog, call.pc),
        )

    def ahead(self, task: Any, call: Call) -> list[tuple[str, str, int]]:
        """What a function goes on to give back or signal, where its code and registers tell what.

        :param task: ``struct task_struct *`` that the call is of
        :return: kind, the function it will call for it, and address
        """
        frames = self.frames(task)
        function = self.function(call.pc - call.offset)
        if function is None or call.index >= len(frames):
            return []
        place = function.at(call.pc, calling=not call.interrupted)
        place = place or Place((), None, function.registers(call.pc))
        found = []
        # Many tasks wait at the same place.
        if call.pc not in self._ahead:
            names = self.names.function_at
            self._ahead[call.pc] = ahead(function, call.pc, names, self._gifts_of)
        for gift in self._ahead[call.pc]:
            address = resolve(
                gift.thing, place, lambda name: self.value(frames, call.index, name), self.word
            )
            if address is not None:
                found.append((gift.kind, gift.by, address))
        return found

    def _gifts_of(self, start: int) -> tuple[Gift, ...]:
        """What a module's function gives back or signals when another one calls it."""
        if not self._is_modules(start) or self._depth >= _DEEPEST:
            return ()
        if start not in self._ahead:
            self._depth += 1
            function = self.function(start)
            self._ahead[start] = ()  # as long as it is not known, for those that call themselves
            if function is not None:
                names = self.names.function_at
                self._ahead[start] = ahead(function, start, names, self._gifts_of)
            self._depth -= 1
        return self._ahead[start]

    def signals(self, start: int, arguments: dict[str, int]) -> set[tuple[str, int]]:
        """What a function gives back or signals when it is called, by kind and address.

        :param arguments: by register
        """
        function = self.function(start)
        if function is None:
            return set()
        place = Place((), None, {})
        found = set()
        for gift in ahead(function, start, self.names.function_at):
            address = resolve(gift.thing, place, lambda _: None, self.word, arguments)
            if address is not None:
                found.add((gift.kind, address))
        return found

    def word(self, address: int) -> int | None:
        """A word of virtual memory; ``None`` where it is not in the dump."""
        from drgn import FaultError

        try:
            return int.from_bytes(self.read_memory(address, 8), "little")
        except (FaultError, OverflowError):
            return None

    def value(self, frames: list[Any], index: int, name: str) -> int | None:
        """What a callee-saved register or a stack slot held in a frame.

        The unwinder's tables (ORC) follow the stack pointer only. What a function called further
        in saved of its caller's registers is found by following its code.

        :param name: ``rbx``, or ``@-24`` for the slot at that offset from the caller's stack
            pointer
        """
        if name.startswith(SLOT):
            return self._slot(frames, index, int(name[1:]))
        value = register(frames[index], name)
        while value is None and index > 0:
            index -= 1
            inner = frames[index]
            _, start, _ = self.names.code(inner.pc if inner.interrupted else inner.pc - 1)
            function = self.function(start) if start is not None else None
            place = function.at(inner.pc, calling=not inner.interrupted) if function else None
            saved = place.saved(name) if place is not None else None
            if saved is None:
                return None
            if saved:
                return self._slot(frames, index, saved)
            value = register(inner, name)
        return value

    def _slot(self, frames: list[Any], index: int, offset: int) -> int | None:
        from drgn import FaultError

        if index + 1 >= len(frames):
            return None
        try:
            return int.from_bytes(self.read_memory(frames[index + 1].sp + offset, 8), "little")
        except FaultError:
            return None

    def _variable(self, name: str) -> int | None:
        try:
            return int(self._prog.symbol(name).address)
        except LookupError:
            return None

    def function(self, start: int) -> Function | None:
        """The function that begins at an address, followed; ``None`` where it cannot be read."""
        if start not in self._functions:
            self._functions[start] = None
            _, begin, size = self.names.code(start)
            if begin == start and 0 < size <= _LARGEST_FUNCTION:
                if len(self._functions) > _MOST_FUNCTIONS:
                    return None
                self._functions[start] = self._follow(start, size)
        return self._functions[start]

    def _follow(self, start: int, size: int) -> Function | None:
        """The same, once for all readers: to decode the code is what costs most."""
        from drgn import FaultError

        known: dict[int, Function] = self._prog.cache.setdefault(_FOLLOWED, {})
        if start not in known:
            try:
                code = self._prog.read(start, size)
            except FaultError:
                return None
            known[start] = Function(
                code,
                start,
                self.names.function_at,
                self._preempt_count,
                self._variable,
                lambda at: self._part_at(at, start),
                self._wrapper_at if self._is_modules(start) else None,
            )
        return known[start]

    def _is_modules(self, address: int) -> bool:
        return isinstance(self._modules, Modules) and self._modules.owner(address) is not None

    def _wrapper_at(self, address: int) -> Function | None:
        """A function that a module's calls, if that can take locks for it."""
        known = self._is_modules(address) or self.names.function_at(address) in WRAPPERS
        if not known or self._depth >= _DEEPEST:
            return None
        self._depth += 1
        found = self.function(address)
        self._depth -= 1
        return found if found is not None and (found.taken or found.given) else None

    def _part_at(self, address: int, start: int) -> tuple[int, bytes] | None:
        """The part of a function that lies elsewhere, if it is one of that which begins there."""
        from drgn import FaultError

        name, begin, size = self.names.code(address)
        own = base_name(self.names.code(start)[0])
        if begin is None or COLD not in name or base_name(name) != own:
            return None
        try:
            return (begin, self._prog.read(begin, size)) if size <= _LARGEST_FUNCTION else None
        except FaultError:
            return None
