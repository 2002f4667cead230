"""A lock that is waited for in memory that was given back: for use_after_free."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.diagnosis.blame import innocent, merge, track_culprits, track_step
from oopsight.evidence import Missing
from oopsight.evidence.hangs.gone_lock import GoneLock
from oopsight.evidence.modules.modules import Modules

_REFINED = (
    "hung_task",
    "soft_lockup",
    "hard_lockup",
    "rcu_stall",
    "lock_held",
    "deadlock",
    "workqueue_stall",
)


def gone_lock_finding(gone: GoneLock, modules: Modules | Missing) -> Finding:
    """Tell who waits for what is not there, and who can have given it back."""
    stack = gone.waiter
    call = stack.culprit
    if call is None or call.module is None:
        call = None  # what an interrupt had stopped waits for nothing
    who = f"{stack.task.comm} (pid {stack.task.pid})"
    where = f" in {call.name}" if call is not None else ""
    waits = Step(
        f"{who} waits{where} for a lock at {gone.address}",
        (stack.pointer(call) if call is not None else stack.task, gone.memory),
    )
    steps = [waits]
    culprits: list[Culprit] = []
    certain = plain = False
    if gone.slab is not None:
        thing = f"{gone.slab.cache} object {gone.slab.address}"
        filled = "filled with the pattern of freed objects" if gone.slab.poisoned else "free"
        steps.append(Step(f"it lies in {thing}, which is {filled}", (gone.memory,)))
        track = gone.slab.track("freed")
        if track is not None:
            steps.append(track_step(track, thing))
        recorded = track_culprits(track, "freed the object, after the allocator's record")
        only = "the only function of the module that frees memory"
        why = only if len(gone.suspects) == 1 else "can free such objects"
        guessed = [Culprit(gone.module, name, None, thing, why) for name in gone.suspects]
        culprits = recorded or guessed
        certain = bool(recorded)
        plain = certain or len(culprits) == 1
        title = f"{who} waits for a lock in freed memory"
    else:
        owner = gone.owner
        on = f"{owner.comm} (pid {owner.pid})" if owner is not None else "a task"
        now = f"the frame of {gone.inside}" if gone.inside else "none of its frames"
        steps.append(
            Step(
                f"it lies on the stack of {on}, in {now}, and what is there is no queue: the "
                "function whose it was has returned",
                (*((owner,) if owner is not None else ()), gone.memory),
            )
        )
        why = "gives up waiting, and can leave behind what it had on its stack"
        culprits = [Culprit(gone.module, name, None, None, why) for name in gone.suspects]
        if gone.handler is not None:
            why = "the timer's function that runs there: it uses what is on that stack"
            culprits.append(Culprit(gone.module, gone.handler, None, None, why))
        title = f"{who} waits for a lock on a stack whose function has returned"
    users = [
        Culprit(c.module, c.function, None, None, "waits for it")
        for c in stack.blamable
        if c.module is not None
    ]
    blamed = merge(culprits, users)
    return Finding(
        title=title,
        summary=f"{title}: nobody will ever release it.",
        certainty=Certainty.INFERRED if certain else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if plain else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=tuple(blamed),
        innocent=innocent(modules, blamed),
        advice=(
            "Count the users of an object with a lock, and free it when the last one has left; "
            "take back a request that is on the stack before its function returns.",
        ),
        refines=_REFINED,
    )
