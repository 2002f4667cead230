"""Who should have ended a wait, and did not: what the code tells of it, and in words."""

from __future__ import annotations

from typing import NamedTuple

from oopsight.diagnosis import Culprit, Step
from oopsight.diagnosis.stalls import who
from oopsight.evidence import Missing
from oopsight.evidence.hangs.counted_wait import CountedWait, CountedWaits
from oopsight.evidence.hangs.kept_shares import KeptShare, KeptShares
from oopsight.evidence.hangs.left_off import LeftOff, SwitchedOff, SwitchedOffs
from oopsight.evidence.hangs.left_queued import LeftQueued, LeftQueues
from oopsight.evidence.hangs.left_states import LeftState, LeftStates
from oopsight.evidence.hangs.lost_completions import LostCompletion, LostCompletions
from oopsight.evidence.hangs.missed_wake import MissedWake, MissedWakes
from oopsight.evidence.hangs.omitted_signals import OmittedSignal, OmittedSignals
from oopsight.evidence.hangs.reference_leaks import ReferenceLeak, ReferenceLeaks
from oopsight.evidence.hangs.skipped_parts import SkippedPart, SkippedParts
from oopsight.evidence.hangs.unsignalled import Unsignalled, UnsignalledWaits
from oopsight.evidence.hangs.waiting import Wait
from oopsight.evidence.hangs.wakers import Wakers

_MOST_ENDERS = 3


class Enders(NamedTuple):
    """The facts of all waits."""

    wakers: Wakers | Missing
    counted: CountedWaits | Missing
    missed: MissedWakes | Missing
    references: ReferenceLeaks | Missing
    omitted: OmittedSignals | Missing
    switches: SwitchedOffs | Missing
    parts: SkippedParts | Missing
    shares: KeptShares | Missing
    lost: LostCompletions | Missing
    unsignalled: UnsignalledWaits | Missing
    queues: LeftQueues | Missing
    states: LeftStates | Missing

    def of(self, wait: Wait) -> Awaited:
        """Those of one wait."""
        task = wait.task.address
        count = self.counted.of(task) if isinstance(self.counted, CountedWaits) else None
        asleep = self.missed.of(task) if isinstance(self.missed, MissedWakes) else None
        leaks = _leaks(wait, self.references) if asleep is None else ()
        silent = self.omitted.of(task) if isinstance(self.omitted, OmittedSignals) else ()
        signals = self.unsignalled
        return Awaited(
            wait,
            self.switches.of(task) if isinstance(self.switches, SwitchedOffs) else None,
            count if count is not None and len(count.lowers) <= _MOST_ENDERS else None,
            asleep,
            leaks,
            () if asleep or leaks else silent[:_MOST_ENDERS],
            _skips(wait, self.parts) if asleep is None else (),
            self.shares.of(task)[:_MOST_ENDERS] if isinstance(self.shares, KeptShares) else (),
            self.lost.of(task)[:_MOST_ENDERS] if isinstance(self.lost, LostCompletions) else (),
            signals.of(task) if isinstance(signals, UnsignalledWaits) else None,
            self.queues.of(task)[:_MOST_ENDERS] if isinstance(self.queues, LeftQueues) else (),
            _state(self.states, task),
            self.wakers,
        )


class Awaited(NamedTuple):
    """What is known of one wait."""

    wait: Wait
    off: SwitchedOff | None
    number: CountedWait | None
    """That is waited for to come down."""
    asleep: MissedWake | None
    """It could go on, and was not woken."""
    leaks: tuple[ReferenceLeak, ...]
    silent: tuple[OmittedSignal, ...]
    """Functions that signal it on some ways only."""
    skips: tuple[SkippedPart, ...]
    """Functions that hand out fewer parts than have to be done before it is signalled."""
    shares: tuple[KeptShare, ...]
    """Functions that keep a share of what the task waits to have one of."""
    lost: tuple[LostCompletion, ...]
    """Functions that have completed for but one of several."""
    unsignalled: Unsignalled | None
    """Whose it is to signal it."""
    queued: tuple[LeftQueued, ...]
    """Functions that were handed what is to signal it, and may have left it to nobody."""
    state: LeftState | None
    """In which what the task waits for was left."""
    wakers: Wakers | Missing

    @property
    def alone(self) -> bool:
        """Whether but one function can have left off what is off, and what has been on."""
        off = self.off
        return off is not None and off.kind != "work" and len(off.by) == 1 and off.by[0].back

    @property
    def anothers(self) -> bool:
        """Whether another module than that of who waits is to end it."""
        return self.unsignalled is not None and self.unsignalled.anothers

    @property
    def steps(self) -> list[Step]:
        """What the code tells."""
        return [
            *(_off_steps(self.wait, self.off) if self.off else ()),
            *((_count_step(self.wait, self.number),) if self.number else ()),
            *((_missed_step(self.wait, self.asleep),) if self.asleep else ()),
            *_enders(self.wait, self.wakers),
            *(_given_steps(self.wait, self.unsignalled) if self.unsignalled else ()),
            *(_leak_step(leak) for leak in self.leaks),
            *(_silent_step(one) for one in self.silent),
            *(skipped_step(one) for one in self.skips),
            *(_share_step(one) for one in self.shares),
            *(_lost_step(one) for one in self.lost),
            *(_queued_step(one) for one in self.queued),
            *((_state_step(self.wait, self.state),) if self.state else ()),
        ]

    @property
    def culprits(self) -> list[Culprit]:
        """Those who did not end it, most suspect first.

        What is known of the very count that is waited for says more.
        """
        count, asleep, given = self.number, self.asleep, self.unsignalled
        drops = _dropping(given) if given else []
        return [
            *(_leaving(self.off, one) for one in (self.off.by if self.off else ())[:_MOST_ENDERS]),
            *(_lowering(count) if count and (count.drops or count.parks or count.keeps) else ()),
            *(_keeping(leak) for leak in self.leaks),
            *(_omitting(one) for one in self.silent if one.seen),
            *(skipping(one, None) for one in self.skips),
            *(_keeping_share(one) for one in self.shares),
            *(_losing(one) for one in self.lost),
            *(_leaving_queued(one) for one in self.queued),
            *(drops if given and given.taken_off else ()),
            *(_lowering(count) if count else ()),
            *(_omitting(one) for one in self.silent),
            *drops,
            *(
                _to_signal(given, suspected=bool(drops or self.silent or self.skips or self.lost))
                if self.anothers and given
                else ()
            ),
            *(_not_waking(asleep) if asleep else ()),
            *(_leaving_state(self.state) if self.state and not asleep else ()),
        ]


def _off_steps(wait: Wait, off: SwitchedOff) -> list[Step]:
    """What is off, and who can have left it so."""
    state = "switched off" if off.by[0].off_at or off.by[0].twice else "not complete"
    return [
        Step(f"{off.title} is {state}, and {who(wait)} hangs by it", off.because),
        *(_left_step(off, one) for one in off.by[:_MOST_ENDERS]),
    ]


def _left_step(off: SwitchedOff, one: LeftOff) -> Step:
    if one.twice:
        return Step(
            f"{one.function} [{off.module.name}] switches it off and on again; others of the "
            "module do one of the two each, as the kernel calls them in turn",
            (off.module,),
        )
    if one.off_at is None:
        return Step(
            f"{one.function} [{off.module.name}] polls it: it has returned, and has not said that "
            "it is complete, so that it is not called again",
            (*off.because, off.module),
        )
    rest = ", which it does on another way" if one.back else ""
    return Step(
        f"{one.function} [{off.module.name}] switches such a thing off at {one.off_at} and can "
        f"return at {one.returns_at} without switching it on again{rest}",
        (off.module,),
    )


def _leaving(off: SwitchedOff | None, one: LeftOff) -> Culprit:
    title = off.title if off is not None else None
    module = off.module.name if off is not None else None
    if one.twice:
        why = f"switches {title} off, and does not ask whether it is on"
        return Culprit(module, one.function, None, title, why)
    if one.off_at is None:
        return Culprit(module, one.function, None, title, "has not said that it is complete")
    why = f"can return at {one.returns_at} with {title} switched off"
    return Culprit(module, one.function, None, title, why)


def _leaks(wait: Wait, references: ReferenceLeaks | Missing) -> tuple[ReferenceLeak, ...]:
    """Who of the module can have kept a reference; nobody where the wait has another reason."""
    if isinstance(references, Missing) or wait.call is None or not _is_for_a_signal(wait):
        return ()
    found = [r for r in references.of(wait.call.module) if r.function != wait.call.function]
    return tuple(found[:_MOST_ENDERS])


def _is_for_a_signal(wait: Wait) -> bool:
    """Whether it is for what somebody signals, and nobody is known to."""
    lock = wait.lock
    return lock is not None and not lock.holders and lock.kind in ("completion", "event")


def _leak_step(leak: ReferenceLeak) -> Step:
    error = f" with error {leak.error}" if leak.error is not None else ""
    return Step(
        f"{leak.function} [{leak.module.name}] can return at {leak.returns_at}{error} with the "
        f"reference that it took at {leak.taken_at}, which it gives back on another way",
        (leak.module,),
    )


def _keeping(leak: ReferenceLeak) -> Culprit:
    why = f"can return at {leak.returns_at} with a reference, the last of which is waited for"
    return Culprit(leak.module.name, leak.function, None, None, why)


def _skips(wait: Wait, parts: SkippedParts | Missing) -> tuple[SkippedPart, ...]:
    if isinstance(parts, Missing) or wait.call is None or not _is_for_a_signal(wait):
        return ()
    return parts.of(wait.call.module)[:_MOST_ENDERS]


def skipped_step(one: SkippedPart) -> Step:
    """That parts are left out."""
    return Step(
        f"{one.function} [{one.module.name}] sets how many parts there are, of which the last ends "
        f"the whole in {one.counting}, and can go on at {one.at} without handing one out",
        (one.module,),
    )


def skipping(one: SkippedPart, thing: str | None) -> Culprit:
    """Who leaves them out."""
    why = f"counts parts, and leaves one out at {one.at} that nobody counts down"
    return Culprit(one.module.name, one.function, None, thing, why)


def _share_step(one: KeptShare) -> Step:
    return Step(
        f"{one.function} [{one.module.name}] has a share of what is waited for from {one.taken_at} "
        f"on, and can return at {one.returns_at} without giving it back, as it does on another way",
        (one.module,),
    )


def _keeping_share(one: KeptShare) -> Culprit:
    why = f"can return at {one.returns_at} with a share of what is waited for"
    return Culprit(one.module.name, one.function, None, None, why)


def _lost_step(one: LostCompletion) -> Step:
    who = f"{one.function} [{one.module.name}]"
    return Step(
        "what is looked at before the wait has changed since, so that nobody would wait there "
        f"now: {who} can change it, and completes for but one",
        (one.module, one.seen),
    )


def _losing(one: LostCompletion) -> Culprit:
    why = "makes true what is waited for, and completes for but one"
    return Culprit(one.module.name, one.function, None, None, why)


def _queued_step(one: LeftQueued) -> Step:
    return Step(
        f"{one.function} [{one.module.name}], which who waits there calls, puts what it is handed "
        f"where others find it at {one.puts_at}, and can return at {one.returns_at} without "
        "setting going what works it off, as it does on another way",
        (one.module,),
    )


def _leaving_queued(one: LeftQueued) -> Culprit:
    why = f"can return at {one.returns_at} without setting going what it was handed"
    return Culprit(one.module.name, one.function, None, None, why)


def _state(states: LeftStates | Missing, task: int) -> LeftState | None:
    found = states.of(task) if isinstance(states, LeftStates) else None
    return found if found is not None and len(found.sets) <= _MOST_ENDERS else None


def _state_step(wait: Wait, state: LeftState) -> Step:
    names = " and ".join(f"{name}()" for name in state.sets)
    return Step(
        f"{who(wait)} looks at {state.name or state.memory.address} before it goes on, and that is "
        f"{state.number}: in {state.module.name}, {names} can set it so",
        (state.memory, state.module),
    )


def _leaving_state(state: LeftState) -> list[Culprit]:
    """Who set it, and has not set it back."""
    place = state.name or str(state.memory.address)
    why = f"sets {place} to {state.number}, as it was left"
    return [Culprit(state.module.name, name, None, state.name, why) for name in state.sets]


def _silent_step(one: OmittedSignal) -> Step:
    seen = ", and what it stores only then is in memory" if one.seen else ""
    return Step(
        f"{one.function} [{one.module.name}] can return at {one.returns_at} without bringing what "
        f"is waited for, as it does on another way{seen}",
        (one.module, *one.seen),
    )


def _omitting(one: OmittedSignal) -> Culprit:
    why = f"can return at {one.returns_at} without bringing what is waited for"
    return Culprit(one.module.name, one.function, None, None, why)


def _given_steps(wait: Wait, given: Unsignalled) -> list[Step]:
    """Whose it is to signal what is waited for, and who drops such things."""
    lock = wait.lock.title if wait.lock is not None else "it"
    names = " and ".join(f"{name}()" for name in given.ends[:_MOST_ENDERS])
    steps = []
    if given.anothers:
        can = f": {names} can" if names else ""
        because = wait.lock.because if wait.lock is not None else ()
        text = f"{lock} is {given.module.name}'s, which is to signal it{can}"
        steps.append(Step(text, (given.module, *because)))
    if given.taken_off is not None:
        text = f"what is waited for was taken off a list: {given.taken_off.address} has the poison"
        steps.append(Step(text, (given.taken_off,)))
    if given.drops:
        who_not = " and ".join(f"{name}()" for name in given.drops)
        text = f"in {given.module.name}, {who_not} can take such entries off and signal nothing"
        steps.append(Step(text, (given.module,)))
    return steps


def _dropping(given: Unsignalled) -> list[Culprit]:
    why = "takes entries off a list, as others do that signal them, and does not"
    return [Culprit(given.module.name, name, None, None, why) for name in given.drops]


def _to_signal(given: Unsignalled, *, suspected: bool) -> list[Culprit]:
    """Those of another module that should have ended the wait.

    :param suspected: whether the code tells who of it has not
    """
    why = "signals such things: it is this module's, and was not signalled"
    named = [Culprit(given.module.name, name, None, None, why) for name in given.ends]
    none = Culprit(given.module.name, None, None, None, "did not signal what it had given")
    open_ = not suspected and len(named) != 1
    return [*([none] if open_ else ()), *named[:_MOST_ENDERS]]


def _count_step(wait: Wait, count: CountedWait) -> Step:
    place = count.name or str(count.counter)
    names = " and ".join(f"{name}()" for name in count.lowers)
    return Step(
        f"{who(wait)} looks at {place} before it goes on, and that is {count.count}: in "
        f"{count.module.name}, {names} can {'raise it' if count.rises else 'take it down'}",
        (count.memory, count.module),
    )


def _lowering(count: CountedWait) -> list[Culprit]:
    """Who did not take the count down, or not on every path.

    One that frees what others count as they free it comes first, then one that sets it aside, then
    one that raises it and hands on nothing.
    """
    place = count.name or str(count.counter)
    take, down, keep = ("take", " down", "raises")
    if count.rises:
        take, down, keep = ("raise", "", "takes down")
    not_down = f"frees entries of a list, as others do that {take} {place}{down}, and does not"
    why = f"{take}s {place}{down}, which the task waits for; it stands at {count.count}"
    aside = f"moves entries to a list that has as many as {place} counts, and leaves that alone"
    keeps = f"{keep} {place}, and can return with nobody to make that good"
    named = [(name, not_down) for name in count.drops] + [(name, aside) for name in count.parks]
    named += [(name, keeps) for name in count.keeps]
    named += [(name, why) for name in count.lowers]
    return [Culprit(count.module.name, name, None, count.name, reason) for name, reason in named]


def _missed_step(wait: Wait, asleep: MissedWake) -> Step:
    place = asleep.name or str(asleep.number)
    names = " and ".join(f"{name}()" for name in asleep.silent[:_MOST_ENDERS])
    who_not = f": in {asleep.module.name}, {names} can make it so and wake nobody" if names else ""
    return Step(
        f"{who(wait)} looks at {place} before it goes on, and that is {asleep.value}, with which "
        f"it would go on: it was not woken{who_not}",
        (asleep.memory, asleep.module),
    )


def _not_waking(asleep: MissedWake) -> list[Culprit]:
    """Who made true what the task waits for: those first that do not tell it."""
    place = asleep.name or str(asleep.number)
    why = f"changes {place}, which the task waits for"
    named = [(name, f"{why}, and wakes nobody") for name in asleep.silent]
    named += [(name, why) for name in asleep.waking]
    return [
        Culprit(asleep.module.name, name, None, asleep.name, reason)
        for name, reason in named[:_MOST_ENDERS]
    ]


def _enders(wait: Wait, wakers: Wakers | Missing) -> tuple[Step, ...]:
    """Which functions of the module can have been to end the wait."""
    if isinstance(wakers, Missing) or wait.call is None or wait.lock is None or wait.lock.holders:
        return ()
    found = wakers.of(wait.call.module, wait.lock.kind)
    if not 1 <= len(found) <= _MOST_ENDERS:
        return ()
    names = " and ".join(f"{w.function}() calls {w.calls}()" for w in found)
    only = "only " if len(found) == 1 else ""
    return (Step(f"in {wait.call.module}, {only}{names}", tuple({w.module for w in found})),)
