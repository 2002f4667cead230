"""The member of an object that a module handed to the kernel, which found NULL in it.

A timer, a wait queue, whatever has to be set up first: it cannot be compared with NULL, as a
pointer can, so who handed it on is less to blame than who did not have it set up.
"""

from __future__ import annotations

from typing import NamedTuple

from oopsight.evidence.flow.ways import FlowStep, Way
from oopsight.evidence.hangs.stacks import COLD
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import text_key
from oopsight.evidence.modules.known_calls import SETS_UP
from oopsight.evidence.modules.ownership import Ownership
from oopsight.kernel import skipped_store
from oopsight.kernel.pointer_fate import RETURNS
from oopsight.kernel.skipped_store import unfinished
from oopsight.plumbing import base_name

_LARGEST_MEMBER = 1024
_WITH_POINTER = 2
"""Ways: that of what was read, and that of the pointer through which it was."""


class Member(NamedTuple):
    """What was handed on."""

    begins: frozenset[int]
    """Where it begins, from what the functions of the module have a pointer to."""
    inside: int
    """How far in it the NULL pointer is."""

    def set_by(self, use: FieldUse) -> bool:
        """Whether a function sets it up, or has the kernel do so."""
        return any(
            begin + self.inside in use.sets
            or any(begin <= at <= begin + self.inside for at in use.set_up)
            for begin in self.begins
        )


def handed_member(ways: tuple[Way, ...], module: str, uses: dict[str, FieldUse]) -> Member | None:
    """The member that the kernel's function had from the module when it read NULL from it."""
    way = ways[0]
    if way.ended != "loaded" or way.module is not None or len(ways) < _WITH_POINTER:
        return None
    step = next((one for one in ways[1].passed_by if one.module is not None), None)
    if step is None or step.module != module:
        return None
    held, offset = way.held_in, None
    inside = text_key(way)
    if held is not None and held.slab is not None and step.value is not None:
        inside = int(held.address) - int(step.value)
        offset = int(step.value) - int(held.slab.address)
    begins = frozenset(one for one in (offset, *_distance(step, uses)) if one and one > 0)
    if inside is None or not 0 <= inside < _LARGEST_MEMBER or not begins:
        return None
    return Member(begins, inside)


def _distance(step: FlowStep, uses: dict[str, FieldUse]) -> list[int]:
    """How far from what it has a pointer to the member is that a function hands on."""
    use = uses.get(base_name(step.function))
    call = next(
        (one for one in (use.handed if use else ()) if one.at == step.instruction.address), None
    )
    return [within(value)[1] for value in call.arguments[:1]] if call is not None else []


def leaving_unfinished(
    code: Ownership, member: Member, uses: dict[str, FieldUse]
) -> tuple[str, ...]:
    """Functions that have it set up in what they were given, and on some way return without."""

    def does(target: int | None, register: str) -> str | None:
        if SETS_UP.search(code.called(target)):
            return skipped_store.STORES
        return skipped_store.RETURNS if code.does(target, register) == RETURNS else None

    found = []
    for one in code.functions:
        use = uses.get(base_name(one.name))
        asked = COLD not in one.name and use is not None and member.set_by(use)
        function = code.code(one) if asked else None
        if function is not None and unfinished(function, member.begins, member.inside, does):
            found.append(base_name(one.name))
    return tuple(dict.fromkeys(found))
