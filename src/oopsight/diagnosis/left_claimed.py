"""A bit that a driver uses as a lock, and that was left set: for lock_held."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding, Step
from oopsight.evidence import Missing
from oopsight.evidence.hangs.left_claims import ClaimLeak, LeftClaim, LeftClaims

_MOST_LEAKS = 3


def left_claimed(claims: LeftClaims | Missing) -> Finding | None:
    """Of the first that a function can have left; it may be meant to hand it on."""
    one = next(iter(claims.found), None) if isinstance(claims, LeftClaims) else None
    if one is None:
        return None
    leaks = one.leaks[:_MOST_LEAKS]
    names = " or ".join(leak.function for leak in leaks)
    waits = f"{one.function} [{one.module.name}]"
    return Finding(
        title=f"{one.name} was left claimed by {names}",
        summary=f"{waits} waits to claim {one.name} as one does a lock, and nobody is in code that "
        f"has it; {names} can return with it.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=(
            Step(
                f"{one.task.comm} (pid {one.task.pid}) tries in {waits} to claim {one.name}, which "
                "somebody has claimed",
                (one.task, one.at),
            ),
            Step("no task's or CPU's stack is in code that has claimed it", (one.task,)),
            *(_step(one, leak) for leak in leaks),
        ),
        culprits=tuple(
            Culprit(one.module.name, leak.function, None, one.name, _why(leak)) for leak in leaks
        ),
        advice=("Make it free on every path out of the function, or use a mutex.",),
        refines=("hung_task", "soft_lockup", "hard_lockup", "rcu_stall", "deliberate_panic"),
    )


def _why(leak: ClaimLeak) -> str:
    return f"can return at {leak.returns_at} without making it free"


def _step(one: LeftClaim, leak: ClaimLeak) -> Step:
    taken = f"has it from {leak.taken_at} on" if leak.taken_at else "makes it free for others"
    return Step(
        f"{leak.function} [{one.module.name}] {taken}, and can return at {leak.returns_at} without "
        "having made it free",
        (one.module,),
    )
