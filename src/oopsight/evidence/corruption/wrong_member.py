"""A callback that takes what it gets for another member or object, as container_of() lets it.

The kernel hands a callback the member of an object that names it: a work item, a timer. Where the
object has two such members, and what is right from the one is nonsense from the other, the callback
has counted from the wrong one. Where nonsense is read through a pointer to a place within an
object, and a pointer lies as far from its beginning, whoever made the callback known was to give it
the object itself. Where it is made known with a member of two kinds of objects, at different
distances, it can be right for one only: who did so with the kind that it met is to blame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Owner, Reference, SlabObject, neighbour, owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.module_roles import inner_functions, tables_with
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.publishing import PUBLISHES
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.addresses import signed
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oopsight.evidence.flow.ways import Way

_FARTHEST = 64
"""From a member's beginning to the pointer in it that names a callback."""
_OTHERS = (1, -1, 2, -2, 3, -3, 4, -4)
"""Places in the slab."""


@dataclass(frozen=True)
class WrongMember:
    """The callback, and the two places."""

    module: str
    function: str
    given: Address
    """The member that names it."""
    other: Address
    """The one that it counts from."""
    other_function: str
    """What that names."""
    read: Address
    """Where it read the bad value."""
    meant: Address
    """What lies as far from the other member."""
    memory: BytesPointer
    """The pointer there; of a member of another kind of object the nonsense."""
    givers: tuple[str, ...] = ()
    """Who has it called with what it gets, where it has not itself counted from another member."""


def collect(session: Session, flow: DataFlow, modules: Modules) -> WrongMember | Missing:
    """Look at what a callback was handed, and at the object that it is in."""
    none = Missing(Why.NOT_APPLICABLE, "no callback read the bad pointer from its own object")
    held = flow.first.held_in
    one = held.slab if held is not None else None
    if held is None or one is None or one.freed or not flow.of_a_pointer:
        return none
    if flow.bad is None or flow.bad.is_memory or len(flow.ways) < 2:
        return none
    inside = {int(ref.value): ref for ref in one.refers}
    for function, given in _handed(flow.first.function, flow.ways[1]):
        ref = _naming(session, one, function)
        # A member names its callback behind its beginning, and not far from there.
        if ref is None or not 0 <= one.address + ref.offset - given < _FARTHEST:
            continue
        for other in inside.values():
            found = _as_from(session, modules, one, held.address, given, ref, other)
            if found is not None:
                return found
    module = next((m for m in modules.loaded if m.name == flow.first.module and m.taints), None)
    if module is None:
        return none
    giving = _Giving(session, modules, module)
    return giving.place_within(flow, held, one) or giving.other_kind(flow, held, one) or none


class _Giving:
    """What the functions of a module have its callbacks called with."""

    def __init__(self, session: Session, modules: Modules, module: Module) -> None:
        reader = SessionReader(session)
        self._session = session
        self._modules = modules
        self._module = module
        self._code = inner_functions(session, module, reader)
        self._uses = uses_of(reader, self._code)

    def place_within(self, flow: DataFlow, held: Owner, one: SlabObject) -> WrongMember | None:
        """Where the object's beginning was meant, and a place within it was handed over."""
        way, given = flow.first, flow.ways[1].value
        far = int(given) - int(one.address) if given is not None else 0
        meant = int(held.address) - far
        if given is None or not 0 < far < one.size or not one.address <= meant <= one.end - 8:
            return None
        value = _pointer_at(self._session, self._modules, meant)
        if value is None or self._others_have_one(one, int(held.address)):
            return None
        path = {base_name(way.function), *(base_name(one.function) for one in way.steps)}
        names = tuple(self._handing(far, path))
        if not names:
            return None
        return WrongMember(
            module=self._module.name,
            function=base_name(way.function),
            given=given,
            other=one.address,
            other_function="",
            read=held.address,
            meant=Address(meant),
            memory=BytesPointer(Address(meant), value.to_bytes(8, "little").hex()),
            givers=names,
        )

    def _others_have_one(self, one: SlabObject, read: int) -> bool:
        """Whether other objects of the kind, as far as that can be told, have a pointer there."""
        refers = one.refers
        return bool(refers) and _is_pointer_in_others(
            self._session, self._modules, one, read, refers
        )

    def _handing(self, far: int, path: set[str]) -> list[str]:
        """Who makes something known with such a place and a table of what was called.

        Or the only one who makes that known at all.
        """
        starts = {one.start for one in self._code if base_name(one.name) in path}
        starts |= {one.start for one in self._code if one.refers & starts}
        tables = (tables_with(self._session, self._module, start) for start in starts)
        starts = starts.union(*tables)
        found: dict[str, bool] = {}
        for name, use in self._uses.items():
            for call in use.handed:
                if call.own or not PUBLISHES.match(call.name):
                    continue
                numbers = {one.number for one in call.arguments if one.kind == "number"}
                if numbers & starts:
                    known = far in map(_distance, call.arguments)
                    found[name] = found.get(name, False) or known
        # Of a list's cursor the code does not tell how far it is from the object's beginning.
        return [name for name, known in found.items() if known or len(found) == 1]

    def other_kind(self, flow: DataFlow, held: Owner, one: SlabObject) -> WrongMember | None:
        """Where its member is not that of the objects which others have the callback called for."""
        memory = flow.first.end.memory if flow.first.end is not None else None
        for name, given in _handed(flow.first.function, flow.ways[1]):
            start = next((f.start for f in self._code if base_name(f.name) == name), None)
            far = given - int(one.address)
            near = (r for r in one.refers if 0 <= r.offset - far < _FARTHEST)
            ref = next((r for r in near if int(r.value) == start), None)
            if start is None or ref is None or memory is None:
                continue
            right, wrong = self._naming(start, far, ref.offset)
            if right and wrong:
                return WrongMember(
                    module=self._module.name,
                    function=name,
                    given=Address(given),
                    other=Address(given),
                    other_function="",
                    read=held.address,
                    meant=held.address,
                    memory=memory,
                    givers=wrong,
                )
        return None

    def _naming(self, start: int, far: int, named: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Who has the callback called with a member at another distance, and who at this one.

        :param start: of the callback
        :param far: of the member from the object's beginning
        :param named: of the pointer to the callback, as the code sets it itself
        """
        right: list[str] = []
        wrong: list[str] = []
        callback = Value("number", start)
        for name, use in self._uses.items():
            calls = [call.arguments for call in use.handed if callback in call.arguments[1:]]
            places = {(_distance(given[0]), far) for given in calls}
            stores = zip(use.pointers, use.written, strict=True)
            places |= {
                (within(base)[1] + signed(key), named)
                for (key, value), (_, base) in stores
                if value == callback and base is not None
            }
            if any(at == wanted for at, wanted in places):
                wrong.append(name)
            if any(at not in (None, wanted) for at, wanted in places):
                right.append(name)
        return tuple(right), tuple(wrong)


def _distance(value: Value) -> int | None:
    """How far a place is from the beginning of what the code has a pointer to."""
    root, distance = within(value)
    return None if root.kind == "number" else distance


def _handed(inner: str, way: Way) -> Iterator[tuple[str, int]]:
    """Functions on a way that were handed its value, and what they were handed."""
    for step in way.steps:
        if step.how == "passed" and step.value is not None:
            yield base_name(inner), int(step.value)
        inner = step.function


def _naming(session: Session, one: SlabObject, function: str) -> Reference | None:
    """The pointer to a function that lies in an object."""
    return next((r for r in one.refers if _function(session, r) == function), None)


def _function(session: Session, ref: Reference) -> str | None:
    """The function that a pointer leads to the very beginning of."""
    try:
        symbol = session.prog.symbol(int(ref.value))
    except LookupError:
        return None
    return base_name(symbol.name) if symbol.address == ref.value else None


def _as_from(
    session: Session,
    modules: Modules,
    one: SlabObject,
    read: Address,
    given: int,
    ref: Reference,
    other: Reference,
) -> WrongMember | None:
    """What the callback would have read, had it been handed another member of the object."""
    function, names = _function(session, ref), _function(session, other)
    far = other.offset - ref.offset
    meant = int(read) + far
    if function is None or names in (None, function) or other.module != ref.module:
        return None
    if not one.address <= meant <= one.end - 8 or not one.address <= given + far:
        return None
    value = _pointer_at(session, modules, meant)
    if value is None:
        return None
    if _is_pointer_in_others(session, modules, one, int(read), (ref, other)):
        return None
    return WrongMember(
        module=ref.module,
        function=function,
        given=Address(given),
        other=Address(given + far),
        other_function=names or "",
        read=read,
        meant=Address(meant),
        memory=BytesPointer(Address(meant), value.to_bytes(8, "little").hex()),
    )


def _pointer_at(session: Session, modules: Modules, address: int) -> int | None:
    """The pointer to memory that lies at an address, if one does."""
    value = read_word(session, address)
    if value is None or value % 8 or not owner_of(session, modules, value).is_memory:
        return None
    return value


def _is_pointer_in_others(
    session: Session,
    modules: Modules,
    one: SlabObject,
    read: int,
    refs: tuple[Reference, ...],
) -> bool:
    """Whether other objects of the kind have a pointer where the nonsense is: then it is damage."""
    for steps in _OTHERS:
        like = neighbour(session, modules, one, steps)
        if like is None or like.state != "allocated":
            continue
        begin = int(like.address)
        if any(read_word(session, begin + ref.offset) != ref.value for ref in refs):
            continue
        value = read_word(session, read - int(one.address) + begin)
        if value and owner_of(session, modules, value).is_memory:
            return True
    return False
