"""A check with BUG() or BUG_ON() failed.

Finds
    Code that stopped the machine itself, as it found a state that must not be.

Why it happens
    The check's author did not know how to go on. The mistake is in what led to the state: a caller
    that hands over too much, an object used twice, a counter that went wrong.

How it is decided
    The exception was the trap instruction of BUG(). File and line come from the kernel's table of
    checks, the comparison from the code that led to the trap, the values from the registers. Where
    the check is in the kernel's own code and a module is among its callers, the module's innermost
    function is suspect: it used the kernel's function wrongly, or with what another had spoilt. So
    is the module that called, by name, the function of another module whose check failed. That a
    check failed is sure; who is to blame is *possible* only, as it does not tell who brought the
    state about. Without a module on the stack, those of its functions come first that the kernel
    had called through a pointer just before the check, and that had returned.

When it is wrong
    The state may have been brought about by somebody who is not on the stack: where what was
    compared was read from memory to which other functions of the module write, or which one of them
    wrote to before it handed that to the kernel, these come first; last of them who moves it only
    in the direction that mends what the check found, or cannot have stored what it found, by its
    own code or that of its callers. Where nobody else can have, first comes who leaves it alone and
    else does as those do that set it. Who keeps a count for several comes behind who called it. Of
    a timer that the kernel's check finds without a function those come first who make such an
    object and do not set the timer up. Where it finds on already what it is to switch on, as NAPI,
    or a module's own check what that goes on to switch on, as a timer, those come first who switch
    it on always and have switched it off on some ways only, or have a helper do so that switches it
    off on some ways only, which comes first; else who had it switched on by a helper and never
    switches it off, where others that call the helper do. A rule that finds how it was damaged goes
    before this one.

Example
    ``skb_put()`` finds that ``tlmx_append()`` puts 900 bytes into a buffer of 256.

Look next
    The source at the place; the object that was checked.
"""

from __future__ import annotations

from collections.abc import Sequence

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.diagnosis.places import (
    askers,
    called_before,
    culprits,
    set_up_by,
    state_culprits,
    state_step,
    suspects,
    switched_by,
    title_of,
    wrote_state,
)
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.bug_site import BugSite, where
from oopsight.evidence.crash.called_before import CalledBefore
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.modules.prints import Prints
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.uneven_switches import UnevenSwitches
from oopsight.evidence.modules.warned_object import WarnedObject
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

_KINDS = (Kind.BUG, Kind.OTHER, Kind.LIST_CORRUPTION, Kind.OUT_OF_BOUNDS, Kind.MEMORY_CORRUPTION)
# What the kernel prints before some of its BUG()s.
_EXPLANATIONS = (
    "skb_over_panic",
    "skb_under_panic",
    "usercopy:",
    "list_add corruption",
    "list_del corruption",
    "kmem_cache_destroy",
    "fortify:",
)


def bug_on(
    fault: Fault,
    backtrace: Backtrace,
    symptom: Symptom,
    site: BugSite | Missing,
    log: Log | Missing,
    writers: StateWriters | Missing,
    prints: Prints | Missing,
    warned: WarnedObject | Missing,
    switches: UnevenSwitches | Missing,
    before: CalledBefore | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a BUG() stopped the machine."""
    if fault.exception != INVALID_OPCODE or symptom.kind not in _KINDS:
        return Clear("no BUG() stopped the machine")
    if isinstance(site, BugSite) and site.warning:
        return Clear("the check that failed is a WARN()")
    blamed = suspects(backtrace)
    if not blamed:
        return Undecided("no function on the crash path can be to blame")
    checked = next((f for f in backtrace.frames if f.index == fault.frame.index), blamed[0])
    innocent = blamed[0].index != checked.index and not checked.module
    asked = askers(backtrace, blamed) if checked.module else ()
    steps = [Step(f"BUG() in {title_of(checked)}{where(site)}", _first(symptom, fault.frame))]
    steps += [*_conditions(site), *_explained(log), *_called(blamed, asked, innocent=innocent)]
    found = culprits(asked, "called another module's function whose check failed") or culprits(
        blamed,
        "called the kernel's function whose check failed" if innocent else "its check failed",
        others="called it",
    )
    state = None if asked else wrote_state(writers, blamed)
    if state is not None:
        steps.append(state_step(state))
        found = state_culprits(state, found, prints)
    if innocent and isinstance(warned, WarnedObject) and warned.module == blamed[0].module:
        found = set_up_by(warned, found)
    if not asked:
        found = switched_by(switches, found)
    if blamed[0].module is None:
        told, found = called_before(before, found, (fault.frame,))
        steps += told
    return Finding(
        title=f"BUG in {title_of(checked)}"
        + (f", called for {title_of((asked or blamed)[0])}" if innocent or asked else ""),
        summary=f"A check in {title_of(checked)}{where(site)} failed"
        + (f"; {title_of(blamed[0])} called it." if innocent else "."),
        # A check tells that the state is wrong, not who brought it about.
        certainty=Certainty.POSSIBLE,
        cause_certainty=None if asked else Certainty.INFERRED,
        depth=Depth.SYMPTOM,
        chain=tuple(steps),
        culprits=found,
        advice=("Read the check at its place, and find out who brought the state about.",),
    )


def _explained(log: Log | Missing) -> list[Step]:
    """What the kernel said of it itself."""
    line = log.find(*_EXPLANATIONS) if isinstance(log, Log) else None
    return [] if line is None else [Step(f"the kernel explained: {line.text}", (line,))]


def _called(blamed: Sequence[Frame], asked: Sequence[Frame], *, innocent: bool) -> list[Step]:
    """For whom the check was made.

    :param asked: of another module, who had the checking function called by name
    :param innocent: whether the check is the kernel's, for all
    """
    steps = []
    if innocent:
        claim = f"the check serves all; it was called for {title_of(blamed[0])}"
        steps.append(Step(claim, (blamed[0].pointer,)))
    if asked:
        claim = (
            f"{title_of(blamed[-1])} was called by name from another module, by "
            f"{title_of(asked[0])}: it checks what others ask of it"
        )
        steps.append(Step(claim, (asked[0].pointer,)))
    elif len(blamed) > 1 and not innocent:
        steps.append(Step(f"it was called by {title_of(blamed[1])}", (blamed[1].pointer,)))
    return steps


def _first(symptom: Symptom, frame: Pointer) -> tuple[Pointer, ...]:
    return (symptom.headline, frame) if symptom.headline is not None else (frame,)


def _conditions(site: BugSite | Missing) -> list[Step]:
    """What was compared, where the code tells and the registers prove it."""
    if isinstance(site, Missing) or site.condition is None or not site.values:
        return []
    values = ", ".join(f"{v.register} = {int(v.value):#x} ({int(v.value)})" for v in site.values)
    return [Step(f"it is reached where {site.condition.text}: {values}", tuple(site.values))]
