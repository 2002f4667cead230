"""A return to where no code is: the return address on the stack had been written over.

A call leaves the address to return to on top of the stack; where the machine goes astray and none
is there, it was sent by a ``ret``. The function that returned is gone with its frame, but its
caller's frame begins there: of the functions near, those whose frame, at the call of another, is
just as large as what lies between there and the next return address.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, ends_in_call
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_WORD = 8
_MOST_WORDS = 512
_MOST_MODULES = 4
_LARGEST = 16384
_LONGEST_CALL = 8
_ENDBR = 4


@dataclass(frozen=True)
class Returner:
    """A function that can have returned there."""

    module: str
    function: str
    caller: str
    """The function that called it, whose frame is as large as what is there."""
    seen: bool
    """Whether the call's return address is elsewhere on the stack, from before."""


@dataclass(frozen=True)
class BadReturn:
    """Where the machine returned to, and who can have."""

    top: BytesPointer
    """The top of the stack, where a call would have left an address to return to."""
    returners: tuple[Returner, ...]
    """Those whose call has been there before first."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules | Missing
) -> BadReturn | Missing:
    """Look whether a call led there, and if not, who can have returned."""
    rsp = backtrace.register("rsp")
    if fault.address is None or fault.address != fault.pc or rsp is None:
        return Missing(Why.NOT_APPLICABLE, "the machine was not sent to where no code is")
    if isinstance(modules, Missing):
        return modules
    reader = SessionReader(session)
    words = _words(reader, int(rsp))
    if len(words) < 2:
        return Missing(Why.UNREADABLE, "the stack is not in the dump")
    if _returns_to(reader, words[0]):
        return Missing(Why.NOT_APPLICABLE, "a call led there: its return address is on the stack")
    top = BytesPointer(rsp, words[0].to_bytes(_WORD, "little").hex())
    found: dict[tuple[str, str], Returner] = {}
    for module in _near(modules, backtrace, words):
        for one in _returners(reader, module, words):
            key = (one.module, one.function)
            if key not in found or (one.seen and not found[key].seen):
                found[key] = one
    return BadReturn(top, tuple(sorted(found.values(), key=lambda one: not one.seen)))


def _words(reader: SessionReader, start: int) -> list[int]:
    """The stack from its top outwards, as far as it can be read."""
    found = []
    for number in range(_MOST_WORDS):
        raw = reader.read(start + _WORD * number, _WORD)
        if raw is None:
            break
        found.append(int.from_bytes(raw, "little"))
    return found


def _returns_to(reader: SessionReader, word: int) -> bool:
    """Whether a word is an address behind a call."""
    if reader.function(word) is None:
        return False
    before = reader.read(word - _LONGEST_CALL, _LONGEST_CALL)
    return before is not None and ends_in_call(before)


def _near(modules: Modules, backtrace: Backtrace, words: list[int]) -> list[Module]:
    """Modules that registers and the stack lead to: it was their code that ran."""
    values = [int(value) for _, value in backtrace.registers] + words
    found: dict[str, Module] = {}
    for value in values:
        owner = modules.owner(value) if modules.in_area(value) else None
        if owner is not None:
            found.setdefault(owner.name, owner)
    return list(found.values())[:_MOST_MODULES]


def _returners(reader: SessionReader, module: Module, words: list[int]) -> Iterator[Returner]:
    for outer, start, raw in machine_code(reader, module):
        if len(raw) > _LARGEST:
            continue
        code = function(outer, (start, raw))
        for row, depth in zip(code.instructions, code.depth, strict=True):
            if not row.is_call or row.target is None or depth is None:
                continue
            place = depth // _WORD - 1  # of the caller's own return address
            called = reader.function(row.target) if module.holds(row.target) else None
            if called is None or not 0 < place < len(words) or depth % _WORD:
                continue
            if _called(reader, words[place], code.start):
                name, caller = base_name(called[0]), base_name(code.name)
                yield Returner(module.name, name, caller, row.end in words)


def _called(reader: SessionReader, returns_to: int, start: int) -> bool:
    """Whether the call that returns there can have been one of a function."""
    if not _returns_to(reader, returns_to):
        return False
    raw = reader.read(returns_to - 5, 5)
    if raw is None or raw[0] != 0xE8:
        return True  # through a pointer
    target = returns_to + int.from_bytes(raw[1:], "little", signed=True)
    named = reader.function(target)
    thunk = named is not None and named[0].startswith("__x86_indirect_")
    return thunk or target in (start, start + _ENDBR)
