"""Rules: facts in, :class:`Finding`, :class:`Clear` or :class:`Undecided` out; one file each.

A rule is the function named after its file under ``rules/``. Its parameters' annotations are the
facts it needs; where a required one is missing, the rule is not called: the answer is
``Undecided``, or ``Clear`` where a crash of this kind has no such fact. The file's docstring is its
documentation, in fixed sections (:data:`SECTIONS`).

Which finding becomes the verdict
---------------------------------
Rules know nothing of each other, and several may find. The verdict is the finding that comes
closest to the cause, in this order:

===  ============================================  =====================================
  1  root cause, shown or inferred                 ``use_after_free``
  2  mechanism, shown or inferred                  ``list_corruption``, ``null_dereference``
  3  root cause that is only possible              ``bit_flip``
  4  mechanism that is only possible
  5  symptom                                       a BUG_ON, a lockup
===  ============================================  =====================================

Within a row the more certain one wins, then the one with the longer chain of proof. Before that, a
finding removes those which it :attr:`~Finding.refines`: a rule for a special case names the rules
for the general one, which then never beat it, however sure they are. A rule that is not sure that
its special case is present says ``Undecided`` and leaves the field to the general one.

The verdict's *kind* is the first crash's :class:`~oopsight.evidence.crash.symptom.Symptom`,
whichever rule wins; a finding's own ``kind`` is for rules which know better than the symptom.
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import ClassVar

from oopsight.cheap import dataclass
from oopsight.diagnosis import rules
from oopsight.evidence import Evidence, Missing, Why
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

SECTIONS = (
    "Finds",
    "Why it happens",
    "How it is decided",
    "When it is wrong",
    "Example",
    "Look next",
)


class Certainty(str, Enum):
    """How far a verdict is carried by the dump."""

    SHOWN = "shown"
    """Every step is read from the dump."""
    INFERRED = "inferred"
    """The steps are read from the dump; one conclusion between them is drawn, and named."""
    POSSIBLE = "possible"
    """It agrees with the dump, and so may other causes."""
    UNKNOWN = "unknown"


class Depth(int, Enum):
    """How close to the cause a finding comes."""

    SYMPTOM = 1
    """How the kernel noticed: a failed check, a lockup. Somebody else may have caused it."""
    MECHANISM = 2
    """What went wrong at that place: a NULL pointer, a broken list. Why it was so stays open."""
    ROOT_CAUSE = 3
    """The mistake itself: an object freed while in use, a module unloaded without cleaning up."""


@dataclass(frozen=True)
class Culprit:
    """Who is to blame, as far as known."""

    module: str | None
    function: str | None
    source: str | None
    object: str | None
    why: str


@dataclass(frozen=True)
class Innocent:
    """A module that was near, and why it is not to blame."""

    module: str
    why: str


@dataclass(frozen=True)
class Step:
    """One sentence of the proof, and what in the dump carries it."""

    claim: str
    because: tuple[Pointer, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The rule found what it looks for."""

    outcome: ClassVar[str] = "found"
    title: str
    kind: Kind | None = None
    """``None``: the symptom's."""
    summary: str
    certainty: Certainty
    """Of all that is claimed: the cause, and who is to blame for it."""
    depth: Depth
    chain: tuple[Step, ...]
    culprits: tuple[Culprit, ...] = ()
    """Most suspect first, each with the reason."""
    innocent: tuple[Innocent, ...] = ()
    advice: tuple[str, ...] = ()
    cause_certainty: Certainty | None = None
    """Of the cause alone, where who is to blame for it is less sure."""
    refines: tuple[str, ...] = ()
    """Names of rules of which this is a special case: where they find too, they are passed over."""


@dataclass(frozen=True)
class Clear:
    """The rule looked, and what it looks for is not there."""

    outcome: ClassVar[str] = "clear"
    why: str


@dataclass(frozen=True)
class Undecided:
    """The rule could not look."""

    outcome: ClassVar[str] = "undecided"
    why: str


Outcome = Finding | Clear | Undecided


def absent(missing: Missing) -> Clear | Undecided:
    """A rule's answer where a fact it needs is not there: it may be there in no such crash."""
    if missing.why is Why.NOT_APPLICABLE:
        return Clear(missing.detail)
    return Undecided(missing.detail)


def rule_modules() -> Iterator[ModuleType]:
    """All rules, by name."""
    for info in pkgutil.iter_modules(rules.__path__):
        yield importlib.import_module(f"{rules.__name__}.{info.name}")


def diagnose(evidence: Evidence) -> dict[str, Outcome]:
    """Apply every rule.

    :return: outcome by the rule's name
    """
    outcomes: dict[str, Outcome] = {}
    for module in rule_modules():
        name = module.__name__.rpartition(".")[2]
        rule = getattr(module, name)
        arguments = evidence.arguments(rule)
        if isinstance(arguments, Missing):
            outcomes[name] = absent(arguments)
            continue
        try:
            outcomes[name] = rule(**arguments)
        except Exception as error:  # noqa: BLE001  # a rule's defect must not cost the report
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcomes[name] = Undecided(
                f"defect in the rule: {type(error).__name__}: {error} (line {last.lineno})"
            )
    return outcomes


_STRENGTH = {
    Certainty.SHOWN: 3,
    Certainty.INFERRED: 2,
    Certainty.POSSIBLE: 1,
    Certainty.UNKNOWN: 0,
}


def rank(finding: Finding) -> tuple[int, int, int]:
    """Order of findings by closeness to the cause; see the top of this file."""
    strength = _STRENGTH[finding.cause_certainty or finding.certainty]
    established = strength >= _STRENGTH[Certainty.INFERRED]
    row = {
        (Depth.ROOT_CAUSE, True): 5,
        (Depth.MECHANISM, True): 4,
        (Depth.ROOT_CAUSE, False): 3,
        (Depth.MECHANISM, False): 2,
    }.get((finding.depth, established), 1)
    return row, strength, len(finding.chain)


def verdict(outcomes: dict[str, Outcome]) -> tuple[str, Finding] | None:
    """The finding that comes closest to the cause, and its rule's name."""
    found = {name: out for name, out in outcomes.items() if isinstance(out, Finding)}
    refined = {general for name, out in found.items() for general in out.refines if general != name}
    # Rules that refine each other in a circle must not leave nothing.
    left = {name: out for name, out in found.items() if name not in refined} or found
    return max(left.items(), key=lambda item: rank(item[1]), default=None)
