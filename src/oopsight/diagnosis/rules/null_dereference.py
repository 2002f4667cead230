"""A NULL pointer was followed, to an object or to a function.

Finds
    Code reads or writes a member of an object through a pointer that is NULL, or calls one.

Why it happens
    A lookup's or allocation's failure is not checked, or an object is used before it is set up or
    after it is torn down; a table of operations lacks a function and the caller does not check.

How it is decided
    A page fault within the first page, or just below address 0, where the pointer came from a zero:
    the faulting instruction's register holds zero, or data flow leads from it to a zero that
    somebody read, got or set, with constants added on the way (the offset of an inner member,
    ``container_of``). Types name the member where debug information has them. For a call, the
    return address on the stack leads to it, and its operand to the memory that held the pointer.
    Where only functions of the kernel had the pointer, a module is blamed whose object it was in;
    where nothing more is known of it, first that function of it of whose call the kernel had
    complained before, in a warning that the machine outlived.

When it is wrong
    The pointer may have been overwritten with zeros rather than never set; the zero tells not
    which. Where all of the object that it was in is zero, which freed memory is that was allocated
    again, the verdict is *possible*, as it is where the trace of the zero is lost. Whoever left a
    pointer NULL that was kept in an object or in data ran earlier and is not on the stack. The
    module's code tells who can have: first who clears it and goes on with the timer, work or thread
    that met it, where others stop that before they clear it; who takes the pointer away and puts
    another there, which may fail in between; who sets it after it has made the object known; who
    only clears it; who does not look at what a call returned; who is handed a new object in place
    of others that set it; who returns with success on some way and has not set it, as it does on
    others; who puts the object in place as it got it, where others set the field then; who makes
    such an object and leaves the field alone; who tells the kernel NULL for what callbacks get,
    where others tell it something; who returns before it has had the member set up that
    was handed to the kernel; who registered the callback that met it. Before those that clear it or
    leave it alone goes who followed it, if others of the module compare it with NULL: then it may
    be NULL by right; so it goes before its caller that clears it for another command. That is
    *possible* only. So is who is to blame where a function of a module returned the NULL: a lookup
    may find nothing because a key was changed while the object was in the tree. Of a list's head
    which was never set up, as comparing with it tells, or of what has one, as a wait queue, those
    come first that make such an object and do not set it up, then those that set up such, or the
    module's initialisation. Of an object whose operations are another module's, first of all
    whoever had it from the kernel: it took it for one of its own. So does who takes the head of a
    list for one of its entries, and who had a file by its descriptor and took what another has in
    it for its own. Where a function set NULL itself and handed it to another, either may be to
    blame. Of a NULL that a function had put in a variable of its own before another was to fill
    that, the other comes first if on some way it returns as if it had: that is *possible* only,
    too. So is who is to blame where the kernel itself called what a module's table lacks: first
    comes whoever hands the kernel that function of its own, as a driver chooses how an interrupt is
    handled. Where a number in the same object was compared before the pointer was followed, as a
    kind, first of all comes who sets that alone, if others set both. Of an entry of a table that
    nobody cleared, who set the number by which it was chosen comes before who followed it. Where
    something was looked up by a number that was kept in memory, who took it away and left that, as
    others do not, may be to blame. In a loop over a table whose number of entries is kept in
    memory, so may who raises that and on some ways puts none there.

Example
    ``cmp dword ptr [rdi + 0x38], esi`` with ``rdi`` = 0: the member at offset 56, the pointer read
    from a module's variable by the caller.

Look next
    ``dis -l`` of the function that read it, ``rd`` of where it was read.
"""

from __future__ import annotations

import itertools

from oopsight.cheap import dataclass
from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.bad_call import bad_call, is_null, target_of, with_index
from oopsight.diagnosis.blame import (
    blamed_first,
    casts_first,
    fault_step,
    flow_culprits,
    flow_steps,
    head_taken,
    innocent,
    merge,
    owners_first,
    taken_for_another,
    taken_for_own,
    warned_first,
    where,
)
from oopsight.diagnosis.doers import said_steps
from oopsight.diagnosis.left_null import null_by_right, who_left_it_null
from oopsight.diagnosis.never_set_up import never_set_up, should_have_set_up
from oopsight.diagnosis.places import chosen_by, state_step, state_writers
from oopsight.evidence import Missing, Why
from oopsight.evidence.address import error_number
from oopsight.evidence.corruption.empty_head import EmptyHead
from oopsight.evidence.corruption.head_taken import HeadTaken
from oopsight.evidence.corruption.seq_file_taken import SeqFileTaken
from oopsight.evidence.corruption.taken_for_own import TakenForOwn
from oopsight.evidence.corruption.wrong_member import WrongMember
from oopsight.evidence.corruption.zeroed_object import ZeroedObject
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.complaints import Complaints
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.chosen_handlers import ChosenHandler
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.guard_writers import GuardWriters
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.limit_writers import LimitWriters
from oopsight.evidence.modules.lookup_keys import LookupKey
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.modules.publishing import PUBLISHES
from oopsight.evidence.modules.unfilled import Unfilled
from oopsight.plumbing import base_name

_FIRST_PAGE = 4096
_NONE_GIVEN = Missing(Why.NOT_APPLICABLE, "no callback was given another object")


def _zero(fault: Fault, flow: DataFlow | Missing) -> str | None:
    """How the zero is known: ``code``, ``register`` or ``flow``; ``None`` where there was none."""
    operand = fault.operand
    if operand is not None and operand.address == fault.address and operand.absolute:
        return "code"  # the compiler knew it
    if isinstance(flow, DataFlow) and flow.subject == "operand":
        end = flow.first.end
        if end is not None and end.how != "lost" and end.value is not None:
            return "flow" if end.value == 0 else None
        if any(step.value == 0 for step in flow.first.steps):
            return "flow"
    if operand is None or operand.base is None or operand.base_value is None:
        return None
    if operand.address is not None and operand.address != fault.address:
        return None
    if operand.address is None:
        return None
    return "register" if operand.base_value < _FIRST_PAGE else None


def null_dereference(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    zeroed: ZeroedObject | Missing,
    modules: Modules | Missing,
    head: EmptyHead | Missing,
    doers: Doers | Missing,
    prints: Prints | Missing,
    complaints: Complaints | Missing,
    taken: TakenForOwn | Missing,
    unfilled: Unfilled | Missing,
    chosen: ChosenHandler | Missing,
    entry: HeadTaken | Missing,
    data: SeqFileTaken | Missing,
    member: WrongMember | Missing,
    index: IndexWriters | Missing,
    guard: GuardWriters | Missing,
    key: LookupKey | Missing,
    limit: LimitWriters | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a NULL pointer was followed."""
    other = _other_than_null(fault)
    if other is not None:
        return other
    if fault.access == "execute" or fault.address == fault.pc:
        if not is_null(target_of(fault, flow)):
            return Clear("a call went astray, and not to NULL")
        left_by = _left_open(flow, backtrace, doers, prints)
        outcome = bad_call(fault, backtrace, flow, modules, left_by, chosen)
        if isinstance(outcome, Finding):
            return with_index(outcome, index, beyond=not left_by or _in_data(flow))
        return outcome
    if isinstance(entry, HeadTaken):
        doers = Missing(Why.NOT_APPLICABLE, "what was read there is no field of an entry")
    known = _zero(fault, flow)
    if known is None or (_offset(fault) < 0 and known != "flow"):
        return Clear("the pointer did not come from a zero")
    found = flow_culprits(flow, backtrace, what="the NULL pointer")
    culprits = owners_first(found, flow, modules)
    # Whose mistake it is that the kernel met it there is one conclusion more.
    established = Certainty.SHOWN if culprits == found else Certainty.INFERRED
    account = _Account(culprits, _met(fault, flow, modules), _came_from(flow), established)
    if isinstance(flow, Missing) or flow.first.ended == "lost":
        account.of_cause = None  # where it came from is not known
    elif _kept(flow):
        account.add_keepers(flow, backtrace, doers, prints)
        left = _left_open(flow, backtrace, doers, prints)
        beyond = not left or _index_is_wrong(index)
        account.culprits = chosen_by(account.culprits, index, account.steps, beyond=beyond)
        account.culprits = _limit_first(account.culprits, limit, account.steps)
        if not account.compared:
            account.culprits = _guard_first(account.culprits, guard, account.steps)
    elif isinstance(unfilled, Unfilled):
        account.culprits = merge([_left_unfilled(unfilled)], account.culprits)
        account.source += f" {unfilled.function} was called to put another pointer there."
    else:
        account.add_giver(flow, key)
    account.add_surroundings(zeroed, head, doers)
    steps = account.steps
    # That NULL lies where a callback looks, and a pointer elsewhere, is no sign by itself.
    given = member if isinstance(member, WrongMember) and member.givers else _NONE_GIVEN
    mistaken = merge(
        taken_for_another(given, steps), taken_for_own(taken, steps), head_taken(entry, steps)
    )
    culprits = merge(mistaken, account.culprits)
    culprits = warned_first(casts_first(culprits, data, steps), complaints, steps)
    followed = where(fault.function, fault.module)
    blamed = blamed_first(culprits, followed)
    wanted = _wanted(fault, flow)
    return Finding(
        title=f"NULL pointer dereference in {fault.function}",
        summary=f"{followed} followed a NULL pointer; it wanted {wanted}.{account.source}",
        certainty=established if account.sure else Certainty.POSSIBLE,
        cause_certainty=None if account.sure else account.of_cause,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(f"Find who leaves the pointer NULL, and check it in {blamed} before it is used.",),
    )


@dataclass
class _Account:
    """What is told of the pointer; each part of the evidence adds to it."""

    culprits: list[Culprit]
    steps: list[Step]
    source: str
    """Sentences on where it came from."""
    of_cause: Certainty | None
    sure: bool = False
    """Whether it is clear who is to blame."""
    compared: bool = False
    """Whether others compare it with NULL."""

    def add_keepers(
        self,
        flow: DataFlow,
        backtrace: Backtrace,
        doers: Doers | Missing,
        prints: Prints | Missing,
    ) -> None:
        """Of one that was kept in memory: who left it NULL, or did not check as others do."""
        left_by = _left_open(flow, backtrace, doers, prints)
        self.steps += [step for one in left_by[:1] for step in said_steps(one, prints)]
        knowing = () if _registering(backtrace, doers) else _knowing(backtrace, doers)
        self.compared = bool(knowing)
        if knowing:
            self.source += f" Others, as {knowing[0]}, compare it with NULL before they use it."
            self.culprits = merge(self.culprits, left_by)
        else:
            self.culprits = merge(left_by, self.culprits)

    def add_giver(self, flow: DataFlow, key: LookupKey | Missing) -> None:
        """Of one that was returned or set: who may have been right to expect another.

        Who is called with NULL on purpose may be the one who should have looked; who asked a lookup
        of the module's own may be right to expect it: a key was changed, an entry lost.
        """
        way = flow.first
        self.sure = way.returner_module is None and (way.ended != "set" or not way.passed_by)
        if isinstance(key, LookupKey):
            # What it meant may have been taken away meanwhile, and the number left.
            self.sure = False
            self.culprits = _with_key(self.culprits, key, self.steps)
        # So it is of what one of the module's own computed from NULL, and returned.
        self.sure = self.sure and all(step.how != "returned" for step in way.steps[:-1])

    def add_surroundings(
        self,
        zeroed: ZeroedObject | Missing,
        head: EmptyHead | Missing,
        doers: Doers | Missing,
    ) -> None:
        """What the memory round it tells: it is all zero, or a list's head."""
        if isinstance(zeroed, ZeroedObject):
            self.sure, self.of_cause = False, None
            self.source += (
                " All of that object is zero: it may have been freed and allocated anew since."
            )
            self.steps.append(_all_zero(zeroed))
        if isinstance(head, EmptyHead):
            self.sure = False
            self.source += " It is that of a list's head which was never set up."
            self.steps += never_set_up(head)
            self.culprits = merge(should_have_set_up(head, doers), self.culprits)


def _other_than_null(fault: Fault) -> Clear | None:
    """Why the fault cannot be of a NULL pointer, if so."""
    if fault.exception != PAGE_FAULT or fault.address is None:
        return Clear("it was not a page fault")
    if fault.address >= _FIRST_PAGE and error_number(fault.address) is None:
        return Clear(f"the address {fault.address} is not within the first page")
    return None


def _offset(fault: Fault) -> int:
    """Of the address from NULL, below zero for the last addresses of all."""
    address = int(fault.address or 0)
    return address if address < _FIRST_PAGE else address - (1 << 64)


def _wanted(fault: Fault, flow: DataFlow | Missing) -> str:
    """What lies where the fault was, in what the pointer should have led to."""
    offset = _offset(fault)
    if isinstance(flow, DataFlow) and flow.wanted:
        return f"{flow.wanted}, at offset {offset:#x}"
    return f"what lies at offset {offset:#x}"


def _came_from(flow: DataFlow | Missing) -> str:
    """A sentence on where the pointer came from; empty where that is not known."""
    if isinstance(flow, Missing):
        return ""
    way = flow.first
    if way.ended == "loaded" and way.name:
        return f" It was read from {way.name}."
    if way.returned_by:
        return f" {way.returned_by} had returned it."
    return f" {where(way.function, way.module)} had set it itself." if way.ended == "set" else ""


def _met(fault: Fault, flow: DataFlow | Missing, modules: Modules | Missing) -> list[Step]:
    """The proof from the fault to the pointer."""
    first = fault_step(fault)
    if fault.unmapped:
        first = Step(first.claim, (*first.because, fault.unmapped))
    steps = [first, *(flow_steps(flow) if isinstance(flow, DataFlow) else ())]
    wanted = f"through the NULL pointer it wanted {_wanted(fault, flow)}"
    steps.append(Step(wanted, (fault.frame,)))
    owner = modules.owner(fault.pc) if isinstance(modules, Modules) else None
    if owner:
        steps.append(Step(f"the code belongs to module {owner.name}", (owner.pointer,)))
    return steps


def _all_zero(zeroed: ZeroedObject) -> Step:
    return Step(
        f"the {zeroed.cache} object {zeroed.address} is nothing but zeros: not set up yet, or "
        "freed and allocated again for somebody else",
        (zeroed.memory,),
    )


def _kept(flow: DataFlow) -> bool:
    """Whether the NULL pointer was in memory that is set up and cleared by others."""
    held = flow.first.held_in
    if held is None:
        return flow.first.ended == "loaded"
    return held.kind in ("slab", "module", "per-cpu", "page", "vmalloc")


def _left_open(
    flow: DataFlow | Missing,
    backtrace: Backtrace,
    doers: Doers | Missing,
    prints: Prints | Missing,
) -> list[Culprit]:
    """Who can have left a pointer NULL that was kept in memory, most suspect first."""
    if isinstance(flow, Missing) or not _kept(flow):
        return []
    met = base_name(flow.first.function)
    callers = {base_name(frame.function) for frame in backtrace.crash_path} - {met}
    return merge(_registering(backtrace, doers), who_left_it_null(doers, prints, callers))


def _knowing(backtrace: Backtrace, doers: Doers | Missing) -> tuple[str, ...]:
    """Who compares the field with NULL, where nobody on the way to the crash did."""
    return null_by_right(doers, {base_name(frame.function) for frame in backtrace.crash_path})


def _registering(backtrace: Backtrace, doers: Doers | Missing) -> list[Culprit]:
    """The function of the module further out that is registering what it was called back for.

    What the callback needs it has not set up yet; unless that is for others to set up, later.
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    setting = field.fill_by if field is not None else ()
    path = [frame for frame in backtrace.crash_path if not frame.inline]
    inside = [number for number, frame in enumerate(path) if frame.module is not None]
    for inner, outer in itertools.pairwise(inside):
        frame = path[outer]
        between = path[inner + 1 : outer]
        if not between or frame.module != path[inner].module:
            continue
        called = base_name(between[-1].function)
        name = base_name(frame.function)
        if PUBLISHES.match(called) and (not setting or name in setting):
            why = f"was in its call of {called} when the callback came"
            return [Culprit(frame.module, name, frame.source, None, why)]
    return []


def _limit_first(
    found: list[Culprit], limit: LimitWriters | Missing, steps: list[Step]
) -> list[Culprit]:
    """With who raises the number of entries, and on some ways puts none there, if it is one.

    :param steps: of the proof, to which that is added
    """
    if isinstance(limit, Missing) or len(limit.functions) != 1 or limit.way.end is None:
        return found
    end = limit.way.end
    carried = (end.instruction, *((end.memory,) if end.memory is not None else ()))
    steps.append(Step(f"the loop goes on by the number that {end.text}", carried))
    why = f"raises {limit.way.name or 'that number'}, and on some ways puts nothing in place"
    return merge([Culprit(limit.module, limit.functions[0], None, None, why)], found)


def _with_key(found: list[Culprit], key: LookupKey, steps: list[Step]) -> list[Culprit]:
    """With who left the number as it was by which something was looked up, as others do not.

    :param steps: of the proof, to which that is added
    """
    steps.append(state_step(key.state))
    field = key.state.way.name or "the number"
    writers = state_writers(key.state, f"writes to {field}, by which {key.called} was called")
    leaving = [one for one in writers if one.function in key.state.leaving]
    return merge(leaving, found, writers)


def _in_data(flow: DataFlow | Missing) -> bool:
    """Whether the pointer was in a table of a module's or the kernel's data."""
    held = flow.first.held_in if isinstance(flow, DataFlow) else None
    return held is not None and held.kind in ("module", "kernel")


def _index_is_wrong(index: IndexWriters | Missing) -> bool:
    """Whether the number by which an entry of a table was chosen is itself what is wrong."""
    if isinstance(index, Missing):
        return False
    return index.beyond or bool(index.state.errors)


def _guard_first(
    found: list[Culprit], guard: GuardWriters | Missing, steps: list[Step]
) -> list[Culprit]:
    """With who said that the pointer may be followed, and did not set it, as others do.

    Then those that clear or set both are last but for who followed it.

    :param steps: of the proof, to which that is added
    """
    if isinstance(guard, Missing) or guard.way.end is None:
        return found
    end = guard.way.end
    carried = (end.instruction, *((end.memory,) if end.memory is not None else ()))
    steps.append(Step(f"before that, {end.text}, and went by it", carried))
    why = f"sets {guard.way.name or 'that'} alone, where others set the pointer as well"
    alone = [Culprit(guard.module, name, None, None, why) for name in guard.functions]
    return merge(alone, sorted(found, key=lambda one: one.function in guard.both))


def _left_unfilled(one: Unfilled) -> Culprit:
    """Who was to fill the variable."""
    why = "was given the variable to fill, and on some way returns as if it had, and has not"
    return Culprit(one.module, one.function, None, None, why)
