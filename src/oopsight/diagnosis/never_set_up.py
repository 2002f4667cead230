"""A list's head, or what has one in it, that nobody set up: the proof, and who should have."""

from __future__ import annotations

from oopsight.diagnosis import Culprit, Step
from oopsight.evidence import Missing
from oopsight.evidence.corruption.empty_head import EmptyHead
from oopsight.evidence.modules.doers import Doers


def never_set_up(head: EmptyHead) -> list[Step]:
    """What the head holds, where it is known."""
    if head.owner is None or head.memory is None:
        return []
    claim = (
        f"the code takes {head.address} ({head.owner.detail}) for the head of a list: both "
        "pointers there are NULL, which an empty list's head never holds"
    )
    return [Step(claim, (head.memory,))]


def should_have_set_up(head: EmptyHead | Missing, doers: Doers | Missing) -> list[Culprit]:
    """Whose task it was to set up the list's head, or who has filled it with zeros since.

    The latter first, where nobody is known who makes such an object.
    """
    if isinstance(head, Missing):
        return []
    wiped = "fills memory in use with zeros, as the list's head is"
    wipes = doers.wipes if isinstance(doers, Doers) and doers.module == head.module else ()
    wipers = [Culprit(head.module, name, None, None, wiped) for name in wipes]
    if head.by_init:
        why = "no other function of the module sets up such heads"
        return [*wipers, Culprit(head.module, "init_module", None, None, why)]
    why = "makes what has the list's head, or sets up others in it"
    return [*(Culprit(head.module, name, None, None, why) for name in head.functions), *wipers]
