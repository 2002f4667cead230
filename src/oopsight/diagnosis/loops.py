"""What the rules for CPUs that loop have in common: whether the loop is at fault, or its state."""

from __future__ import annotations

from typing import NamedTuple

from oopsight.diagnosis import Culprit, Step
from oopsight.diagnosis.stalls import blame
from oopsight.evidence import Missing
from oopsight.evidence.hangs.loop_state import LoopState, LoopStates
from oopsight.evidence.hangs.ring_makers import Ring, RingMakers
from oopsight.evidence.hangs.stacks import Call, TaskStack

_MOST_MAKERS = 3
_MOST_NAMED = 3
_ENDLESS = 1 << 28
"""Turns that nobody means: a number below zero, taken without its sign."""


class Loop(NamedTuple):
    """What a function was caught in."""

    sure: bool
    """Whether it loops and only its own code ends that."""
    steps: tuple[Step, ...]
    """What else the dump shows of it."""
    culprits: tuple[Culprit, ...]
    """The function, and who may have made the state that it loops on: the more suspect first."""


def caught_in(
    stack: TaskStack, call: Call, rings: RingMakers | Missing, states: LoopStates | Missing
) -> Loop:
    """Judge the loop of a function on the stack of a CPU's task.

    A loop from object to object ends as these are linked, one that reads from memory as that is:
    others may have done that wrong. One that goes round without a change of what ends it is to
    blame itself; so is one that goes on by more than one and ends by equality alone, one that
    counts in too few bits, and one that goes on by a zero in memory, which it does not look at.
    """
    ring = rings.of(stack.task.address, call.function) if isinstance(rings, RingMakers) else None
    ring = ring if ring is not None and len(ring.makers) <= _MOST_MAKERS else None
    state = states.of(stack.task.address, call.function) if isinstance(states, LoopStates) else None
    itself = blame(call, _reason(call))
    makers = (*(_closers(ring) if ring else ()), *(_changing(state) if state else ()))
    caller = _caller(stack, call, state) if state is not None else None
    found = (
        (
            _state_step(state),
            _unset_step(state),
            _zero_step(state),
            _narrow_step(state),
            _asked_step(stack, state, caller),
        )
        if state
        else ()
    )
    steps = (_ring_step(ring) if ring else None, *found)
    return Loop(
        sure=bool(call.in_loop)
        and not call.follows_pointers
        and (state is None or (state.by_itself and not state.given)),
        steps=tuple(step for step in steps if step is not None),
        culprits=(
            *(_leaving_unset(state) if state else ()),
            *(_keeping(state) if state else ()),
            *(_filling(state) if state else ()),
            *(_asking(call, caller) if caller is not None else ()),
            *((itself, *makers) if state and _at_fault(state) else (*makers, itself)),
        ),
    )


def _caller(stack: TaskStack, call: Call, state: LoopState) -> Call | None:
    """Who called a loop for more turns than anybody means."""
    if not state.given or state.remaining is None or state.remaining < _ENDLESS:
        return None
    outer = (one for one in stack.blamable if one.index > call.index)
    return next((one for one in outer if one.module == call.module), None)


def _asking(call: Call, caller: Call) -> list[Culprit]:
    return [blame(caller, f"called {call.function} for more turns than it can mean")]


def _asked_step(stack: TaskStack, state: LoopState, caller: Call | None) -> Step | None:
    """That the loop was called so, by whom."""
    if caller is None:
        return None
    return Step(
        f"by its own count, {state.function} would go round {state.remaining} times more, for what "
        f"{caller.name} called it with",
        (state.task, stack.pointer(caller)),
    )


def _at_fault(state: LoopState) -> bool:
    """Whether a loop changes nothing, cannot come to where it should end, or goes on by nothing.

    Who misled one that steps over its end, or filled with zeros what it goes by, comes before it.
    """
    over = state.stride is not None and not state.uneven
    nothing = bool(state.zeros) and not state.wipes
    return state.stands_still or state.narrow is not None or over or nothing


def _reason(call: Call) -> str:
    if not call.in_loop:
        return "it was caught here"
    if call.follows_pointers:
        return (
            "the loop that the CPU was caught in; it goes from object to object, and who linked "
            "these is not known"
        )
    return "the loop that the CPU was caught in"


def _ring_step(ring: Ring) -> Step:
    """That it is one, and who can have closed it."""
    count = f" of {ring.entries}" if ring.entries is not None else ""
    runs = f"the chain that {ring.function} goes along runs in a ring{count}"
    if ring.entries is None:
        runs = f"{ring.function} goes along a chain"
    names = " and ".join(f"{name}()" for name in ring.makers)
    can = f": in {ring.module.name}, {names} can link in what is linked already" if names else ""
    return Step(f"{runs}{can}", (*ring.closes, ring.module))


def _closers(ring: Ring) -> list[Culprit]:
    """Who can have closed a ring."""
    why = f"can link in again what is in the chain that {ring.function} goes along"
    away = f"takes an entry out and links it in again at once, while {ring.function} may be at it"
    splices = f"moves a list's entries to another and leaves its head, by which {ring.function} "
    splices += "may go, leading to them"
    named = [(name, splices) for name in ring.splicers]
    named += [(name, why) for name in ring.makers] + [(name, away) for name in ring.movers]
    return [Culprit(ring.module.name, name, None, None, reason) for name, reason in named]


def _state_step(state: LoopState) -> Step | None:
    """By what a loop ends, and who else changes that."""
    if not state.fields:
        return None
    what = " and ".join(state.names[:_MOST_NAMED]) or "numbers in memory"
    others = [name for name in _changers(state) if name not in state.wipes]
    names = " and ".join(f"{name}()" for name in others)
    which = f", which in {state.module.name} {names} can change as well" if names else ""
    still = "; on some way round it changes nothing of that" if state.stands_still else ""
    over = f"; it goes on by {state.stride} at once, and does not look whether it is past the end"
    return Step(
        f"the loop in {state.function} ends by {what}{which}{still}"
        f"{over if state.stride is not None else ''}",
        (*state.fields, state.module),
    )


def _unset_step(state: LoopState) -> Step | None:
    """That one of the numbers is zero, and who has left it so."""
    if not state.unset.by:
        return None
    names = " and ".join(f"{name}()" for name in state.unset.by)
    zeros = tuple(one for one in state.fields if not any(bytes.fromhex(one.bytes)))
    text = f"in {state.module.name}, {names} can make such objects and leave zero there"
    return Step(text, (*zeros, state.module))


def _leaving_unset(state: LoopState) -> list[Culprit]:
    """Those of a field that nobody else changes, and the loop does not either; or others set it."""
    why = f"makes such an object, and does not set the field that {state.function} ends by"
    sure = state.unset.as_others or (state.stands_still and not _changers(state))
    names = state.unset.by if sure and len(state.unset.by) <= _MOST_MAKERS else ()
    return [Culprit(state.module.name, name, None, None, why) for name in names]


def _keeping(state: LoopState) -> list[Culprit]:
    """Those that leave a bit set."""
    why = f"can return and leave set what {state.function} waits to be clear, as it does not else"
    names = state.keeps[:_MOST_MAKERS]
    return [Culprit(state.module.name, name, None, None, why) for name in names]


def _filling(state: LoopState) -> list[Culprit]:
    """Those that fill what the loop looks for."""
    why = f"fills the place that {state.function} has found, and does not count it, as others do"
    names = state.fills[:_MOST_MAKERS]
    return [Culprit(state.module.name, name, None, None, why) for name in names]


def _zero_step(state: LoopState) -> Step | None:
    """That a loop is at zeros, and who can have put them there."""
    if not state.zeros:
        return None
    names = " and ".join(f"{name}()" for name in state.wipes[:_MOST_MAKERS])
    which = f"; in {state.module.name}, {names} can fill memory in use with zeros" if names else ""
    at = f"{state.zeros[0].address:#x}"
    text = f"{state.function} goes on by a number at {at}, which is zero{which}"
    return Step(text, (*state.zeros, state.module))


def _narrow_step(state: LoopState) -> Step | None:
    """That a loop cannot count as far as it is to."""
    if state.narrow is None:
        return None
    most, last = state.narrow
    text = f"{state.function} counts to {most} at most, begins anew then, and is to count to {last}"
    return Step(text, (state.task, state.module))


def _changing(state: LoopState) -> list[Culprit]:
    """Who else changes what ends a loop."""
    why = f"changes what the loop in {state.function} ends by"
    wipes = f"fills memory in use with zeros, and {state.function} goes on by a zero"
    return [
        Culprit(state.module.name, name, None, None, wipes if name in state.wipes else why)
        for name in _changers(state)
    ]


def _changers(state: LoopState) -> tuple[str, ...]:
    """Those that replace something before those that go on from what is there; none of too many.

    Where the loop is at zeros, those that fill memory with zeros before others; before these, where
    the loop keeps its own number within a limit, those that do not; before these, where it goes on
    by more than one, those that do not go on by that, as others do; before all, those that take
    from what is below zero.
    """
    first = (*state.lowering, *state.uneven, *state.unlimited, *state.wipes, *state.replaces)
    found = tuple(dict.fromkeys((*first, *state.advances)))
    if len(found) <= _MOST_MAKERS:
        return found
    return tuple(dict.fromkeys(first))[:_MOST_MAKERS]
