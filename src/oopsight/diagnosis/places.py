"""Whom to blame by place: what the rules for failed checks and panics have in common."""

from __future__ import annotations

from collections.abc import Sequence

from oopsight.cheap import replace
from oopsight.diagnosis import Culprit, Step
from oopsight.diagnosis.blame import merge, where
from oopsight.diagnosis.doers import said
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.called_before import CalledBefore
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.uneven_switches import UnevenSwitches
from oopsight.evidence.modules.warned_object import WarnedObject
from oopsight.evidence.pointers import Pointer
from oopsight.plumbing import base_name

_MOST = 3


def suspects(backtrace: Backtrace) -> tuple[Frame, ...]:
    """Frames of the crash path that can be to blame: of one owner, innermost first.

    A module's go before the kernel's own, which serves all; without a module, the innermost alone
    and its callers in the kernel.
    """
    frames = [f for f in backtrace.blamable if not f.inline]
    first = next((f for f in frames if f.module), frames[0] if frames else None)
    if first is None:
        return ()
    return tuple(f for f in frames if f.module == first.module and f.index >= first.index)


def askers(backtrace: Backtrace, frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Frames of another module, which called the module of ``frames`` by name.

    What a module offers to others checks what they ask of it: who asked is the one to look at.
    """
    outer = [f for f in backtrace.blamable if f.index > frames[-1].index and not f.inline]
    if not frames or not outer:
        return ()
    first, inner = outer[0], frames[-1]
    between = [f for f in backtrace.crash_path if inner.index < f.index < first.index]
    if any(not f.inline for f in between) or first.module in (None, inner.module):
        return ()
    if not first.calls_by_name:
        return ()
    return tuple(f for f in outer if f.module == first.module)


def culprits(
    frames: Sequence[Frame], why: str, *, others: str = "called it", thing: str | None = None
) -> tuple[Culprit, ...]:
    """The first frames as culprits, each function once."""
    found: dict[str, Culprit] = {}
    for frame in frames:
        name = base_name(frame.function)
        reason = others if found else why
        found.setdefault(name, Culprit(frame.module, name, frame.source, thing, reason))
    return tuple(found.values())[:_MOST]


def wrote_state(state: StateWriters | Missing, frames: Sequence[Frame]) -> StateWriters | None:
    """Who writes to what was found wrong, where that is of the module that is to blame by place."""
    if isinstance(state, Missing) or not frames or frames[0].module != state.module:
        return None
    return state


def state_step(state: StateWriters) -> Step:
    """Where the number was read from."""
    end = state.way.end
    if end is None:
        return Step("what was compared was kept in memory", ())
    carried = (end.instruction, *((end.memory,) if end.memory is not None else ()))
    return Step(f"{end.text}; others of {state.module} write there, too", carried)


def state_culprits(
    state: StateWriters, found: Sequence[Culprit], prints: Prints | Missing
) -> tuple[Culprit, ...]:
    """Who can have written what was found wrong, before who found it.

    First whoever has left a line in the log.

    What the call itself brought with it may as well be what is wrong: then they come last.
    """
    why = f"writes to {_field(state)} that was found wrong"
    writers = state_writers(state, why)
    unlikely = {*state.unlikely} - {*state.leaving}
    writers.sort(
        key=lambda one: (
            one.function not in state.undoing,
            one.function in unlikely,
            said(one, prints) is None and one.function not in state.leaving,
        )
    )
    if state.counted_too_far and len(found) > 1:
        once = f"called {found[0].function}, which counts for others as well, once too often"
        return tuple(merge([replace(found[1], why=once)], found, writers))
    if state.sets_it_itself:
        # Between the two times nobody set it back: who called it then, or it should have.
        itself = [one for one in found[1:2] if any(one.function == w.function for w in writers)]
        return tuple(merge(itself, found, writers))
    return tuple(merge(writers, found) if state.alone else merge(found, writers))


def _field(state: StateWriters) -> str:
    return state.way.name or "the field"


def state_writers(state: StateWriters, why: str) -> list[Culprit]:
    """Who can have written what was found wrong, or should have.

    :param why: what to say of those that write to it
    """
    field = _field(state)
    reasons = {
        **dict.fromkeys(state.leaving, f"leaves {field} alone, and else does as who sets it"),
        **dict.fromkeys(state.unset, f"makes such objects, leaves {field} alone, which others set"),
        **dict.fromkeys(
            state.undoing, f"leaves {field} alone, and undoes what else who set it did"
        ),
    }
    return [
        Culprit(state.module, name, None, None, reasons.get(name, why)) for name in state.functions
    ]


def set_up_by(warned: WarnedObject | Missing, who: tuple[Culprit, ...]) -> tuple[Culprit, ...]:
    """Who set up what the kernel complains of, before who came upon it."""
    if isinstance(warned, Missing):
        return who
    setters = [Culprit(warned.module, name, None, None, warned.why) for name in warned.setters]
    return tuple(merge(setters, who))


def called_before(
    before: CalledBefore | Missing, who: tuple[Culprit, ...], at: tuple[Pointer, ...]
) -> tuple[list[Step], tuple[Culprit, ...]]:
    """Whom the kernel had called just before its own check failed, where no module is on the stack.

    :param at: the check
    """
    if isinstance(before, Missing):
        return [], who
    first = before.handlers[0]
    step = Step(f"before its check it had called {where(first.function, first.module)}", at)
    why = "was called through a pointer just before, and the kernel checks what it leaves"
    found = [
        Culprit(one.module, base_name(one.function), None, None, why) for one in before.handlers
    ]
    return [step], tuple(merge(found, who))


def switched_by(
    switches: UnevenSwitches | Missing, who: tuple[Culprit, ...]
) -> tuple[Culprit, ...]:
    """Who switches on what it has not switched off, before who found it on."""
    if isinstance(switches, Missing):
        return who
    why = switches.why.format(switch=switches.switch)
    uneven = [Culprit(switches.module, name, None, None, why) for name in switches.functions]
    return tuple(merge(uneven, who))


def title_of(frame: Frame) -> str:
    """Function, and module in brackets."""
    name = base_name(frame.function)
    return f"{name} [{frame.module}]" if frame.module else name


def chosen_by(
    suspected: list[Culprit],
    index: IndexWriters | Missing,
    steps: list[Step],
    *,
    beyond: bool = False,
) -> list[Culprit]:
    """With who wrote to memory the index by which the pointer was chosen; first if that is wrong.

    :param steps: of the proof, to which that is added
    :param beyond: whether the index is known to be wrong by what it led to
    """
    if isinstance(index, Missing) or not index.state.functions:
        return suspected
    steps.append(state_step(index.state))
    why = f"writes to {_field(index.state)}, which tells the place in the table"
    found = state_writers(index.state, why)
    first = beyond or index.beyond
    return merge(found, suspected) if first else merge(suspected[:1], found, suspected)
