"""Where the bad value came from: backwards from the fault to the load that brought it.

The value that made the fault is followed through registers, stack slots and calls to where it was
read from memory, returned by a function or set in the code. Then the pointer through which it was
read is followed in the same way, and so on: each :class:`Way` is one such value. Every step has
the instruction, and the memory as it is in the dump; where that no longer agrees with the register,
the step says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import (
    GENERAL_PROTECTION,
    INVALID_OPCODE,
    PAGE_FAULT,
    STACK_SEGMENT,
    Fault,
)
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.follower import Follower
from oopsight.evidence.flow.frames import calls
from oopsight.evidence.flow.freed import freed, per_cpu_memory
from oopsight.evidence.flow.instructions import ARGUMENTS, Instruction, Memory
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.ways import FlowStep, Namer, Way
from oopsight.evidence.memory.owner import Owner, owner_of, same_area
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.use_after_free.dead_workqueue import is_dead
from oopsight.kernel.addresses import in_kernel_half
from oopsight.session import Session

if TYPE_CHECKING:
    from drgn import Type

__all__ = ["DataFlow", "FlowStep", "Way", "bad_register", "collect"]

_FARTHEST_MEMBER = 1 << 20
_BITS_OF_A_PAGE = 8 * 4096
_GIVES_BACK = re.compile(
    r"free|put|release|destroy|consume|complete|unregister|_del|remove|end_|endio|xmit|rx|receive"
)
"""In the names of functions that may give back what they are handed."""
# Exceptions that a bad value makes, at an access or (an invalid opcode is BUG and WARN) at a check.
_OF_A_VALUE = (PAGE_FAULT, GENERAL_PROTECTION, STACK_SEGMENT, INVALID_OPCODE, "alignment_check")


@dataclass(frozen=True)
class DataFlow:
    """What is known of the bad value's origin."""

    subject: str
    """What was followed: ``operand``, the pointer in the faulting instruction's operand, or
    ``index``, where its pointer is right; ``freed``, memory that was to be freed and is not of the
    allocator; ``target`` of a call to where no code is; or ``argument`` of a function that checks
    what it is given."""
    checker: str | None
    """For an argument, the function that was given it."""
    ways: tuple[Way, ...]
    """The bad value; the pointer through which that was read; and so on."""
    others: tuple[Way, ...]
    """For an argument, the ways of the further arguments."""
    bad: Owner | None
    """What the bad value itself is; of an index, what the address is that it led to."""
    wanted: str | None
    """The member that the faulting instruction wanted, ``struct file.f_mode``."""
    expected: str | None
    """The type that the bad pointer should have pointed to."""
    checker_module: str | None = None
    """The module of :attr:`checker`."""
    installed_by: tuple[str, ...] = ()
    """For a target read from a module's table, that module's functions which refer to the table;
    for a module's variable that was to be freed, those which refer to that."""
    called_back: tuple[TrackFrame, ...] = ()
    """For an argument that the kernel's own functions handed over, the functions of modules that
    they had called through pointers before: they had it before the one that found fault with it."""
    called_within: tuple[TrackFrame, ...] = ()
    """Those that were called by functions which have returned: they may have had it."""
    from_code: bool = False
    """Whether a target was read from the code of a function, as from no table."""

    @property
    def of_a_pointer(self) -> bool:
        """Whether a bad pointer was followed, be it to data or to code."""
        return self.subject in ("operand", "target")

    @property
    def first(self) -> Way:
        """The bad value's own way."""
        return self.ways[0]


def _start(fault: Fault, found: Calls) -> tuple[Context, str | Memory, int | None, str] | None:
    """Context, what to follow, its value, and what it is called."""
    if found.frames and found.frames[0].no_code:
        taken = found.jump_nowhere()
        if taken is None:
            return None
        return taken[0], taken[1], int(fault.pc), "target"
    context = found.context(0)
    if context is None:
        return None
    row = faulting(fault, context)
    if row.mnemonic in ("call", "jmp") and row.operands and row.operands[0].register:
        register = row.operands[0].register
        return context, register, context.registers.get(register), "target"
    place = bad_register(fault, context)
    if place is None:
        return None
    value = context.registers.get(place)
    indexes = {o.memory.index for o in row.operands if o.memory is not None} | {bit_number(row)}
    # What is no number at all, poison or text, is looked at as a pointer is.
    number = value is not None and (in_kernel_half(value) or not value >> 47)
    return context, place, value, "index" if place in indexes and number else "operand"


def faulting(fault: Fault, context: Context) -> Instruction:
    """The instruction that could not be carried out; KASAN's check of it is where the frame is."""
    rows = context.function.instructions
    if fault.check is None:
        return rows[context.at]
    return next((row for row in rows if row.address == fault.pc), rows[context.at])


def bit_number(row: Instruction) -> str | None:
    """The register of ``bt`` and its like that counts bits from the memory operand on."""
    if row.mnemonic.removeprefix("lock ") not in ("bt", "bts", "btr", "btc"):
        return None
    memory, bit = row.operands[:2]
    return bit.register if memory.memory is not None else None


def _accessed(fault: Fault) -> int | None:
    """The address that the faulting instruction came to."""
    if fault.address is None and fault.operand is not None:
        return fault.operand.address
    return fault.address


def _wanted(fault: Fault, typed: tuple[Type, int] | None) -> tuple[str | None, str | None]:
    """The member at the operand's displacement, and the type that holds it."""
    from oopsight.evidence.flow.type_names import member_at, short_name

    if typed is None or fault.operand is None:
        return None, None
    kind, beyond = typed
    found = member_at(kind, beyond + fault.operand.displacement)
    name = short_name(kind).removeprefix("const ")
    return (f"{name}.{found[0]}" if found else None), name


def bad_register(fault: Fault, context: Context) -> str | None:
    """The register that made the operand's address bad: base or index, or a string pointer."""
    row = faulting(fault, context)
    bit = bit_number(row)
    if bit is not None and context.registers.get(bit, 0) >= _BITS_OF_A_PAGE:
        return bit
    memories = [operand.memory for operand in row.operands if operand.memory is not None]
    memories = [memory for memory in memories if memory.segment not in ("gs", "fs")]
    if not memories:
        return None
    chosen = memories[0]
    if len(memories) > 1 and fault.address is not None:
        # movs has two: the one whose address faulted.
        near = [
            memory
            for memory in memories
            if memory.base in context.registers
            and abs(context.registers[memory.base] - fault.address) < 64
        ]
        chosen = near[0] if near else chosen
    base, index = chosen.base, chosen.index
    if base in (None, "rip", "rsp"):
        return index
    if index is None:
        return base
    # Both take part: whichever is no address by itself while the other is one.
    values = [context.registers.get(name) for name in (base, index)]
    if values[0] is not None and values[1] is not None:
        base_is_kernel = in_kernel_half(values[0])
        index_is_kernel = in_kernel_half(values[1])
        small = values[1] < _FARTHEST_MEMBER
        if base_is_kernel and not index_is_kernel and not small:
            return index
        if index_is_kernel and not base_is_kernel:
            return base
    return base


def _argument(
    found: Calls, backtrace: Backtrace, follower: Follower
) -> tuple[tuple[str, int], tuple[Way, ...], tuple[tuple[Way, ...], ...]] | None:
    """The arguments that the innermost function to blame handed to what found fault with them."""
    context = _who_handed_it(found, backtrace, follower)
    if context is None:
        return None
    call = context.function.instructions[context.at]
    target = None if call.target is None else found.reader.function(call.target)
    if target is None or "x86_indirect" in target[0]:
        return None
    results = [
        follower.ways(context, register, _handed_value(found, context, register))
        for register in ARGUMENTS[:2]
    ]
    return target[:2], results[0], tuple(ways for ways in results[1:] if ways)


def _handed_value(found: Calls, context: Context, register: str) -> int | None:
    """What a call handed over, as who was called still has it; else as the caller's code tells.

    What that reads may have changed since: an index, once it was used.
    """
    target = context.function.instructions[context.at].target
    frames = (found.context(position) for position in range(len(found.frames)))
    inner = next((one for one in frames if one is not None and one.caller() is context), None)
    if inner is not None and inner.function.start == target:
        value = found.tracer.entering(inner, register)
        if value is not None:
            return value
    return found.tracer.value(context, register, context.at)


def _handed_gone(
    session: Session,
    modules: Modules | None,
    found: Calls,
    backtrace: Backtrace,
    follower: Follower,
) -> DataFlow | None:
    """What a module had handed to the kernel, where that is memory which had been given back.

    Not to a function that may have given it back itself.
    """
    from oopsight.evidence.flow.type_names import parameter

    context = _who_handed_it(found, backtrace, follower)
    if context is None or follower.namer.module(context) is None:
        return None
    call = context.function.instructions[context.at]
    target = None if call.target is None else found.reader.function(call.target)
    if target is None or _GIVES_BACK.search(target[0]):
        return None
    for register in ARGUMENTS[:2]:
        value = found.tracer.value(context, register, context.at)
        bad = None if value is None else owner_of(session, modules, value)
        if value is None or bad is None or bad.slab is None:
            continue
        # What is no parameter is of a call before.
        first = register == ARGUMENTS[0]
        taken = first or parameter(session.prog, target[0], target[1], register) is not None
        if (bad.slab.freed and taken) or is_dead(session, target[0], value):
            ways = follower.ways(context, register, value)
            return DataFlow("argument", target[0], ways, (), bad, None, None)
    return None


def _who_handed_it(found: Calls, backtrace: Backtrace, follower: Follower) -> Context | None:
    """The innermost function to blame, at its call of what found fault with the arguments.

    A module's function that jumped on to that, called by what serves any caller, comes before those
    further out.
    """
    plumbing = {f.index: f.plumbing for f in backtrace.crash_path if not f.inline}
    for position, frame in enumerate(found.frames):
        if frame.index not in plumbing:
            return found.context(position) if position else None
        between = _that_jumped_on(found, position) if position else None
        if plumbing[frame.index] is None:
            return (between or found.context(position)) if position else None
        if between is not None and follower.namer.module(between) is not None:
            return between
    return None


def _that_jumped_on(found: Calls, position: int) -> Context | None:
    """Who was called through a pointer by the frame at a position, and left no frame by a jump."""
    inner, outer = found.context(position - 1), found.context(position)
    if inner is None or outer is None:
        return None
    called = outer.function.instructions[outer.at]
    between = inner.caller() if found.taken_from(called) is not None else None
    return between if between is not None and between is not outer else None


def _owner(session: Session, modules: Modules | None, ways: tuple[Way, ...]) -> Owner | None:
    """What the value of the first of some ways is."""
    value = ways[0].value
    return None if value is None else owner_of(session, modules, value)


def _reached(session: Session, modules: Modules | None, fault: Fault, where: int) -> Owner:
    """Whose memory the bad pointer leads to; of one into an area of vmalloc, what lies behind that.

    A good pointer and an index too large make an address behind the area's last page.
    """
    owner = owner_of(session, modules, where)
    accessed = _accessed(fault)
    if owner.kind != "vmalloc" or not owner.mapped or accessed is None or accessed < where:
        return owner
    beyond = owner_of(session, modules, accessed)
    left = beyond.kind == "vmalloc" and not beyond.mapped
    return beyond if left and same_area(session, where, accessed) else owner


def collect(
    session: Session,
    fault: Fault,
    backtrace: Backtrace,
    modules: Modules | Missing,
    task: CrashedTask | Missing,
) -> DataFlow | Missing:
    """Follow the bad value of a memory access or call; of a failed check, the arguments."""
    if fault.exception not in _OF_A_VALUE:
        return Missing(Why.NOT_APPLICABLE, "no value made the machine stop there")
    known = None if isinstance(modules, Missing) else modules
    # A jump to an address that is not canonical is a general protection fault, at the target or
    # at the jump, as the CPU likes.
    nowhere = fault.exception == GENERAL_PROTECTION and fault.code is None
    no_code = (fault.exception == PAGE_FAULT and fault.address == fault.pc) or nowhere
    cpu = None if isinstance(task, Missing) else task.cpu
    found = calls(session, backtrace, cpu, no_code=no_code)
    follower = Follower(session, Namer(session, known, backtrace), found)
    to_free = freed(session, known, found)
    start = to_free or _start(fault, found)
    if start is not None:
        context, what, value, subject = start
        ways = follower.ways(context, what, value)
        if ways:
            subject = "index" if subject == "operand" and ways[0].index else subject
            where = _accessed(fault) if subject == "index" else value
            bad = None if where is None else _reached(session, known, fault, where)
            if subject == "freed" and value is not None and bad is not None and not bad.is_memory:
                bad = per_cpu_memory(session, value) or bad
            wanted, expected = (None, None) if to_free else _wanted(fault, follower.pointed_to)
            table = {"target": ways[0].held_in, "freed": bad}.get(subject)
            installed = follower.installers(table)
            read = ways[0].held_in.address if ways[0].held_in is not None else None
            code = read is not None and found.reader.code_symbol(int(read)) is not None
            followed = DataFlow(
                subject,
                None,
                ways,
                (),
                bad,
                wanted,
                expected,
                installed_by=installed,
                from_code=code and subject == "target",
            )
            lost = subject == "operand" and ways[0].ended == "lost"
            gone = _handed_gone(session, known, found, backtrace, follower) if lost else None
            return gone or followed
    if fault.operand is None or fault.operand.address is None:
        given = _argument(found, backtrace, follower)
        if given is not None and given[1]:
            (checker, checker_at), ways, others = given
            owner = known.owner(checker_at) if known else None
            bad = _owner(session, known, ways)
            # Of the arguments the one that is to be freed counts, wherever it stands.
            second = _owner(session, known, others[0]) if others else None
            freed_already = second is not None and second.slab is not None and second.slab.freed
            if freed_already and not (bad is not None and bad.slab is not None and bad.slab.freed):
                ways, others, bad = others[0], (ways, *others[1:]), second
            module = owner.name if owner else None
            return DataFlow(
                "argument",
                checker,
                ways,
                tuple(one[0] for one in others),
                bad,
                None,
                None,
                module,
                called_back=follower.called_back(),
                called_within=follower.called_within(ways[0].value),
            )
    return Missing(Why.NOT_APPLICABLE, "the faulting instruction has no operand to follow")
