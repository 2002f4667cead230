"""What a damaged dump takes away from findings: in it, nothing can be concluded from absence."""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Depth, Finding, Outcome
from oopsight.evidence import Missing
from oopsight.evidence.crash.integrity import Integrity

_CONFIDENT = (Certainty.SHOWN, Certainty.INFERRED)
_NOTHING_FAILED = ("deliberate_panic",)
"""Rules that say so of all else: what the machine was stopped for may lie in a hole."""


def allow_for_damage(
    outcomes: dict[str, Outcome], integrity: Integrity | Missing
) -> dict[str, Outcome]:
    """Lower what findings claim where the dump has holes.

    A mechanism or symptom is the verdict only where no deeper cause was found, and its trace may
    lie in a hole: it is *possible* at most. So is what was inferred: that conclusion mostly stands
    on there being no other. Of the culprits only modules are kept: they were found
    by what is there, while the kernel's own functions are what is left when a module's frame, name
    or object is lost.
    """
    return {
        name: lowered(out, integrity, alone=name in _NOTHING_FAILED)
        if isinstance(out, Finding)
        else out
        for name, out in outcomes.items()
    }


def lowered(finding: Finding, integrity: Integrity | Missing, *, alone: bool = False) -> Finding:
    """One finding, as far as it holds.

    :param alone: whether it holds only if nothing else had happened
    """
    if isinstance(integrity, Missing) or integrity.whole:
        return finding
    certainty = finding.certainty
    stands = finding.depth is Depth.ROOT_CAUSE and certainty is Certainty.SHOWN and not alone
    if certainty in _CONFIDENT and not stands:
        certainty = Certainty.POSSIBLE
    kept = tuple(one for one in finding.culprits if one.module is not None)
    return replace(finding, certainty=certainty, cause_certainty=None, culprits=kept)
