"""A pointer into the memory of a module that is gone.

Finds
    The kernel followed a pointer, left behind in one of its registries, into memory where a module
    had been before it was unloaded.

Why it happens
    A module's exit function forgets to take back what its init function registered: a slab cache,
    a timer, a handler. The next reader of that registry crashes, long after and far away.

How it is decided
    The faulting address lies in the module area, in no loaded module, and the page tables map
    nothing there. A registry of the kernel (some thirty kinds are walked) holds a pointer to that
    very address, or to less than a page before it. That some module was unloaded is remembered in
    ``last_unloaded_module``; of others the log may tell. Which of them owned the address is shown
    by a description of the module that is left in a free page, or by its file: the pointer must
    lead to one of its functions or objects. What lay there and the exit function that did not take
    it back are named from its symbol table, if that is left in a free page, or from the file. If
    by their files those that are known to be gone call nothing that leaves such a pointer, another
    was unloaded before them: one whose file beside the dump fits and does call it is *possible*.
    If no module was ever unloaded, one that is gone had failed to load, which nothing remembers:
    then its file tells, and its initialisation is to blame.
    Where another module has got that memory, the kernel reads that one's data instead: then the
    pointer leads to none of its objects.

When it is wrong
    The kernel does not keep where a module lay, so that its name is *inferred*. Where several
    modules are gone and nothing singles one out, all are named and the verdict is *possible*. So it
    is where nothing tells that the module lay there, neither its description nor a symbol of its
    file which is not merely the first: another, unloaded before it, may have lain there. So it is,
    too, where no registry that is searched holds the pointer, as a wild pointer could have led
    there as well (unless it was a jump to what had been a function), and where merely a word among
    the kernel's variables leads there, which nobody may have followed. A file of another build
    that happens to fit gives a wrong symbol. Where another module from outside the kernel's tree
    had kept the pointer, the verdict is *possible*, unless the file of the one that is gone tells
    that it calls no function of the other which takes entries off or frees them: such a function
    comes first, as it may not have taken all.

Example
    A slab cache's ``name`` pointing into an unloaded module, followed by a reader of
    ``/proc/slabinfo`` in ``string()``.

Look next
    ``p last_unloaded_module``, ``log`` for the unloading, ``kmem -s`` for the other caches.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.diagnosis import (
    Certainty,
    Clear,
    Culprit,
    Depth,
    Finding,
    Innocent,
    Step,
    Undecided,
)
from oopsight.diagnosis.blame import flow_steps
from oopsight.diagnosis.taken_over import taken_over_finding
from oopsight.evidence import Missing
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.crash.file_accessed import FileAccessed
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.dangling import Dangling, DanglingPointers
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.evidence.modules.init_function import EVERY_INIT
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.pointer_keeper import PointerKeeper
from oopsight.evidence.modules.taken_over import TakenOver
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.evidence.pointers import Pointer

_PAGE = 4096
WORD_SEARCH = "kernel_data"


def _holder(fault: Fault, dangling: DanglingPointers) -> Dangling | None:
    """The pointer that leads to the fault: the nearest at or less than a page before it."""
    address = fault.address or 0
    near = [d for d in dangling.found if d.begin <= address < d.begin + _PAGE]
    return max(near, key=lambda d: d.begin, default=None)


def _was_read(flow: DataFlow, fault: Fault) -> bool:
    """Whether data flow shows the memory that the pointer was read from, and it still holds it."""
    end = flow.first.end
    if end is None or end.how != "loaded" or end.agrees is not True or fault.address is None:
        return False
    return end.value is not None and abs(end.value - fault.address) < _PAGE


@dataclass(frozen=True)
class _Case:
    """What the parts of the verdict are made of."""

    fault: Fault
    modules: Modules
    owner: FormerOwner | None
    name: str | None
    """Of the module, as far as it is known."""
    suspects: tuple[str, ...]
    """More than one name where it is not."""
    thing: str
    """What was left behind."""

    @property
    def again(self) -> Module | None:
        """The module, if it has been loaded again."""
        return next((module for module in self.modules.loaded if module.name == self.name), None)


def unloaded_module_pointer(
    fault: Fault,
    modules: Modules,
    dangling: DanglingPointers,
    log: Log | Missing,
    task: CrashedTask | Missing,
    accessed: FileAccessed | Missing,
    former_owner: FormerOwner | Missing,
    unloaded: UnloadedModules | Missing,
    flow: DataFlow | Missing,
    taken: TakenOver | Missing,
    keeper: PointerKeeper | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether the bad address belonged to an unloaded module."""
    if isinstance(taken, TakenOver) and isinstance(flow, DataFlow):
        return taken_over_finding(fault, flow, taken, modules)
    no = _cannot_be(fault, modules)
    if no:
        return no
    holder = _holder(fault, dangling)
    read = flow.first if isinstance(flow, DataFlow) and _was_read(flow, fault) else None
    if read and holder and holder.registry == WORD_SEARCH:
        # What was read is shown; a word found elsewhere may be a copy of it.
        holder = None
    lay_there = isinstance(former_owner, FormerOwner) and former_owner.placed
    if holder is None and modules.last_unloaded is None and not (read and lay_there):
        return Undecided(
            f"{fault.address} is in the module area where no module is, but no registry that was "
            "searched holds a pointer to it, nor is any module known to have been unloaded"
        )
    thing = "a function" if fault.access == "execute" else "something"
    if holder:
        thing = holder.holder
    elif read and read.name:
        thing = read.name
    case = _case(fault, modules, former_owner, unloaded, thing)
    steps = _pointer_steps(case, holder)
    if read and isinstance(flow, DataFlow):
        steps.extend(flow_steps(flow, 1))
    steps += [*_module_steps(case, log), *_who(task, accessed)]
    followed = f"{fault.function} followed the pointer and crashed"
    if fault.access == "execute":
        followed = "the kernel jumped there and crashed"
    names = " or ".join(case.suspects)
    known = case.name is not None and len(case.suspects) == 1
    owner = case.owner
    failed = owner is not None and owner.never is not None
    pointed = read or (holder and holder.registry != WORD_SEARCH)
    # A wild jump hits no function, and hardly the memory of a module of which there are remains.
    jumped = owner and fault.access == "execute" and (owner.description or owner.function)
    # Another module, unloaded before, may have lain there: the kernel remembers the last alone.
    sure = known and owner is not None and owner.placed and bool(pointed or jumped)
    before, at_fault = _taking_back(keeper, case)
    return Finding(
        title=_title(names, failed=failed),
        summary=f"{names or 'an unloaded module'} {'failed to load' if failed else 'was unloaded'} "
        f"and left {thing} behind, which still points into its memory; {followed}.",
        certainty=Certainty.INFERRED if sure and at_fault else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if sure and not at_fault else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=(*before, *_culprits(case, unloaded, held=holder is not None)),
        innocent=_innocent(case, [one.module for one in before]),
        advice=_advice(case, [d for d in dangling.found if d is not holder]),
    )


def _title(names: str, *, failed: bool) -> str:
    if failed:
        return f"pointer into module {names}, which had failed to load"
    return f"pointer into unloaded module {names}" if names else "pointer into an unloaded module"


def _cannot_be(fault: Fault, modules: Modules) -> Clear | Undecided | None:
    """Why the bad address was not one of a module that is gone."""
    if fault.exception != PAGE_FAULT or fault.address is None:
        return Clear("it was not a page fault")
    if modules.area is None:
        return Undecided("where modules are loaded is not known on this machine")
    if not modules.in_area(fault.address):
        return Clear(f"{fault.address} lies outside the module area")
    owner = modules.owner(fault.address)
    if owner:
        return Clear(f"{fault.address} belongs to {owner.name}, which is loaded")
    if modules.damaged:
        return Undecided("the module list is damaged; the owner may still be loaded")
    if fault.unmapped is None:
        return Undecided(f"the page tables do not confirm that {fault.address} is unmapped")
    return None


def _case(
    fault: Fault,
    modules: Modules,
    former_owner: FormerOwner | Missing,
    unloaded: UnloadedModules | Missing,
    thing: str,
) -> _Case:
    if isinstance(former_owner, FormerOwner):
        name, others = former_owner.module, () if former_owner.sure else former_owner.others
        return _Case(fault, modules, former_owner, name, (name, *others), thing)
    last = modules.last_unloaded
    gone = [m.name for m in unloaded.modules] if isinstance(unloaded, UnloadedModules) else []
    suspects = tuple(dict.fromkeys([*([last] if last else []), *gone]))
    return _Case(fault, modules, None, last, suspects, thing)


def _pointer_steps(case: _Case, holder: Dangling | None) -> list[Step]:
    """What was accessed, and what still points there."""
    fault = case.fault
    steps = [
        Step(
            f"the kernel jumped to {fault.address}"
            if fault.access == "execute"
            else f"{fault.function} tried to {fault.access or 'access'} {fault.address}: "
            f"{fault.instruction or 'the instruction is not in the dump'}",
            (fault.frame,),
        )
    ]
    if fault.unmapped:
        steps.append(
            Step(
                "the address lies in the module area, in no loaded module, and is mapped to "
                "nothing",
                (fault.unmapped,),
            )
        )
    if holder:
        steps.append(
            Step(
                f"{case.thing} on {holder.registry} still points there: {holder.slot}",
                (holder.memory,),
            )
        )
    return steps


def _module_steps(case: _Case, log: Log | Missing) -> list[Step]:
    """Which module it was, and what it had there."""
    steps = []
    gone = case.modules.last_unloaded_pointer
    if gone:
        because: list[Pointer] = [gone]
        line = log.find(f"{gone.name}:", f"{gone.name} ") if isinstance(log, Log) else None
        if line:
            because.append(line)
        steps.append(Step(f"the last module unloaded was {gone.name}", tuple(because)))
    again, owner = case.again, case.owner
    if again:
        steps.append(
            Step(
                f"{again.name} has been loaded again since, elsewhere: the bad address is outside "
                "it",
                (again.pointer,),
            )
        )
    if owner is None:
        return steps
    if owner.never is not None:
        line = log.find(f"{owner.module}:", f"{owner.module} ") if isinstance(log, Log) else None
        text = "no module was ever unloaded: one that is gone had failed to load"
        steps.append(Step(text, (owner.never, *((line,) if line else ()))))
    if owner.description:
        steps.append(
            Step(
                f"what is left of {owner.module}'s own description in a free page tells where it "
                "lay: the bad address was in its memory",
                owner.description,
            )
        )
    known: list[Pointer] = [p for p in (case.fault.unmapped, again.pointer if again else gone) if p]
    if owner.unable and gone:
        names = " and ".join(owner.unable)
        text = f"by its file, {names} calls nothing that leaves such a thing there"
        steps.append(Step(text, (gone,)))
    claims = []
    if owner.symbol:
        claims.append(
            f"{owner.symbol} [{owner.module}] is the one symbol that can have been at {owner.begin}"
        )
    if owner.exit:
        claims.append(f"{owner.exit}() is the exit function of {owner.module}")
    if owner.init:
        claims.append(f"{owner.init}() is the initialisation of {owner.module}")
    if claims and known:
        claim = f"by {owner.source}, {', and '.join(claims)}"
        steps.append(Step(claim, (*known, *owner.description[:1])))
    return steps


def _culprits(
    case: _Case, unloaded: UnloadedModules | Missing, *, held: bool
) -> tuple[Culprit, ...]:
    """The exit function that took too little back, what was left behind, and other suspects."""
    if case.name is None:
        return ()
    owner, thing = case.owner, case.thing if held else None
    if len(case.suspects) > 1 and not (owner and owner.symbol):
        why = f"one of those that were unloaded; one of them did not take back {case.thing}"
        return tuple(Culprit(name, None, None, thing, why) for name in case.suspects)
    left = case.thing
    if owner and owner.symbol:
        left += f" ({owner.symbol})"
    leave, symbol = (owner.exit or owner.init, owner.symbol) if owner else (None, None)
    function = leave or (symbol if owner and owner.function else None)
    if leave == EVERY_INIT:
        function = None  # the name that all modules' have, not its own
    why = f"was unloaded without taking back {left}"
    if owner and owner.init:
        why = f"its initialisation failed and did not take back {left}"
    elif leave:
        why = f"its exit function did not take back {left}"
    found = [Culprit(case.name, function, None, thing, why)]
    if owner and owner.function and symbol != function:
        found.append(Culprit(case.name, symbol, None, thing, "is what was left behind"))
    known = unloaded.modules if isinstance(unloaded, UnloadedModules) else ()
    told = {m.name: m.known_from for m in known}
    found += [
        Culprit(name, None, None, None, f"was unloaded, too: {told.get(name, 'its remains tell')}")
        for name in case.suspects[1:]
    ]
    return tuple(found)


def _taking_back(keeper: PointerKeeper | Missing, case: _Case) -> tuple[tuple[Culprit, ...], bool]:
    """Functions of another module that were to take it back, and whether none of them can have."""
    if isinstance(keeper, Missing):
        return (), True
    why = f"{case.name} calls it, and still {keeper.module} had the pointer"
    found = (Culprit(keeper.module, name, None, None, why) for name in keeper.takes_back)
    return tuple(found), keeper.known and not keeper.takes_back


def _innocent(case: _Case, blamed: list[str | None]) -> tuple[Innocent, ...]:
    found = [
        Innocent(
            module.name,
            "still loaded, the bad address is outside its memory"
            + ("" if case.fault.module == module.name else ", and it is not on the crash path"),
        )
        for module in case.modules.loaded
        if module.taints and module.name not in (*case.suspects, *blamed)
    ]
    if case.owner:
        why = "unloaded, too, but what is left of its description tells that it lay elsewhere"
        found += [Innocent(name, why) for name in case.owner.elsewhere]
        why = f"unloaded, too, but by its file it calls nothing that leaves {case.thing}"
        unable = [name for name in case.owner.unable if name not in case.suspects]
        found += [Innocent(name, why) for name in unable]
    return tuple(found)


def _advice(case: _Case, others: list[Dangling]) -> tuple[str, ...]:
    name = " or ".join(case.suspects) or "the module"
    leave = f"{case.owner.exit}()" if case.owner and case.owner.exit else "its exit function"
    do, done = "unload", "was unloaded"
    if case.owner and case.owner.init:
        leave, do, done = f"{case.owner.init}(), on an error,", "load", "failed to load"
    advice = [
        f"Do not {do} {name} on running machines until its vendor has fixed it; reboot machines "
        f"where it {done}.",
        f"Tell the vendor of {name}: {leave} leaves {case.thing} registered; attach this report.",
    ]
    if case.owner and not case.owner.symbol:
        advice += [f"Not used to name what was there: {refused}." for refused in case.owner.refused]
    advice.extend(
        f"The next crash is waiting: {other.slot} of {other.label!r} on {other.registry} also "
        f"points to {other.target}, where no module is."
        for other in others
    )
    return tuple(advice)


def _who(task: CrashedTask | Missing, accessed: FileAccessed | Missing) -> list[Step]:
    if isinstance(task, Missing):
        return []
    if isinstance(accessed, FileAccessed):
        return [
            Step(
                f"{task.comm} (pid {task.pid}) came upon it by using {accessed.file.path}",
                (task.pointer, accessed.file, accessed.frame),
            )
        ]
    return [Step(f"{task.comm} (pid {task.pid}) came upon it", (task.pointer,))]
