"""Processes have used the memory up.

Finds
    The program whose processes hold most of the memory at an out-of-memory panic.

Why it happens
    A leak or an unbounded cache in a program, too many processes, a tmpfs that fills; and
    ``vm.panic_on_oom`` is set, or nothing was left to kill.

How it is decided
    The kernel panicked for lack of memory. Its own counters are read from the dump: anonymous and
    shared memory and page tables together are the largest part, larger than any single holder in
    the kernel. The processes are added up by name.

When it is wrong
    Shared memory belongs to whoever wrote the file, which may have exited. The process that met the
    end of the memory is mostly innocent.

Example
    ``reportgen`` holds 185 MiB of 218.

Look next
    ``kmem -i``; ``ps -G``; ``log`` for the kernel's own list of tasks.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.exhaustion import MUCH, kernel_share, largest, size, user_pages
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.memory_use import MemoryUse
from oopsight.kinds import Kind

_MEMCG = "constraint=CONSTRAINT_MEMCG"


def oom_by_userspace(
    symptom: Symptom,
    use: MemoryUse | Missing,
    log: Log | Missing,
    deleted: DeletedFiles | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether processes hold the memory."""
    if symptom.kind is not Kind.OOM:
        return Clear(f"memory did not run out; the first report is {symptom.kind}")
    if isinstance(use, Missing):
        return absent(use)
    pages, kernel = user_pages(use, deleted), kernel_share(use, deleted)
    limited = log.find(_MEMCG) if isinstance(log, Log) else None
    if limited is None and (pages < kernel.pages or pages < MUCH * use.pages.total):
        return Clear(f"processes hold {size(use, pages)}, {kernel.what} {size(use, kernel.pages)}")
    top = largest(use)
    if top is None:
        return Undecided("no process's memory could be read")
    headline = (symptom.headline,) if symptom.headline is not None else ()
    many = f"{top.count} processes " if top.count > 1 else ""
    steps = [
        Step("the kernel ran out of memory", headline) if headline else None,
        Step(
            f"processes hold {size(use, pages)}; the largest holder in the kernel, {kernel.what}, "
            f"{size(use, kernel.pages)}",
            use.pages.because,
        ),
        Step(f"{many}{top.task.comm} holds {size(use, top.pages)}", (top.task,)),
        Step("a control group was at its limit", (limited,)) if limited is not None else None,
    ]
    own = top.pages >= MUCH * pages
    shared = use.pages.shmem > use.pages.anonymous
    return Finding(
        title=f"out of memory: {top.task.comm} holds {size(use, top.pages)}",
        summary=f"{many}{top.task.comm} used the memory up: {size(use, top.pages)}."
        if own
        else f"Many processes together used the memory up: {size(use, pages)}.",
        certainty=Certainty.SHOWN if own and not shared else Certainty.INFERRED,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(step for step in steps if step is not None and step.because),
        culprits=(Culprit(None, None, None, top.task.comm, f"holds {size(use, top.pages)}"),),
        advice=(f"Limit {top.task.comm} with a control group, or give the machine more memory.",),
    )
