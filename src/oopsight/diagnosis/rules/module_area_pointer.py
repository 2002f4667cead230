"""An address where modules are loaded was mapped to nothing, and a module had been unloaded.

Finds
    From console text alone: a page fault on an address in the module area that no page is mapped
    at, while the kernel names the module that was unloaded last.

Why it happens
    A module's exit function leaves something registered: a callback, a list entry, a cache whose
    name lies in the module. Memory of an unloaded module is unmapped; whoever follows the pointer
    faults there.

How it is decided
    The address lies in the part of the address space where x86-64 loads modules, the error code
    says that no page was there, and the report's list of modules ends in ``[last unloaded: NAME]``.
    A dump tells more, and there ``unloaded_module_pointer`` decides.

When it is wrong
    The kernel remembers one unloaded module; another one may have left the pointer. A wild pointer
    can point there too. So this is never more than possible.

Example
    ``BUG: unable to handle page fault for address: ffffffffc0395070``, and behind the list of
    modules ``[last unloaded: vendor_av]``.

Look next
    A dump of the next crash; ``/proc/modules`` from before, to see whose memory it was.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.blame import where
from oopsight.evidence import Missing
from oopsight.evidence.crash.fault import PAGE_FAULT, Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer

# Documentation/arch/x86/x86_64/mm.rst: behind the image, which takes 1 GiB where its place is
# random and half of that where it is not.
_AREA_END = 0xFFFFFFFFFF000000
_AREA_RANDOM = 0xFFFFFFFFC0000000
_AREA_FIXED = 0xFFFFFFFFA0000000
_FIXED = "Kernel Offset: disabled"
# The error code's lowest bit: the page was there, and its protection forbade the access.
_ABSENT = ("not-present page", "Oops: 0000 ", "Oops: 0002 ", "Oops: 0010 ")


def module_area_pointer(
    fault: Fault, symptom: Symptom, log: Log, modules: Modules | Missing
) -> Finding | Clear | Undecided:
    """Decide whether the address can have belonged to the module that was unloaded last."""
    if isinstance(modules, Modules):
        return Clear("the dump itself shows which modules are loaded where")
    if fault.exception != PAGE_FAULT or fault.address is None:
        return Clear("it was not a page fault")
    report = symptom.report
    if report is None or report.machine != "x86_64":
        return Undecided("where modules are loaded is not known on this machine")
    fixed = log.find(_FIXED) or (report.release or "").startswith("2.6.")
    start = _AREA_FIXED if fixed else _AREA_RANDOM
    if not start <= fault.address < _AREA_END:
        return Clear(f"{fault.address} lies outside the part where modules surely are")
    absent = log.find(*_ABSENT)
    if absent is None:
        return Undecided("the text does not say that no page was mapped there")
    name = report.last_unloaded
    if name is None:
        return Undecided("the text names no module that was unloaded")
    if name in report.modules:
        return Clear(f"{name} was loaded again")
    head: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline else (fault.frame,)
    named = log.find("[last unloaded")
    steps = (
        Step(f"{where(fault.function, fault.module)} used address {fault.address}", head),
        Step(
            f"{fault.address} lies where modules are loaded, and no page was mapped there",
            (absent,),
        ),
        Step(f"the last module unloaded was {name}", (named,) if named else head),
    )
    return Finding(
        title=f"pointer into the module area, perhaps of unloaded module {name}",
        summary=f"{where(fault.function, fault.module)} followed a pointer to where modules are "
        f"loaded, and nothing is mapped there. {name} was unloaded last and may have left it "
        "behind; the text does not tell whose memory it was.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=steps,
        culprits=(
            Culprit(
                module=name,
                function=None,
                source=None,
                object=None,
                why="was unloaded before, and may have left the pointer behind",
            ),
        ),
        advice=(
            f"See whether the crashes follow the unloading of {name}; do not unload it until then.",
            "Set up kdump: a dump of the next crash tells whose memory it was.",
        ),
    )
