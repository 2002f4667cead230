"""What rules about a bad value have in common: its proof, and who is to blame, by data.

The function that brought the bad value in, by reading it from memory, by getting it from a call or
by setting it, comes before those that it was handed to; code that serves any caller never comes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

from oopsight.diagnosis import Culprit, Innocent, Step
from oopsight.evidence import Missing
from oopsight.evidence.corruption.head_taken import HeadTaken
from oopsight.evidence.corruption.seq_file_taken import SeqFileTaken
from oopsight.evidence.corruption.stray_stores import StrayStores
from oopsight.evidence.corruption.taken_for_own import TakenForOwn
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.corruption.wrong_member import WrongMember
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.evidence.crash.complaints import Complaints
from oopsight.evidence.crash.fault import GENERAL_PROTECTION, PAGE_FAULT, STACK_SEGMENT, Fault
from oopsight.evidence.flow.data_flow import DataFlow, FlowStep, Way
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.memory.slab_tracks import Track
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import InstructionPointer, Pointer, RegisterPointer
from oopsight.plumbing import base_name, why_plumbing

MOST_CULPRITS = 5
_AT_ACCESS = (PAGE_FAULT, GENERAL_PROTECTION, STACK_SEGMENT)
_OWNED_WAYS = 3
"""Of a bad value, the pointer to it and the pointer to that: further out it is others' memory."""
# What adds nothing for a reader: the value is where it was, under another name.
_SILENT = ("copied",)
_CHANGED = re.compile(r" called (?P<name>\S+?)\.isra\.\d")
"""The call of a function whose parameters the compiler has changed."""


def where(function: str, module: str | None) -> str:
    """A function as it is written in sentences."""
    return f"{function} [{module}]" if module else function


def fault_step(fault: Fault) -> Step:
    """What the machine could not do."""
    name = where(fault.function, fault.module)
    because: list[Pointer] = [fault.frame]
    if fault.code is not None and fault.instruction is not None:
        because.append(InstructionPointer(fault.pc, fault.code, fault.instruction))
    if fault.address is None:
        met = (fault.exception or "exception").replace("_", " ")
        article = "an" if met[0] in "aeiou" else "a"
        instruction = fault.instruction or "an instruction not in the dump"
        text = f"{name} met {article} {met}: {instruction}"
    elif fault.address == fault.pc:
        text = f"the machine was sent to {fault.address}, where no code is"
    else:
        does = f"tried to {fault.access or 'access'} address {fault.address}"
        text = f"{name} {does}: {fault.instruction or 'the instruction is not in the dump'}"
    operand = fault.operand
    # An operand beside the instruction pointer says where it is by itself.
    register = None if operand is None or operand.base == "rip" else operand.base
    if operand is not None and register is not None and operand.base_value is not None:
        text += f" with {register} = {operand.base_value}"
        because.append(RegisterPointer(register, operand.base_value))
    if fault.check is not None:
        text += f"; KASAN's check of that, at {fault.check}, stopped the machine before"
    return Step(text, tuple(because))


def _pointers(step: FlowStep, way: Way) -> tuple[Pointer, ...]:
    because: list[Pointer] = [step.instruction]
    if step.memory is not None:
        because.append(step.memory)
    if step is way.end and way.frame is not None:
        because.append(way.frame)
    return tuple(because)


def flow_steps(flow: DataFlow, most_ways: int = 2) -> list[Step]:
    """The ways of the bad value and of the pointer it was read through, as steps of the proof."""
    steps = []
    # Where a system call keeps the user's registers is no part of the crash.
    ways = flow.ways[: 1 if flow.first.from_user else most_ways]
    for number, way in enumerate(ways):
        for step in way.steps:
            # Where a trace of the second pointer is lost says nothing about the crash.
            if step.how in _SILENT or (step.how == "lost" and number):
                continue
            steps.append(Step(step.text, _pointers(step, way)))
    return steps


def _culprit(step: FlowStep, function: str, module: str | None, why: str) -> Culprit:
    return Culprit(module, base_name(function), step.source, None, why)


def _can_be_to_blame(step: FlowStep) -> bool:
    return why_plumbing(step.function, step.source, step.module) is None


def flow_culprits(flow: DataFlow | Missing, backtrace: Backtrace, *, what: str) -> list[Culprit]:
    """Who brought the value in, then those who were handed it, then who called them.

    :param what: the value in words, ``the NULL pointer``
    """
    found: list[Culprit] = []
    outermost = -1
    if isinstance(flow, DataFlow):
        way = flow.first
        # What a module left in its caller's structure is the module's doing, not the caller's.
        found.extend(
            Culprit(one.module, base_name(one.function), None, None, f"was called just before, and "
                    f"{what} was read from what it had been given to fill")
            for one in way.written_by
            if way.module is None
        )  # fmt: skip
        if way.end is not None and way.ended != "lost" and _can_be_to_blame(way.end):
            verbs = {
                "loaded": f"read {what} from {way.name or 'memory'}",
                "returned": f"got {what} from {way.returned_by or 'a function it called'} and did "
                "not check it",
                "set": f"set {what} itself",
            }
            why = verbs.get(way.ended, f"had {what}")
            found.extend(_read_for(way, backtrace, why))
            found.append(_culprit(way.end, way.function, way.module, why))
        if way.frame is not None:
            outermost = way.frame.index
        found.extend(
            _culprit(step, step.function, step.module, f"passed {what} on")
            for step in reversed(way.steps)
            if step.how in ("passed", "saved") and _can_be_to_blame(step)
        )
    frames = frame_culprits(backtrace, f"was given {what}")
    # A value whose trace was lost in the callers of the fault came from there or from further out.
    if not found and outermost >= 0:
        found.extend(_without_frame(flow, backtrace, what))
        outer = [f for f in backtrace.blamable if f.index >= outermost]
        found.extend(
            Culprit(f.module, base_name(f.function), f.source, None, f"had {what} first, as far "
                    "as it could be followed")
            for f in outer[:1]
        )  # fmt: skip
    return merge(found, frames)


def _read_for(way: Way, backtrace: Backtrace, why: str) -> Iterator[Culprit]:
    """The function that is handed a field of what it takes in the source.

    The compiler had its caller read that, and changed its parameters.
    """
    handed = way.steps[-2] if len(way.steps) > 1 and way.ended == "loaded" else None
    called = _CHANGED.search(handed.text) if handed is not None and handed.how == "passed" else None
    if handed is None or called is None or handed.function != way.function:
        return
    for frame in backtrace.blamable:
        if base_name(frame.function) == called["name"] and frame.module == way.module:
            yield Culprit(frame.module, called["name"], frame.source, None, why)
            return


def _without_frame(flow: DataFlow | Missing, backtrace: Backtrace, what: str) -> Iterator[Culprit]:
    """The module's function that had the value first, and jumped on to where it was used."""
    way = flow.first if isinstance(flow, DataFlow) else None
    if way is None or way.module is None or way.ended == "lost":
        return
    name = base_name(way.function)
    if name not in {base_name(frame.function) for frame in backtrace.crash_path}:
        yield Culprit(way.module, name, None, None, f"had {what} first")


def frame_culprits(backtrace: Backtrace, why: str, most: int = 3) -> list[Culprit]:
    """Who is on the crash path and acts on its own account, innermost first.

    Which of the inlined functions an access to memory is of, compilers tell badly: they come after
    the function that they are in.
    """
    frames: list[Frame] = []
    inlined: list[Frame] = []
    for frame in backtrace.blamable:
        if frame.inline and frame.role is Role.FAULT and backtrace.exception in _AT_ACCESS:
            inlined.append(frame)
            continue
        frames.append(frame)
        frames.extend(inlined)
        inlined.clear()
    return [
        Culprit(frame.module, base_name(frame.function), frame.source, None, why)
        for frame in (*frames, *inlined)[:most]
    ]


def owners_first(
    culprits: list[Culprit], flow: DataFlow | Missing, modules: Modules | Missing
) -> list[Culprit]:
    """Before the kernel's functions, the module that gave them the bad value or held it.

    What the kernel does with an object that a driver gave it, it does for every driver. Only
    modules that are not the kernel's own; the list itself where one of these is first, or none
    gave or owns anything.
    """
    if isinstance(flow, Missing) or isinstance(modules, Missing):
        return culprits
    foreign = {module.name for module in modules.loaded if module.taints}
    if culprits and culprits[0].module in foreign:
        return culprits
    near = [culprit for culprit in culprits if culprit.module in foreign]
    return merge(near, _owners(flow, foreign), culprits)


def _owners(flow: DataFlow, foreign: set[str]) -> Iterator[Culprit]:
    for way in flow.ways[1:_OWNED_WAYS]:
        for step in reversed(way.passed_by):
            if step.module in foreign and _can_be_to_blame(step):
                yield _culprit(
                    step, step.function, step.module, "handed on the object that it was read from"
                )
    for way in flow.ways[:_OWNED_WAYS]:
        held = way.held_in
        refers = held.slab.refers[:1] if held is not None and held.slab is not None else ()
        if held is not None and held.module in foreign:
            why = f"its {held.symbol or 'data'} is what it was read from"
            yield Culprit(held.module, None, None, way.name, why)
        elif refers and refers[0].module in foreign:
            why = f"the object that it was read from points to its {refers[0].symbol}"
            for name in flow.installed_by:
                fills = "puts its functions into the object that it was read from"
                yield Culprit(refers[0].module, name, None, way.name, fills)
            yield Culprit(refers[0].module, None, None, way.name, why)


def writers_first(culprits: list[Culprit], text: TextWriters | Missing) -> list[Culprit]:
    """Before those who met a pointer that is text, who can have written it there."""
    if isinstance(text, Missing):
        return culprits
    why = f"copies memory in the module whose object it is: the pointer there spells {text.text!r}"
    found = [Culprit(text.module.name, name, None, None, why) for name in text.functions]
    return merge(found, culprits)


def strays_first(
    culprits: list[Culprit], strays: StrayStores | Missing, steps: list[Step]
) -> list[Culprit]:
    """Before those who met a wrong pointer, who can have come to it by an index.

    :param steps: of the proof, to which that is added
    """
    if isinstance(strays, Missing):
        return culprits
    found = []
    for one in strays.stores:
        limit = f"lets pass all up to {one.most}" if one.most is not None else "compares with none"
        if one.least is not None and one.most is None:
            limit = "has no upper limit"
        elif one.least is not None:
            limit = f"lets pass {one.least} to {one.most}"
        place = strays.place or "the place"
        claim = f"{one.function} stores by an index for which it {limit}: {one.index} is {place}"
        steps.append(Step(claim, (strays.module,)))
        why = f"stores by an index which can lead to {place}"
        found.append(Culprit(strays.module.name, one.function, None, strays.place, why))
    return merge(found, culprits)


def taken_for_own(taken: TakenForOwn | Missing, steps: list[Step]) -> list[Culprit]:
    """Who took another module's object for one of its own.

    :param steps: of the proof, to which that is added
    """
    if isinstance(taken, Missing):
        return []
    pointer = taken.pointer
    claim = (
        f"the object {taken.object.address} points to {pointer.symbol} [{pointer.module}] at "
        f"offset {pointer.offset:#x}: it is that module's, and {taken.function} took it for its own"
    )
    steps.append(Step(claim, (pointer.memory,)))
    why = f"takes an object of {taken.owner} for one of its own"
    found = [Culprit(taken.module, taken.function, None, None, why)]
    if taken.asked is not None:
        tells = f"{taken.function} goes by its answer, and takes an object of {taken.owner}"
        found.insert(0, Culprit(taken.module, taken.asked, None, None, tells))
    return found


def taken_for_another(member: WrongMember | Missing, steps: list[Step]) -> list[Culprit]:
    """The callback that takes the member which it is handed for another, or who hands it that.

    :param steps: of the proof, to which that is added
    """
    if isinstance(member, Missing):
        return []
    claim = (
        f"{member.function} was handed {member.given}, which names it, and read {member.read}; as "
        f"far from {member.other} in the same object, which names {member.other_function}, lies a "
        "pointer"
    )
    why = f"counts from the member for {member.other_function} and was handed its own"
    if member.givers and member.given == member.other:
        claim = (
            f"{member.function} was handed {member.given}; others have it called with a member "
            "that is elsewhere in their objects"
        )
        why = f"has {member.function} called with the member of another kind of object"
    elif member.givers:
        claim = (
            f"{member.function} was handed {member.given} and read {member.read}; as far from the "
            f"beginning of that object, {member.other}, lies a pointer"
        )
        why = f"gives {member.function} a place within an object in place of the object"
    steps.append(Step(claim, (member.memory,)))
    names = member.givers or (member.function,)
    return [Culprit(member.module, name, None, None, why) for name in names]


def head_taken(taken: HeadTaken | Missing, steps: list[Step]) -> list[Culprit]:
    """Who took the head of a list for one of its entries.

    :param steps: of the proof, to which that is added
    """
    if isinstance(taken, Missing):
        return []
    what = "which is empty: it leads to itself" if taken.empty else "to which the last entry leads"
    claim = f"{taken.head} ({taken.owner.detail}) is the head of a list, {what}"
    steps.append(Step(f"{claim}; {taken.function} took it for an entry", (taken.memory,)))
    why = "takes the head of a list for one of its entries"
    return [Culprit(taken.module, base_name(taken.function), None, None, why)]


def object_steps(one: SlabObject, thing: str, *records: str) -> list[Step]:
    """Who allocated or freed an object, after the allocator, and what leads from it to a module.

    :param thing: the object, as it is written in sentences
    :param records: which of the allocator's records count, ``allocated`` and ``freed``
    """
    tracks = (one.track(what) for what in records)
    steps = [track_step(track, thing) for track in tracks if track is not None]
    owner = reference_step(one)
    return steps if owner is None else [*steps, owner]


def use_steps(users: ObjectUsers, one: SlabObject) -> list[Step]:
    """What binds modules to an object, where neither its records nor its pointers tell that.

    :param one: the object whose users are asked for
    """
    if one.tracks or one.refers:
        return []
    return [
        Step(f"{use.module}: {use.why}", (use.because,))
        for use in users.modules
        if use.because is not None
    ]


def casts_first(
    culprits: list[Culprit], taken: SeqFileTaken | Missing, steps: list[Step]
) -> list[Culprit]:
    """Before those who met what a file's data hold, who took these for an object of its module.

    :param steps: of the proof, to which that is added
    """
    if isinstance(taken, Missing):
        return culprits
    whose = f"of a file whose operations are {taken.operations}"
    claim = f"{taken.object.address} is "
    if taken.operations is not None:
        claim += f"what file->private_data holds {whose}, which a descriptor had named"
    else:
        claim += "a seq_file, which seq_open() or single_open() had put into file->private_data"
    claim += f"; {taken.function} took it for an object of {taken.module}"
    steps.append(Step(claim, (taken.memory,) if taken.memory is not None else ()))
    what = "a seq_file" if taken.operations is None else whose
    why = f"took file->private_data, {what}, for its own object"
    return merge([Culprit(taken.module, taken.function, None, None, why)], culprits)


def blamed_first(culprits: Sequence[Culprit], otherwise: str) -> str:
    """The first culprit as it is written in sentences."""
    if not culprits:
        return otherwise
    first = culprits[0]
    if first.function is None:
        return f"module {first.module}" if first.module else otherwise
    return where(first.function, first.module)


def track_culprits(track: Track | None, why: str, most: int = 2) -> list[Culprit]:
    """Who allocated or freed an object, after the allocator's own record, and its callers.

    Those of the same module: what called the module is not in it.
    """
    blamable = track.blamable if track else ()
    return [
        Culprit(frame.module, base_name(frame.function), None, None, why)
        for frame in blamable
        if frame.module == blamable[0].module
    ][:most]


def track_step(track: Track, thing: str) -> Step:
    """The allocator's record as a step of the proof."""
    calls = " <- ".join(where(f.function, f.module) for f in track.calls[:6])
    process = "" if track.pid is None else f" by process {track.pid}"
    cpu = "" if track.cpu is None else f" on CPU {track.cpu}"
    return Step(f"{thing} was {track.what}{process}{cpu}: {calls}", (track.memory,))


def reference_step(one: SlabObject) -> Step | None:
    """Whose object it is, after the pointers to a module that it holds."""
    if not one.refers:
        return None
    first = one.refers[0]
    return Step(
        f"the object {one.address} points to {first.symbol} [{first.module}] at offset "
        f"{first.offset:#x}: it is that module's",
        (first.memory,),
    )


def merge(*lists: Iterable[Culprit]) -> list[Culprit]:
    """One list, each function once, the first reason kept."""
    seen: set[tuple[str | None, str | None]] = set()
    result = []
    for one in (culprit for several in lists for culprit in several):
        if (one.module, one.function) in seen:
            continue
        seen.add((one.module, one.function))
        result.append(one)
    return result[:MOST_CULPRITS]


def function_first(culprits: list[Culprit]) -> list[Culprit]:
    """Before a module as such, its function that is suspected as well."""
    if not culprits or culprits[0].function is not None:
        return culprits
    named = (one for one in culprits if one.module == culprits[0].module and one.function)
    return merge(itertools.islice(named, 1), culprits)


def warned_first(
    culprits: list[Culprit], complaints: Complaints | Missing, steps: list[Step]
) -> list[Culprit]:
    """Before a module as such, its function of whose call the kernel had complained before.

    :param steps: of the proof, to which the complaint is added
    """
    if not culprits or culprits[0].function is not None or isinstance(complaints, Missing):
        return culprits
    one = complaints.of(culprits[0].module)
    if one is None:
        return culprits
    why = f"the kernel had complained of its call before: {one.title}"
    steps.append(Step(f"before that it had reported: {one.title}", (one.line,)))
    return merge([Culprit(one.module, one.functions[0], None, None, why)], culprits)


def out_of_bounds_first(
    culprits: list[Culprit], complaints: Complaints | Missing, steps: list[Step]
) -> list[Culprit]:
    """Before those who met a wrong pointer, who had been warned of an access out of bounds.

    :param steps: of the proof, to which the complaint is added
    """
    if isinstance(complaints, Missing):
        return culprits
    one = complaints.out_of_bounds({culprit.module for culprit in culprits})
    if one is None:
        return culprits
    steps.append(Step(f"before that the kernel had reported: {one.title}", (one.line,)))
    why = "the kernel had reported its access out of bounds before"
    warned = [Culprit(one.module, name, None, None, why) for name in one.functions[:1]]
    return merge(warned, culprits)


def modules_first(culprits: list[Culprit]) -> list[Culprit]:
    """Modules before the kernel's own code, which the same mistake would have broken elsewhere."""
    return sorted(culprits, key=lambda one: one.module is None)


def innocent(modules: Modules | Missing, culprits: Iterable[Culprit]) -> tuple[Innocent, ...]:
    """The out-of-tree modules that were loaded, and are not among the suspects."""
    if isinstance(modules, Missing):
        return ()
    blamed = {culprit.module for culprit in culprits}
    return tuple(
        Innocent(module.name, "loaded, but no step of the proof leads to it")
        for module in modules.loaded
        if module.taints and module.name not in blamed
    )
