"""The finding for an entry that was to be taken off a list, and is on none."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_steps,
    frame_culprits,
    innocent,
    merge,
)
from oopsight.evidence import Missing
from oopsight.evidence.corruption.off_list import OffList
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules


def off_list_finding(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    one: OffList,
    modules: Modules | Missing,
) -> Finding:
    """Something took an entry off a list that had been taken off before, or was never on one."""
    did = "went on from" if one.walked else "took off"
    worked = frame_culprits(backtrace, f"{did} what is on no list")
    earlier = [
        *_culprits(one, one.splicers, "moves all entries away and leaves a head leading to them"),
        *_culprits(one, one.unlocked, "changes lists and takes no lock, as others do"),
        *_culprits(one, one.adders, "puts entries into a list and takes them off no other"),
    ]
    # A list that led to it was broken before; who had a pointer of its own should have looked.
    culprits = merge(earlier, worked) if one.listed else merge(worked, earlier)
    met = "a list still led to it" if one.listed else "nothing shows that a list led to it"
    claim = f"the entry {one.entry.address} ({one.entry.detail}) is on no list, and {met}"
    blamed = blamed_first(culprits, fault.function)
    brought = flow_steps(flow) if isinstance(flow, DataFlow) else []
    return Finding(
        title=f"list corruption in {blamed}",
        summary=f"{fault.function} {did} the entry {one.entry.address}, which is on no list: "
        f"{met}.",
        certainty=Certainty.POSSIBLE,  # its memory may have been freed, and be another's
        cause_certainty=Certainty.SHOWN if one.poisoned else None,
        depth=Depth.MECHANISM,
        chain=(fault_step(fault), *brought, Step(claim, (one.memory, fault.frame))),
        culprits=tuple(culprits),
        innocent=innocent(modules, culprits),
        advice=(
            "Find all code that puts such entries into lists and takes them off, and whether the "
            "same lock is held in each.",
        ),
        refines=("null_dereference", "wild_pointer"),
    )


def _culprits(one: OffList, names: tuple[str, ...], why: str) -> list[Culprit]:
    return [Culprit(one.module, name, None, None, why) for name in names]
