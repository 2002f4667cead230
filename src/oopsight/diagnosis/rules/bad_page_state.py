"""A page that is not fit to be freed or used.

Finds
    A page whose bookkeeping the page allocator found wrong: still mapped, still counted, still
    somebody's.

Why it happens
    A driver frees a page twice, or frees one that it or somebody else still uses; or its ``struct
    page`` was overwritten.

How it is decided
    The kernel reported "Bad page state". The function that freed the page is the innermost of a
    module, or else of the kernel, on the stack; what was wrong is in the report. A stale
    ``mapping`` that points into a module's memory names that module; a reference count below zero
    tells that the page was freed more than once. Before a helper that frees what several functions
    hand it comes the one that did so; that is *possible* only.

When it is wrong
    The check can come long after the mistake, when the page is handed out again: then who is on the
    stack is innocent, and the verdict only *possible*: if one module alone gives pages back, its
    functions that do so are named, those first that leave the pointer and every number as it was.

Example
    ``dmar_drain()`` frees pages whose ``mapping`` it never cleared.

Look next
    ``kmem -p`` of the page, ``log`` for the dump of it.
"""

from __future__ import annotations

import re

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.diagnosis.places import culprits, suspects, title_of
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.memory.page_freers import PageFreers
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import LogPointer, Pointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name

_HEADLINE = "BUG: Bad page state"
_FREES = (
    "free_pages_prepare",
    "__free_pages_ok",
    "free_unref_page",
    "free_pcp_prepare",
    "__free_pages",
    "free_pages_ok",
    "free_frozen_pages",
    "free_unref_folios",
    "__folio_put",
    "free_page_is_bad",
    "free_the_page",
)
_WORD = re.compile(r"\bf{4}[0-9a-f]{12}\b")
_COUNT = re.compile(r"\brefcount:(-?\d{1,10}) mapcount:")
_REPORT_LINES = 12


def bad_page_state(
    symptom: Symptom,
    backtrace: Backtrace,
    log: Log | Missing,
    modules: Modules | Missing,
    freers: PageFreers | Missing,
) -> Finding | Clear | Undecided:
    """Decide who handed the page back."""
    if symptom.kind is not Kind.MEMORY_CORRUPTION or isinstance(log, Missing):
        return Clear("no page was reported as bad")
    headline = log.find(_HEADLINE)
    if headline is None:
        return Clear("no page was reported as bad")
    report = _report(log, headline)
    because = next((x for x in report if "page dumped because:" in x.text), None)
    reason = because.text.partition("because: ")[2] if because is not None else "its state"
    first: list[Pointer] = [headline, *((because,) if because is not None else ())]
    steps = [Step(f"the page allocator found a page in a bad state: {reason}", tuple(first))]
    count = _count(report)
    if count is not None and int(count[0]) < 0:
        steps.append(
            Step(
                f"its reference count is {count[0]}: it was put while it was free",
                (count[1],),
            )
        )
        reason = f"{reason}, {count[0]}: it was freed more than once"
    owner, line = _owner(report, modules)
    if owner is not None and line is not None:
        steps.append(Step(f"the page still points into module {owner.name}", (line, owner.pointer)))
    freeing = any(f.function.partition(".")[0] in _FREES for f in backtrace.frames)
    blamed = suspects(backtrace) if freeing else ()
    sure = bool(blamed) and blamed[0].module is not None
    who: tuple[Culprit, ...] = ()
    if blamed:
        steps.append(Step(f"{title_of(blamed[0])} freed it", (blamed[0].pointer,)))
        blamed, helped = _callers_first(blamed, freers)
        sure = sure and not helped
        why = f"freed the page, whose state was bad: {reason}"
        who = culprits(blamed, f"had it freed by a helper: {why}" if helped else why)
    elif owner is not None:
        who = (Culprit(owner.name, None, None, None, "the page still points into it"),)
    elif isinstance(freers, PageFreers):
        why = "gives pages back, and the page had been given back once too often, or too early"
        who = tuple(Culprit(freers.module, one, None, None, why) for one in freers.functions[:3])
    agree = owner is None or not sure or owner.name == blamed[0].module
    return Finding(
        title="bad page state" + (f": freed by {title_of(blamed[0])}" if blamed else ""),
        summary=f"A page came back in a bad state: {reason}"
        + (f"; {title_of(blamed[0])} freed it." if blamed else "."),
        certainty=Certainty.INFERRED if sure and agree else Certainty.POSSIBLE,
        depth=Depth.MECHANISM,
        chain=tuple(steps),
        culprits=who,
        advice=("Look at how often and by whom the page is freed, and what still uses it.",),
    )


def _callers_first(
    blamed: tuple[Frame, ...], freers: PageFreers | Missing
) -> tuple[tuple[Frame, ...], bool]:
    """Before a helper that frees what several hand it, who did so; and whether it is a helper."""
    name = base_name(blamed[0].function)
    if isinstance(freers, Missing) or name not in freers.helpers or len(blamed) == 1:
        return blamed, False
    return ((*blamed[1:2], blamed[0], *blamed[2:]) if name in freers.shared else blamed), True


def _count(report: list[LogPointer]) -> tuple[str, LogPointer] | None:
    """The page's reference count as it was printed."""
    found = ((_COUNT.search(line.text), line) for line in report)
    return next(((match[1], line) for match, line in found if match is not None), None)


def _report(log: Log, headline: LogPointer) -> list[LogPointer]:
    index = log.lines.index(headline)
    return list(log.lines[index : index + _REPORT_LINES])


def _owner(
    report: list[LogPointer], modules: Modules | Missing
) -> tuple[Module | None, LogPointer | None]:
    """The module that a raw word of the ``struct page`` leads into."""
    if isinstance(modules, Missing):
        return None, None
    for line in report:
        if not line.text.startswith("raw:"):
            continue
        for word in _WORD.findall(line.text):
            owner = modules.owner(int(word, 16) & ~0x3)
            if owner is not None:
                return owner, line
    return None, None
