"""An object in use that has nothing of what whoever makes such objects puts into them.

A driver that makes an object stores in it, among what differs, what is always the same: functions
of its own, its variables, texts. An object that is reached as one of these, is allocated, and has
none of that any more is somebody else's by now.
"""

from __future__ import annotations

from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.exhaustion.allocators import allocating
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import Mark
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session

_LEAST = 2
"""Fields without what belongs there."""


def unmade(
    session: Session, modules: Modules, flow: DataFlow | None, backtrace: Backtrace | None
) -> tuple[str, SlabObject] | None:
    """The object that a bad pointer was read from, if it lacks what its makers have put there."""
    way = flow.first if flow is not None else None
    held = way.held_in if way is not None else None
    if flow is None or way is None or held is None or held.slab is None or not flow.of_a_pointer:
        return None
    one, module = held.slab, next((m for m in modules.loaded if m.name == way.module), None)
    if one.state != "allocated" or module is None or not module.taints or len(flow.ways) < 2:
        return None
    # It was reached as such an object, by a pointer to its beginning that was kept.
    if flow.ways[1].ended != "loaded" or flow.ways[1].value != one.address:
        return None
    made, _ = allocating(session, modules, module, one.cache_address, one.size)
    code = inner_functions(session, module)
    uses = uses_of(SessionReader(session), code)
    offset = int(held.address) - one.address
    names = {base_name(maker.function) for maker in made} & uses.keys()
    running = {base_name(f.function) for f in backtrace.crash_path} if backtrace else set()
    if not names or names & running or clears(uses, names, offset):
        return None
    if any(one.key == offset and one.late for name in names for one in uses[name].stores):
        return None  # it is known to others before it has that
    lacking = lacks(_words(session, one), [uses[name].given for name in names], offset)
    if lacking is None:
        return None
    makers = ", ".join(sorted(name for name in names if uses[name].given))
    text = f"nothing is in it of the {lacking} addresses that {makers} stores in such an object"
    return f"{module.name} reads pointers from it, and {text}", one


def clears(uses: dict[str, FieldUse], makers: set[str], offset: int) -> bool:
    """Whether a function wipes what is in use, or stores zero there: then it may be theirs still.

    :param makers: functions that allocate such objects
    """
    others = [use for name, use in uses.items() if name not in makers]
    return any(use.wipes or offset in use.zeroes for use in others)


def lacks(words: dict[int, int], made: list[tuple[Mark, ...]], offset: int) -> int | None:
    """How many fields lack what all makers of such objects store there.

    :param words: the object's content by offsets
    :param made: what each maker stores in its objects
    :param offset: of the field in question
    :return: ``None`` where one does not set that field, or the object has something of it
    """
    told = [marks for marks in made if marks]
    if not told or len(told) < len(made):
        return None
    if any(offset not in {mark.offset for mark in marks} for marks in told):
        return None
    if any(words.get(mark.offset, mark.value) == mark.value for marks in told for mark in marks):
        return None
    fewest = min(len({mark.offset for mark in marks}) for marks in told)
    return fewest if fewest >= _LEAST else None


def _words(session: Session, one: SlabObject) -> dict[int, int]:
    from drgn import FaultError

    try:
        data = session.read(one.address, one.size)
    except FaultError:
        return {}
    step = range(0, len(data) - 7, 8)
    return {at: int.from_bytes(data[at : at + 8], "little") for at in step}
