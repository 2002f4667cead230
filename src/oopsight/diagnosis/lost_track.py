"""Who lost memory, before who allocated it: for oom_by_kernel_leak and warning."""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Culprit, Step
from oopsight.diagnosis.blame import merge
from oopsight.evidence import Missing
from oopsight.evidence.exhaustion.losers import Losers

_MOST_LOSERS = 3
_MOST_FREERS = 2


def with_losers(
    culprits: tuple[Culprit, ...], losers: Losers | Missing | None
) -> tuple[list[Step], tuple[Culprit, ...]]:
    """Those that can have lost it go before those known to have it, unless it is not lost at all.

    :param culprits: as far as known, of one module
    """
    known = _of(culprits, losers)
    if known is None:
        return [], culprits
    module, thing = known.module, culprits[0].object
    found = [
        Culprit(module.name, one.function, None, thing, one.how)
        for one in known.found[:_MOST_LOSERS]
    ]
    freers = [
        Culprit(module.name, name, None, thing, "frees such memory")
        for name in known.frees[:_MOST_FREERS]
    ]
    if known.linked:
        text = f"most of the objects are on a list still, of those that {module.name} makes"
        return [Step(text, (module,))], tuple(merge(culprits, found))
    steps = [Step(f"{one.function} [{module.name}] {one.why}", (module,)) for one in found]
    named = [one for one in culprits if one.function is not None]
    rest = [one for one in culprits if one.function is None]
    return steps, tuple(merge(merge(found, named), freers)) + tuple(rest)


def certainty_of_who(culprits: tuple[Culprit, ...], losers: Losers | Missing) -> Certainty:
    """What code can do is not what it did: only one that cannot but lose it is as good as found."""
    known = _of(culprits, losers)
    if known is None or known.frees or known.linked or not known.whole:
        return Certainty.POSSIBLE
    alone = len(known.found) == len(known.makers) == 1 and known.found[0].always
    return Certainty.INFERRED if alone else Certainty.POSSIBLE


def _of(culprits: tuple[Culprit, ...], losers: Losers | Missing | None) -> Losers | None:
    """The losers, if they are of the module that is to blame."""
    if losers is None or isinstance(losers, Missing) or not culprits:
        return None
    return losers if culprits[0].module == losers.module.name else None
