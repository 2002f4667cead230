"""The finding where a file was put more often than it was got."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import blamed_first, innocent
from oopsight.evidence import Missing
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.modules.file_givers import FileGivers
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer


def file_count_finding(symptom: Symptom, givers: FileGivers, modules: Modules | Missing) -> Finding:
    """Who met it had the file rightly; who can have put it is known by the modules' code."""
    because: list[Pointer] = [one for one in (symptom.headline, givers.report) if one is not None]
    steps = [Step("a file was closed to which nobody had a reference any more", tuple(because))]
    culprits = []
    for one in givers.modules:
        for name in one.functions:
            gives = one.both and name == one.functions[0]
            why = "gives a file to the process, and puts it" if gives else "puts files"
            culprits.append(Culprit(one.module.name, name, None, "struct file", why))
        names = " and ".join(f"{name}()" for name in one.functions)
        steps.append(Step(f"in {one.module.name}, {names} put files", (one.module,)))
    blamed = blamed_first(culprits, "somebody")
    return Finding(
        title=f"reference count error of a file in {blamed}",
        summary="A file was put more often than it was got: its descriptor led to one that had no "
        f"reference left. {blamed} can have put it.",
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "A file that a descriptor was installed for is the process's: put it only before.",
        ),
        refines=("use_after_free", "bug_on"),
    )
