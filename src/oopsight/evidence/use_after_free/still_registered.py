"""Who of a module makes something known to the kernel, and frees it while it still is.

A notifier, a device, an attribute, a timer, a callback: the kernel keeps the address that it was
told, until it is told to forget it. A function that comes from a call that has told it to one that
frees what lies there, and on that way not past one that takes it back, leaves it with the kernel.
Helpers of the module that take it back count as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from oopsight.cheap import dataclass
from oopsight.evidence.modules.code_values import Handed, Value, root_of, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.handing import Uses
from oopsight.evidence.modules.publishing import COPIES_NAME, HOLDS_OTHERS, KEEPS_DATA, PUBLISHES
from oopsight.evidence.use_after_free.taking_out import LARGEST_MEMBER, ended

_TOLD = 3  # arguments, one of which becomes known: queue_work_on(cpu, queue, work)
_PAIRS = (
    ("add", ("del", "delete", "remove")),
    ("register", ("unregister", "deregister")),
    *(("attach", ("detach",)), ("subscribe", ("unsubscribe",)), ("join", ("leave",))),
    *(("insert", ("erase", "remove", "delete")), ("link", ("unlink",)), ("bind", ("unbind",))),
    *(("connect", ("disconnect",)), ("enroll", ("withdraw",)), ("watch", ("unwatch",))),
)
"""Words in names of functions that make something known, and in those that take it back."""
_LETS_GO = frozenset(["usb_free_urb"])
"""Functions that free what nobody else has a reference to: what is under way stays."""


class Code(Protocol):
    """What the code of a module's functions tells of the ways through it."""

    def onwards(
        self, name: str, site: int, freed_at: int, *, known: bool, past: Collection[int] = ()
    ) -> bool:
        """Whether it comes from an instruction, of a call where that succeeded, to one that frees.

        :param known: also of a call whose result is not looked at
        :param past: addresses that are not come to in between
        """


@dataclass(frozen=True)
class StillRegistered:
    """A function that frees what it has made known."""

    function: str
    by: str
    """The function of the kernel by which it did."""


def still_registered(
    uses: Uses, places: Collection[int], code: Code, others: Collection[str] = ()
) -> tuple[StillRegistered, ...]:
    """Who frees objects that it has made known to the kernel, which still knows them then.

    :param uses: what the module's functions do, by their names
    :param places: where in the object the kernel had its address, as far as that is known
    :param others: functions that free objects of other sizes
    """
    found: dict[str, StillRegistered] = {}
    pairs = paired(uses)
    for name, use in uses.items():
        lets_go = {call.at for call in use.handed if call.name in _LETS_GO}
        for at, value in use.freed if name not in others else ():
            if at in lets_go:
                continue
            root, begin = within(value)
            for call, far in _made_known(use, root, pairs):
                taken = _taken_back(use, uses, root, far, call)
                if _is_there(far - begin, places) and code.onwards(
                    name, call.at, at, known=True, past=taken
                ):
                    found.setdefault(name, StillRegistered(name, call.name))
    return tuple(found.values())


def makes_known(
    use: FieldUse, root: Value | None = None, pairs: Collection[str] = ()
) -> Iterator[tuple[Handed, Value]]:
    """The calls of a function that make something known, and the address that each tells.

    :param root: only what lies in what this leads to
    :param pairs: further functions that make something known
    """
    for call in use.handed:
        if not call.own and (call.name in pairs or PUBLISHES.match(call.name)):
            yield from ((call, one) for one in _told(call) if root in (None, within(one)[0]))


def _told(call: Handed) -> tuple[Value, ...]:
    """Of what a call is given what the kernel may keep."""
    data = KEEPS_DATA.get(call.name)
    if data is not None:
        return call.arguments[data : data + 1]
    other = COPIES_NAME.match(call.name) or HOLDS_OTHERS.match(call.name)
    return () if other else call.arguments[:_TOLD]


def paired(uses: Uses) -> set[str]:
    """Functions of others that a module calls, as well as one that undoes what they do.

    By their names: ``hub_attach()`` and ``hub_detach()``, of another module or of the kernel.
    """
    called = {call.name for use in uses.values() for call in use.handed if not call.own}
    return {
        name
        for name in called
        for begins, ends in _PAIRS
        if begins in name.split("_") and called & {_other(name, begins, one) for one in ends}
    }


def _other(name: str, word: str, by: str) -> str:
    return "_".join(by if one == word else one for one in name.split("_"))


def _made_known(use: FieldUse, root: Value, pairs: set[str]) -> Iterator[tuple[Handed, int]]:
    return ((call, within(one)[1]) for call, one in makes_known(use, root, pairs))


def _is_there(begin: int, places: Collection[int]) -> bool:
    return not places or any(begin <= place < begin + LARGEST_MEMBER for place in places)


def _taken_back(use: FieldUse, uses: Uses, root: Value, far: int, made: Handed) -> set[int]:
    """Addresses of the calls after which the kernel does not know it any more.

    What a callback is handed goes with what that is registered by.
    """
    data = made.name in KEEPS_DATA
    back = {
        at
        for one, distance, _, at in ended(use, uses)
        if one == made.result or (one == root and distance == far) or (data and _in(one, root))
    }
    return back | {at for at, one in use.put if one == root}


def _in(value: Value, root: Value) -> bool:
    return root_of(value) == root_of(root) or value.kind in ("number", "unknown", "computed")
