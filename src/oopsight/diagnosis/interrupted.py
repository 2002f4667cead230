"""A loop, in an interrupt, that waits for what the function it has interrupted was to change."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Depth, Finding, Step
from oopsight.diagnosis.stalls import blame, distinct
from oopsight.evidence import Missing
from oopsight.evidence.hangs.cpus import Cpu, Cpus
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.stacks import Call


def interrupted(
    cpus: Cpus | Missing, states: LoopStates | Missing, refines: tuple[str, ...]
) -> Finding | None:
    """Of the first such loop.

    :param refines: the rules that this goes before
    """
    if isinstance(cpus, Missing) or isinstance(states, Missing):
        return None
    for state in states.loops:
        cpu = cpus.running(state.task.address)
        loop = cpu.stack.looping if cpu is not None else None
        if cpu is None or loop is None or not state.stands_still:
            continue
        outer = _changing(cpu, loop, state)
        if outer is not None:
            return _finding(cpu, loop, outer, state, refines)
    return None


def _changing(cpu: Cpu, loop: Call, state: LoopState) -> Call | None:
    """The function further out that was interrupted, and changes what the loop ends by."""
    changers = {*state.replaces, *state.advances}
    below = [call for call in cpu.stack.calls if call.index > loop.index]
    stopped = next((call.index for call in below if call.interrupted), None)
    return next(
        (
            call
            for call in below
            if stopped is not None
            and call.index >= stopped
            and call.module == loop.module
            and call.function in changers
        ),
        None,
    )


def _finding(
    cpu: Cpu, loop: Call, outer: Call, state: LoopState, refines: tuple[str, ...]
) -> Finding:
    what = " and ".join(state.names[:1]) or "numbers in memory"
    why = f"changes what {loop.function} waits for, and can be interrupted by that"
    return Finding(
        title=f"deadlock: {loop.name} waits for {outer.function}, which it has interrupted",
        summary=f"CPU {cpu.number} loops in {loop.name} until {what} changes, in an interrupt of "
        f"{outer.function}, which changes that.",
        certainty=Certainty.POSSIBLE,
        depth=Depth.ROOT_CAUSE,
        chain=(
            Step(
                f"CPU {cpu.number} loops in {loop.name}, which changes nothing of what it ends by: "
                f"{what}",
                (cpu.task, cpu.stack.pointer(loop), *state.fields),
            ),
            Step(
                f"that has interrupted {outer.name}, which changes it, and cannot go on meanwhile",
                (cpu.stack.pointer(outer), state.module),
            ),
        ),
        culprits=distinct(
            [blame(outer, why), blame(loop, f"waits for what {outer.function} is to change")]
        ),
        advice=("Switch off, while that is changed, the interrupts that look at it.",),
        refines=refines,
    )
