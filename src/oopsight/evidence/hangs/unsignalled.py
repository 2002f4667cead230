"""Functions that take an entry off its list and never end the wait for it, where others do so.

A driver keeps what it has to do on a list, and tells whoever waits for an entry when that is done.
One that empties the list, to abort or reset, has to tell as well. Whether the very entry that is
waited for was taken off its list tells the poison that ``list_del()`` leaves.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.signallers import another, ending, signallers
from oopsight.evidence.hangs.waiting import Lock, Wait, Waits, fence, hung
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import (
    adds_to_lists,
    inner_functions,
    reaching,
    takes_off_lists,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer, TaskPointer
from oopsight.plumbing import base_name
from oopsight.session import Session, read_word

_MOST_WAITS = 4
_MOST_DROPS = 3
_LARGEST_OBJECT = 4096
_AROUND = 128
"""Bytes around what is waited for, where that is in no slab object."""
_POISON = struct.pack("<QQ", 0xDEAD000000000100, 0xDEAD000000000122)
"""What ``list_del()`` and ``hlist_del()`` leave in an entry on x86-64."""
_SIZES = {"completion": 32, fence.KIND: 64}
"""Of what is waited for itself, bytes; the list in it is that of those who wait."""
_KERNEL = 1 << 63
_WORD = 8


@dataclass(frozen=True)
class Unsignalled:
    """Of one wait."""

    task: TaskPointer
    module: ModulePointer
    """Whose it is to end it."""
    anothers: bool
    """Whether that is shown, and another module's function waits."""
    ends: tuple[str, ...]
    """Its functions that end such waits, themselves or by what they call."""
    drops: tuple[str, ...]
    """Those that take entries off lists, themselves or by a helper, and end no such wait."""
    taken_off: BytesPointer | None
    """The entry in what is waited for, which was taken off its list."""


@dataclass(frozen=True)
class UnsignalledWaits:
    """Those of all tasks that hang."""

    found: tuple[Unsignalled, ...]

    def of(self, task: int) -> Unsignalled | None:
        """That of a task, by its address."""
        return next((one for one in self.found if one.task.address == task), None)


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> UnsignalledWaits | Missing:
    """Read the code of the modules that are to end the waits."""
    if isinstance(waits, Missing) or not hung(symptom, waits):
        return Missing(Why.NOT_APPLICABLE, "no task hangs")
    asked = [wait for wait in waits.victims if wait.lock is not None and not wait.lock.holders]
    found = [_unsignalled(session, modules, wait) for wait in asked[:_MOST_WAITS]]
    return UnsignalledWaits(tuple(one for one in found if one is not None))


def _unsignalled(session: Session, modules: Modules, wait: Wait) -> Unsignalled | None:
    lock = wait.lock
    if lock is None or lock.address is None:
        return None
    told = another(session, modules, wait)
    state = entry_of(session, modules, lock)
    for module in signallers(session, modules, wait):
        reader = SessionReader(session)
        code = inner_functions(session, module, reader)
        ends = set(ending(code, lock.kind))
        ends |= set(reaching(set(reaching(ends, code)), code))
        drops: tuple[str, ...] = ()
        if ends and state is not False:
            drops = dropping(code, uses_of(reader, code), ends)
            waiting = wait.call.function if wait.call is not None else ""
            drops = tuple(name for name in drops if name != waiting)
        if ends or module is told:
            few = drops if len(drops) <= _MOST_DROPS else ()
            taken = state if isinstance(state, BytesPointer) else None
            found = tuple(sorted(ends))
            return Unsignalled(wait.task, module.pointer, module is told, found, few, taken)
    return None


def dropping(
    code: list[ModuleFunction], uses: Mapping[str, FieldUse], ends: set[str]
) -> tuple[str, ...]:
    """Who takes entries off lists, links them in nowhere and ends no wait.

    Of a helper that those call as well who do end it, who calls it otherwise.

    :param ends: functions that end such waits, themselves or by what they call
    """
    callers = {base_name(one.name): _callers(code, one.name) for one in code}
    takers = [
        base_name(one.name)
        for one in code
        if (takes_off_lists(one) or _unlinks(uses, one)) and not adds_to_lists(one)
    ]
    found: dict[str, None] = {}
    for name in takers:
        if name not in ends:
            shared = bool(callers[name] & ends)
            found |= dict.fromkeys(sorted(callers[name] - ends) if shared else [name])
    return tuple(found)


def _unlinks(uses: Mapping[str, FieldUse], one: ModuleFunction) -> bool:
    use = uses.get(base_name(one.name))
    return use is not None and use.unlinks


def _callers(code: list[ModuleFunction], name: str) -> set[str]:
    return {base_name(one.name) for one in code if name in one.calls and one.name != name}


def entry_of(session: Session, modules: Modules, lock: Lock) -> BytesPointer | bool | None:
    """What the object around what is waited for says of its being on a list.

    :return: the poison of ``list_del()`` in it; ``False`` where it is on a list by an entry, and
        has no other that was taken off; ``None`` where neither is seen
    """
    from drgn import FaultError

    address = int(lock.address or 0)
    slab = owner_of(session, modules, address).slab
    begin, end = address - _AROUND, address + _AROUND
    if slab is not None and slab.size <= _LARGEST_OBJECT:
        begin, end = int(slab.address), slab.end
    try:
        raw = session.read(begin, end - begin)
    except (FaultError, OverflowError):
        return None
    at = next((at for at in range(0, len(raw) - _WORD, _WORD) if raw[at:].startswith(_POISON)), -1)
    if at >= 0:
        return BytesPointer(Address(begin + at), _POISON.hex())
    own = range(address, address + _SIZES.get(lock.kind, 0))
    return False if any(_linked(session, raw, begin, own)) else None


def _linked(session: Session, raw: bytes, begin: int, own: range) -> Iterator[int]:
    """Entries that lead to others, and these back; but not those of who waits."""
    words = struct.unpack(f"<{len(raw) // _WORD}Q", raw[: len(raw) // _WORD * _WORD])
    for number, (following, before) in enumerate(itertools.pairwise(words)):
        at = begin + number * _WORD
        if following < _KERNEL or before < _KERNEL or following == at:
            continue
        if at in own or following in own or before in own:
            continue
        if read_word(session, following + _WORD) == at and read_word(session, before) == at:
            yield at
