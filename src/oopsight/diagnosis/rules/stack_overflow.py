"""A kernel stack that is used up.

Finds
    Recursion or big frames that ran a task's stack into its guard page.

Why it happens
    A function calls itself, directly or round a circle, over data that has no end; or several
    layers with large local arrays add up to more than the 16 KiB there are.

How it is decided
    The kernel reported the guard page hit, or the exception was a double fault with the stack
    pointer at the end of the stack. The frames are searched for a sequence of functions that
    repeats; its length in bytes is the difference of the stack pointers. Without a repetition the
    functions with the largest frames are named.

    What the calls have saved in their frames is looked at for objects that come again in turns and
    lead to each other by a member, or one of an array of them, which the recursing code reads: a
    pointer, a number that the next one has for a name, or its index in a table. That is a ring.
    Then the functions of the module come first that put there what they have not made, and compare
    the two before they do, or are called by those that do: they have to see to it that there is no
    ring. Those that compare nothing come last.

When it is wrong
    The unwinder stops after some hundred frames; the innermost are the ones looked at. Who recurses
    may be right to, and the ring in the data somebody else's: who is to blame is *possible* only.
    So it is of large frames none of which takes half of the stack.

Example
    ``expr_eval()`` and ``expr_child()``, 104 bytes each time round, 150 times.

Look next
    ``bt`` of the task; the data that the recursion follows.
"""

from __future__ import annotations

from itertools import pairwise

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.places import culprits, suspects, title_of
from oopsight.diagnosis.stalls import distinct
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.repeated_calls import Repeated, repeated
from oopsight.evidence.crash.ring_of_calls import RingOfCalls
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name

_KINDS = (Kind.STACK_OVERFLOW, Kind.DOUBLE_FAULT)
_MOST_MAKERS = 3
_LARGE = 1024
_HALF = 8192
"""Of a stack, in bytes."""
_MOST_OF_STACK = 8192
"""Half of what there is."""


def stack_overflow(
    symptom: Symptom, backtrace: Backtrace, ring: RingOfCalls | Missing
) -> Finding | Clear | Undecided:
    """Decide what used the stack up."""
    if symptom.kind not in _KINDS and backtrace.exception != "double_fault":
        return Clear("no stack was used up")
    frames = [f for f in backtrace.crash_path if not f.inline]
    found = repeated(frames)
    if found is not None:
        return _recursion(symptom, found, ring)
    if symptom.kind is not Kind.STACK_OVERFLOW:
        return Clear("the exception was a double fault, and nothing on the stack repeats")
    return _big_frames(symptom, backtrace, frames)


def _recursion(symptom: Symptom, found: Repeated, ring: RingOfCalls | Missing) -> Finding:
    names = list(dict.fromkeys(title_of(f) for f in found.cycle))
    own = [f for f in found.cycle if f.plumbing is None]
    blamed = [f for f in own if f.module] or own or list(found.cycle)
    asked = _asked(found.cycle)
    blamed.sort(key=lambda frame: frame.module in asked)
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    reported = (Step("the kernel reported that the stack is used up", headline),)
    each = f", {found.size} bytes each time"
    calls = " -> ".join(title_of(f) for f in reversed(found.cycle))
    around = ring if isinstance(ring, RingOfCalls) else None
    makers = _makers(around, around.makers) if around is not None else []
    others = _makers(around, around.others) if around is not None else []
    return Finding(
        title=f"stack overflow: {' and '.join(names)} without end",
        summary=f"{' and '.join(names)} called {'itself' if len(names) == 1 else 'each other'} "
        f"until the stack was used up{each}.",
        # What they went along may be a ring, which somebody else had made.
        certainty=Certainty.POSSIBLE,
        cause_certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=(
            *(reported if headline else ()),
            Step(
                f"the calls {calls} repeat at least {found.times} times{each}",
                tuple(f.pointer for f in found.cycle),
            ),
            *((_around(around, names),) if around is not None else ()),
        ),
        culprits=distinct(
            [
                *makers,
                *culprits(blamed, "recurses without a limit", others="part of the circle"),
                *others,
            ]
        ),
        advice=(
            "Limit the depth, or turn the recursion into a loop; look for a ring in the data.",
        ),
    )


def _asked(cycle: tuple[Frame, ...]) -> set[str]:
    """Modules of which another one in the circle calls a function by its name.

    Such a module offers that to any; it was called back by the one that called it.
    """
    circle = [frame for frame in cycle if not frame.inline]
    calls = zip(circle, (*circle[1:], circle[0]), strict=True)
    found = {
        inner.module
        for inner, outer in calls
        if inner.module and outer.module not in (None, inner.module) and outer.calls_by_name
    }
    return found if found != {frame.module for frame in circle if frame.module} else set()


def _around(ring: RingOfCalls, names: list[str]) -> Step:
    """That it is a ring which the calls went round, and who can have closed it."""
    makers = ring.makers or ring.others
    which = " and ".join(f"{name}()" for name in makers[:_MOST_MAKERS])
    can = f"; in {ring.module.name}, {which} can link to what is there already" if which else ""
    what = f"{ring.entries} objects that lead to each other in a ring"
    if ring.entries == 1:
        what = "an object that leads to itself"
    return Step(f"{' and '.join(names)} went round {what}{can}", (*ring.closes, ring.module))


def _makers(ring: RingOfCalls, names: tuple[str, ...]) -> list[Culprit]:
    """Who can have closed the ring."""
    why = "can link an object of the ring to one that is there already"
    return [Culprit(ring.module.name, name, None, None, why) for name in names[:_MOST_MAKERS]]


def _big_frames(symptom: Symptom, backtrace: Backtrace, frames: list[Frame]) -> Finding | Undecided:
    sizes = [
        (outer.sp - inner.sp, inner)
        for inner, outer in pairwise(frames)
        if 0 < outer.sp - inner.sp < 1 << 16
    ]
    large = sorted((s for s in sizes if s[0] >= _LARGE), key=lambda item: -item[0])
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    if not large:
        blamed = suspects(backtrace)
        if not blamed or not headline:
            return Undecided("nothing on the stack repeats, and no frame is large")
        return Finding(
            title=f"stack overflow under {title_of(blamed[0])}",
            summary="The stack is used up; nothing on it repeats.",
            certainty=Certainty.POSSIBLE,
            depth=Depth.SYMPTOM,
            chain=(Step("the kernel reported that the stack is used up", headline),),
            culprits=culprits(blamed, "innermost on the stack"),
        )
    alone = large[0][0] >= _MOST_OF_STACK
    return Finding(
        title=f"stack overflow: {title_of(large[0][1])} takes {large[0][0]} bytes",
        summary=f"The stack is used up; {title_of(large[0][1])} alone takes {large[0][0]} bytes.",
        # Where several take their share, each fits with less of the others.
        certainty=Certainty.INFERRED if alone else Certainty.POSSIBLE,
        cause_certainty=Certainty.INFERRED,
        depth=Depth.MECHANISM,
        chain=(
            *(
                (Step("the kernel reported that the stack is used up", headline),)
                if headline
                else ()
            ),
            *(
                Step(f"{title_of(f)} takes {size} bytes of it", (f.pointer,))
                for size, f in large[:3]
            ),
        ),
        culprits=tuple(
            Culprit(f.module, base_name(f.function), f.source, None, f"its frame is {size} bytes")
            for size, f in large[:3]
        ),
        advice=("Move large local arrays to the heap.",),
    )
