"""A function's stack frame was written over.

Finds
    The function whose canary no longer held the right value when it returned, or in whose frame a
    pointer was used that a text beside it had run over; or a return to where no code is.

Why it happens
    A local buffer is too short for what is copied into it, mostly by the function itself or by one
    that it handed the buffer to.

How it is decided
    The compiler's check called ``__stack_chk_fail()``; whoever called that is the function whose
    frame is damaged. What lies in its callers' place on the stack is what was written there. Before
    that, data flow leads from the fault to a pointer on the stack that is text, the end of a text
    which begins in the same frame before it. Where the machine went to no code and no return
    address is on top of the stack, a function returned there. Which one: whose caller, where it
    calls it, has a frame of the size that is there.

When it is wrong
    Where the function handed its buffer to another one of its module, it may be either that went
    too far; that one comes first if it was told, or says itself, to write no more than there was
    room for, and it alone did it if its loop can go round without a look at that limit. It comes
    first, too, if it has no limit at all and the function itself writes nothing at length. Where an
    address in the frame was handed to code outside of the module, other than what copies or serves
    everybody, or by a pointer, who wrote is only *possible*: that may have been a driver behind it.
    Where it was a module from outside the kernel's tree, its functions that write at length come
    first, unless the function fills its frame at length itself; so do those of its own module that
    hand the buffer on to others which write at length, and these, or these before those, if they
    were told to write no more than there was room for. A stray pointer from elsewhere
    can hit a frame as well, which is rare. Several functions' frames may have the same size.

Example
    ``volid_set()`` has 65 bytes copied into a label of 32.

Look next
    ``dis -l`` of the function; ``rd`` of its stack, for the bytes that were written.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.blame import (
    blamed_first,
    fault_step,
    flow_culprits,
    flow_steps,
    merge,
    where,
)
from oopsight.diagnosis.places import culprits, title_of
from oopsight.diagnosis.returned_astray import as_text, returned_astray
from oopsight.evidence import Missing
from oopsight.evidence.corruption.bad_return import BadReturn
from oopsight.evidence.corruption.frame_fillers import CHECK, Filler, FrameFillers
from oopsight.evidence.corruption.stack_overrun import StackOverrun
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name


def stack_corruption(
    symptom: Symptom,
    backtrace: Backtrace,
    fault: Fault | Missing,
    flow: DataFlow | Missing,
    overrun: StackOverrun | Missing,
    astray: BadReturn | Missing,
    modules: Modules | Missing,
    fillers: FrameFillers | Missing,
) -> Finding | Clear | Undecided:
    """Decide whose frame was damaged."""
    if not isinstance(overrun, Missing) and not isinstance(flow, Missing):
        if isinstance(fault, Missing):
            return absent(fault)
        return _pointer(fault, backtrace, flow, overrun)
    if isinstance(astray, BadReturn) and isinstance(fault, Fault):
        return returned_astray(fault, astray, modules)
    if symptom.kind is not Kind.STACK_CORRUPTION:
        return Clear("no stack frame was found damaged")
    frames = [f for f in backtrace.frames if not f.inline]
    at = next((i for i, f in enumerate(frames) if f.function == CHECK), None)
    if at is None or at + 1 >= len(frames) or frames[at + 1].function.startswith("0x"):
        return Undecided(f"{CHECK} is not on the stack that could be unwound")
    damaged = frames[at + 1]
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    steps = [
        Step(
            f"{title_of(damaged)} found its stack canary changed as it returned",
            (*headline, frames[at].pointer, damaged.pointer),
        )
    ]
    beyond = frames[at + 2] if at + 2 < len(frames) else None
    text = as_text(beyond.pc) if beyond is not None else None
    if beyond is not None and text is not None:
        steps.append(
            Step(f"where its return address was there is text: {text!r}", (beyond.pointer,))
        )
    before, after, by_others = _filled_by(fillers)
    lent = _lent_to(fillers)
    passed, passed_last = _passed_on(fillers)
    itself = isinstance(fillers, FrameFillers) and fillers.fills
    sure = _astray(fillers) or (itself and not (by_others or lent or passed or passed_last))
    first, last = _abroad(fillers)
    steps += [lent] if lent is not None else []
    owner = culprits([damaged], "its own frame is damaged: its buffer overflowed")
    return Finding(
        title=f"stack buffer overflow in {title_of(damaged)}",
        summary=f"A buffer on the stack of {title_of(damaged)} was written beyond its end.",
        certainty=Certainty.INFERRED if sure else Certainty.POSSIBLE,
        cause_certainty=None if sure else Certainty.INFERRED,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=tuple(merge(before, passed, first, owner, after, passed_last, last)),
        advice=(f"Check what is copied into the local buffers of {title_of(damaged)}.",),
    )


def _filled_by(
    fillers: FrameFillers | Missing,
) -> tuple[list[Culprit], list[Culprit], bool]:
    """Who was handed a place in the frame: those that come before its owner, and those after.

    And whether it can have been one of them. Told to write no more than there was room for, it was
    a mistake of its own. One without any limit is used like strcpy(): the room is as much its
    caller's affair, but where that writes nothing itself, this is who wrote.
    """
    if isinstance(fillers, Missing):
        return [], [], False
    before: list[Culprit] = []
    after: list[Culprit] = []
    found = fillers.fillers
    for one in found:
        first = _kept(one) or not (one.limited or fillers.itself)
        (before if first else after).append(_writer(one, "it is handed"))
    return before, after, bool(found)


def _kept(one: Filler) -> bool:
    """Whether it was told to write no more than there was room for."""
    return one.most is not None and one.room is not None and one.most <= one.room


def _writer(one: Filler, how: str) -> Culprit:
    """One that wrote to the frame.

    :param how: it came to the place there
    """
    why = f"writes at length to a place in the frame that {how}"
    if _kept(one):
        why += f", and should stop after {one.most}"
    if _kept(one) and one.passed_by:
        why += ", but can write on without a look at that"
    return Culprit(one.module, one.function, None, None, why)


def _lent_to(fillers: FrameFillers | Missing) -> Step | None:
    """That code outside of the module was handed an address in the frame."""
    if isinstance(fillers, Missing) or not fillers.receivers:
        return None
    names = [
        "a function by a pointer" if one.function is None else where(one.function, one.module)
        for one in fillers.receivers
    ]
    text = ", ".join(dict.fromkeys(names))
    calls = tuple(one.call for one in fillers.receivers)
    return Step(f"{fillers.function} hands an address in its frame to {text}", calls)


def _abroad(fillers: FrameFillers | Missing) -> tuple[list[Culprit], list[Culprit]]:
    """Functions of other modules that can have written: those that come before the owner, or after.

    Before, where the owner itself writes nothing at length to its frame.
    """
    if isinstance(fillers, Missing):
        return [], []
    why = "writes at length, and {} [{}] was handed an address in the frame"
    found = [
        Culprit(one.module, name, None, None, why.format(one.function, one.module))
        for one in fillers.receivers
        for name in one.writers
    ]
    return ([], found) if fillers.fills else (found, [])


def _passed_on(fillers: FrameFillers | Missing) -> tuple[list[Culprit], list[Culprit]]:
    """Who has others of the module write to the frame: those before its owner, and those after.

    How much may be written is for the one to say who hands the address on; then comes who writes,
    or before it, where it was told to write no more than there was room for.
    """
    if isinstance(fillers, Missing):
        return [], []
    found: list[Culprit] = []
    for one in fillers.handed_on:
        names = ", ".join(writer.function for writer in one.writers)
        why = f"hands a place in the frame on to {names}"
        told = [_writer(w, f"{one.function} hands it") for w in one.writers if _kept(w)]
        hands = Culprit(fillers.module, one.function, None, None, why)
        others = [_writer(w, f"{one.function} hands it") for w in one.writers if not _kept(w)]
        found += [*told, hands, *others]
    return ([], found) if fillers.fills else (found, [])


def _astray(fillers: FrameFillers | Missing) -> bool:
    """Whether one alone can have done it: it does not always look at a limit that is right."""
    if isinstance(fillers, Missing) or fillers.itself or len(fillers.fillers) != 1:
        return False
    (one,) = fillers.fillers
    fits = one.most is not None and one.room is not None and one.most <= one.room
    return fits and one.passed_by


def _pointer(fault: Fault, backtrace: Backtrace, flow: DataFlow, overrun: StackOverrun) -> Finding:
    """A pointer behind a buffer was used before the canary was looked at."""
    owner = (
        [
            Culprit(
                overrun.module,
                base_name(overrun.function),
                None,
                None,
                "the buffer and the pointer behind it are in its frame",
            )
        ]
        if overrun.function is not None
        else []
    )
    blamed = merge(owner, flow_culprits(flow, backtrace, what="the overwritten pointer"))
    where_ = blamed_first(blamed, fault.function)
    return Finding(
        title=f"stack buffer overflow in {where_}",
        summary=f"A buffer on the stack of {where_} was written beyond its end, over a pointer "
        f"that {where(fault.function, fault.module)} then followed.",
        # Who was handed a place in the frame may have written it as well.
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED if owner else None,
        depth=Depth.ROOT_CAUSE,
        chain=(
            fault_step(fault),
            *flow_steps(flow, 1),
            Step(
                f"on the stack a text runs from {overrun.start} over the pointer at "
                f"{overrun.address}: {overrun.text!r}",
                (overrun.memory,),
            ),
        ),
        culprits=tuple(blamed),
        advice=(f"Check what is copied into the local buffers of {where_}.",),
        refines=("wild_pointer", "user_pointer", "bad_function_pointer", "bit_flip"),
    )
