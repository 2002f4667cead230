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
    ``last_unloaded_module``.

When it is wrong
    Where several modules were unloaded, the one that owned the address may be another than the last
    (the others that are known are named as well, and the verdict is *possible* unless a file of the
    module fits); therefore the name is *inferred*, the rest is shown. Where no registry that is
    searched holds the pointer, a wild pointer could have led there as well: then the whole is only
    *possible*. So it is where merely a word among the kernel's variables leads there, which nobody
    may have followed.

Example
    A slab cache's ``name`` pointing into an unloaded module, followed by a reader of
    ``/proc/slabinfo`` in ``string()``.

Look next
    ``p last_unloaded_module``, ``log`` for the unloading, ``kmem -s`` for the other caches.
"""

from __future__ import annotations

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
from oopsight.evidence import Missing
from oopsight.evidence.dangling import Dangling, DanglingPointers
from oopsight.evidence.data_flow import DataFlow
from oopsight.evidence.fault import PAGE_FAULT, Fault
from oopsight.evidence.file_accessed import FileAccessed
from oopsight.evidence.gone_symbol import GoneSymbol
from oopsight.evidence.log import Log
from oopsight.evidence.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.evidence.task import CrashedTask
from oopsight.evidence.unloaded_modules import UnloadedModules

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


def unloaded_module_pointer(
    fault: Fault,
    modules: Modules,
    dangling: DanglingPointers,
    log: Log | Missing,
    task: CrashedTask | Missing,
    accessed: FileAccessed | Missing,
    gone_symbol: GoneSymbol | Missing,
    unloaded: UnloadedModules | Missing,
    flow: DataFlow | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether the bad address belonged to an unloaded module."""
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
    holder = _holder(fault, dangling)
    read = flow.first if isinstance(flow, DataFlow) and _was_read(flow, fault) else None
    if read and holder and holder.registry == WORD_SEARCH:
        # What was read is shown; a word found elsewhere may be a copy of it.
        holder = None
    if holder is None and modules.last_unloaded is None:
        return Undecided(
            f"{fault.address} is in the module area where no module is, but no registry that was "
            "searched holds a pointer to it, nor is any module known to have been unloaded"
        )
    steps = [
        Step(
            f"the kernel jumped to {fault.address}"
            if fault.access == "execute"
            else f"{fault.function} tried to {fault.access or 'access'} {fault.address}: "
            f"{fault.instruction or 'the instruction is not in the dump'}",
            (fault.frame,),
        ),
        Step(
            "the address lies in the module area, in no loaded module, and is mapped to nothing",
            (fault.unmapped,),
        ),
    ]
    thing = "a function" if fault.access == "execute" else "something"
    if holder:
        thing = holder.holder
        steps.append(
            Step(
                f"{thing} on {holder.registry} still points there: {holder.slot}",
                (holder.memory,),
            )
        )
    if read and isinstance(flow, DataFlow):
        steps.extend(flow_steps(flow, 1))
        if holder is None and read.name:
            thing = read.name
    name = modules.last_unloaded
    gone = modules.last_unloaded_pointer
    if name and gone:
        because: list[Pointer] = [gone]
        line = log.find(f"{name}:", f"{name} ") if isinstance(log, Log) else None
        if line:
            because.append(line)
        steps.append(Step(f"the last module unloaded was {name}", tuple(because)))
    again = next((module for module in modules.loaded if module.name == name), None)
    if again:
        steps.append(
            Step(
                f"{name} has been loaded again since, elsewhere: the bad address is outside it",
                (again.pointer,),
            )
        )
    symbol = None
    if isinstance(gone_symbol, GoneSymbol) and gone:
        symbol = gone_symbol.name
        steps.append(
            Step(
                f"{gone_symbol.source} has one symbol at that offset within a page: "
                f"{symbol} [{gone_symbol.module}]",
                (fault.unmapped, again.pointer if again else gone),
            )
        )
    steps.extend(_who(task, accessed))
    innocent = tuple(
        Innocent(
            module.name,
            "still loaded, the bad address is outside its memory"
            + ("" if fault.module == module.name else ", and it is not on the crash path"),
        )
        for module in modules.loaded
        if module.taints and module.name != name
    )
    others = [d for d in dangling.found if d is not holder]
    advice = [
        f"Do not unload {name or 'the module'} on running machines until its vendor has fixed it; "
        "reboot machines where it was unloaded.",
        f"Tell the vendor of {name or 'the module'}: its exit function leaves {thing} registered; "
        "attach this report.",
    ]
    advice.extend(
        f"The next crash is waiting: {other.slot} of {other.label!r} on {other.registry} also "
        f"points to {other.target}, where no module is."
        for other in others
    )
    blamed = name or "an unloaded module"
    followed = f"{fault.function} followed the pointer and crashed"
    if fault.access == "execute":
        followed = "the kernel jumped there and crashed"
    function = None
    if isinstance(gone_symbol, GoneSymbol) and gone_symbol.function:
        function = gone_symbol.name
    culprits = [
        Culprit(
            module=name,
            function=function,
            source=None,
            object=thing if holder else None,
            why=f"was unloaded without taking back {thing}",
        )
    ]
    alone = True
    if isinstance(unloaded, UnloadedModules):
        # Where several were unloaded, the last one is as good a guess as any.
        alone = symbol is not None or all(other.name == name for other in unloaded.modules)
        culprits += [
            Culprit(other.name, None, None, None, f"was unloaded, too: {other.known_from}")
            for other in unloaded.modules
            if other.name != name
        ]
    return Finding(
        title=f"pointer into unloaded module {name}" if name else "pointer into an unloaded module",
        summary=f"{blamed} was unloaded and left {thing} behind, which still points into its "
        f"memory; {followed}.",
        certainty=(
            Certainty.INFERRED
            if name and alone and (read or (holder and holder.registry != WORD_SEARCH))
            else Certainty.POSSIBLE
        ),
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprit for culprit in culprits if culprit.module),
        innocent=innocent,
        advice=tuple(advice),
    )


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
