"""What every CPU was doing when the machine went down, the panic's own code left out."""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why, missing_from
from oopsight.evidence.crash.backtrace import WATCHERS
from oopsight.evidence.crash.forbidden_sleep import ForbiddenSleep
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.stacks import StackReader, TaskStack, register
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import TaskPointer
from oopsight.kinds import Kind
from oopsight.session import Session

MOST_CPUS = 4096
_INTERRUPTS_ON = 1 << 9  # EFLAGS.IF
# The functions in which a CPU ends that another one has stopped, or that is panicking itself.
_STOPPED = (
    "panic",
    "vpanic",
    "nmi_panic",
    "__crash_kexec",
    "crash_kexec",
    "crash_nmi_callback",
    "smp_stop_nmi_callback",
    "stop_this_cpu",
    "__sysvec_reboot",
    "sysvec_reboot",
    "nmi_panic_self_stop",
    "panic_smp_self_stop",
    "native_stop_other_cpus",
    "die",
    "oops_end",
    *WATCHERS,
    "check_panic_on_warn",
    "__schedule_bug",
)
_CONCERNED = (
    Kind.HUNG_TASK,
    Kind.SOFT_LOCKUP,
    Kind.HARD_LOCKUP,
    Kind.RCU_STALL,
    Kind.WORKQUEUE_LOCKUP,
    Kind.DEADLOCK,
    Kind.LOCK_MISUSE,
    Kind.SLEEPING_IN_ATOMIC,
)
_SPIN = (
    "native_queued_spin_lock_slowpath",
    "__pv_queued_spin_lock_slowpath",
    "queued_spin_lock_slowpath",
    "pv_queued_spin_lock_slowpath",
    "queued_write_lock_slowpath",
    "queued_read_lock_slowpath",
)
# include/asm-generic/qspinlock_types.h and qrwlock.h: _Q_LOCKED_MASK; all but _QW_WAITING.
_HELD, _HELD_RW = 0xFF, 0xFFFFFEFF
_RW = ("queued_read_lock", "queued_write_lock")
_LOCK_REGISTERS = ("rdi", "rbx", "rbp", "r12", "r13", "r14", "r15")


@dataclass(frozen=True)
class SpinLock:
    """A spinlock that a CPU spins on."""

    address: Address
    name: str | None
    value: int
    """Its 32 bits: the lowest byte is not zero while it is held, but of a lock for readers and
    writers only while a writer holds it; its readers are counted from bit 9 on."""
    confirmed: bool
    """Whether the caller's code gives the same address as the spinning function's register."""
    sound: bool = True
    """Whether a lock that is taken can have this value: else it was written over, or is none."""


@dataclass(frozen=True)
class Cpu:
    """A CPU and the stack of its task, from where the panic or its own stopping broke in."""

    number: int
    stack: TaskStack
    panicking: bool
    idle: bool
    in_user: bool
    """Interrupted while in user space."""
    interrupts_on: bool | None
    """Of the interrupted code; ``None`` where the flags are not known."""
    spins_on: SpinLock | None

    @property
    def task(self) -> TaskPointer:
        """Its current task."""
        return self.stack.task


@dataclass(frozen=True)
class Cpus:
    """The CPUs that are present; a panic takes those it stops off the map of the online ones."""

    cpus: tuple[Cpu, ...]
    unread: tuple[Missing, ...]
    """CPUs that could not be read."""

    @property
    def panicking(self) -> Cpu | None:
        """The one that carried the panic out."""
        return next((cpu for cpu in self.cpus if cpu.panicking), None)

    def number(self, number: int) -> Cpu | None:
        """The CPU of that number."""
        return next((cpu for cpu in self.cpus if cpu.number == number), None)

    def running(self, task: int) -> Cpu | None:
        """The CPU that a task, by its address, was running on."""
        return next((cpu for cpu in self.cpus if cpu.task.address == task), None)


def broken_in(frames: list[tuple[str, bool, bool]]) -> int:
    """How many innermost frames are the panic, the stopping, or the interrupt that led there.

    Who calls panic() itself, be it in an interrupt, is not passed over; the watchdog's timer is.

    :param frames: function, whether it can be to blame, and whether an interrupt or exception broke
        into it in the kernel; innermost first
    """
    last = max(
        (i for i, frame in enumerate(frames) if frame[0].partition(".")[0] in _STOPPED), default=-1
    )
    for index in range(last + 1, len(frames) if last >= 0 else 0):
        _, can_be_to_blame, interrupted = frames[index]
        if interrupted:
            return index
        if can_be_to_blame:
            break
    return last + 1


def collect(
    session: Session,
    modules: Modules | Missing,
    symptom: Symptom,
    sleep: ForbiddenSleep | Missing,
) -> Cpus | Missing:
    """Read the current task of each CPU, for crashes that other CPUs can have a part in."""
    if symptom.kind not in _CONCERNED and isinstance(sleep, Missing):
        return Missing(Why.NOT_APPLICABLE, f"{symptom.kind} is of the crashed CPU alone")
    from drgn import FaultError
    from drgn.helpers.linux.cpumask import for_each_present_cpu
    from drgn.helpers.linux.panic import panic_task
    from drgn.helpers.linux.sched import cpu_curr

    prog = session.prog
    reader = StackReader(session, modules)
    try:
        panicked = panic_task(prog).value_()
    except (FaultError, LookupError):
        panicked = None
    found: list[Cpu] = []
    missing: list[Missing] = []

    numbers = list(for_each_present_cpu(prog))[:MOST_CPUS]
    for number in numbers:
        try:
            found.append(_cpu(reader, number, cpu_curr(prog, number), panicked))
        except FaultError as error:
            missing.append(missing_from(error))
    if not found:
        return Missing(Why.UNREADABLE, "no CPU's current task can be read")
    return Cpus(tuple(found), tuple(missing))


def _cpu(reader: StackReader, number: int, task: Any, panicked: int | None) -> Cpu:
    frames = reader.frames(task)
    whole = reader.read(task, look_into=False).calls
    skip = broken_in([(c.function, c.plumbing is None, c.interrupted) for c in whole])
    stack = reader.read(task, skip=skip)
    flags = None
    if skip < len(frames) and frames[skip].interrupted:
        flags = register(frames[skip], "rflags")
    return Cpu(
        number=number,
        stack=stack,
        panicking=task.value_() == panicked,
        idle=task.pid.value_() == 0,
        in_user=bool(frames) and skip < len(frames) and frames[skip].pc < 1 << 63,
        interrupts_on=None if flags is None else bool(flags & _INTERRUPTS_ON),
        spins_on=_spins_on(reader, stack, frames),
    )


def is_sound(value: int) -> bool:
    """Whether a spinlock that is taken can have a value.

    Its lowest byte is 1, of a paravirtual one 3 at times; the next says that somebody is next.

    >>> is_sound(1), is_sound(0x40101), is_sound(0x6B6B6B6B)
    (True, True, False)
    """
    return value & 0xFF in (1, 3) and value >> 8 & 0xFF in (0, 1)


def _spins_on(reader: StackReader, stack: TaskStack, frames: list[Any]) -> SpinLock | None:
    """The lock in a register of the spinning function, checked with what its caller wants."""
    from drgn import FaultError

    call = stack.inside(*_SPIN)
    if call is None:
        return None
    wanted = next((c.wants for c in stack.calls if c.index > call.index and c.wants), None)
    values = [register(frames[call.index], name) for name in _LOCK_REGISTERS]
    candidates = [v for v in values if v is not None and v >= 1 << 63 and v % 4 == 0]
    confirmed = wanted is not None and wanted.address is not None
    if wanted is not None and wanted.address is not None:
        candidates = [int(wanted.address)] if wanted.address in candidates else candidates
        confirmed = wanted.address in candidates
    for address in candidates:
        try:
            value = int.from_bytes(reader.read_memory(address, 4), "little")
        except FaultError:
            continue
        shared = call.function.startswith(_RW)
        if value & (_HELD_RW if shared else _HELD):
            name = reader.names.data(address)
            return SpinLock(Address(address), name, value, confirmed, shared or is_sound(value))
    return None
