"""Whether a function frees something after it has made it known, or only where that failed.

What an error path frees that a failed call leads to has not come to be known to anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.code import MOST_VISITED, Function, leads_to
from oopsight.evidence.flow.instructions import GENERAL, Instruction
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.plumbing import base_name

_FREES = ("kfree", "kvfree", "kmem_cache_free", "vfree")
_NEAR = 6
"""Instructions between a call and the jump that depends on what it returned."""
_CHECKED = {"jns": True, "jbe": True, "js": False, "ja": False}
"""Jumps on the result's sign, or on whether it is an error code: whether where there is none."""


class CodeWays:
    """The same questions about the functions of a module, by their names in the source."""

    def __init__(self, calls: Calls, functions: Iterable[ModuleFunction]) -> None:
        self._calls = calls
        whole = [one for one in functions if ".cold" not in one.name]
        self._functions = {base_name(one.name): one for one in whole}

    def after(self, name: str, called: str) -> bool:
        """Whether a function frees after a call that succeeded."""
        one = self._functions.get(name)
        return one is not None and bool(
            frees_after(self._calls, one, lambda n: base_name(n).removesuffix("_noprof") == called)
        )

    def onwards(
        self, name: str, site: int, freed_at: int, *, known: bool, past: Collection[int] = ()
    ) -> bool:
        """Whether a function comes from an instruction to one that frees.

        :param site: its address; of a call, where that succeeded
        :param known: also of a call whose result is not looked at
        :param past: addresses that it does not come to in between
        """
        one = self._functions.get(name)
        code = self._calls.function(one.start) if one is not None else None
        at, free = (code.index(site), code.index(freed_at)) if code is not None else (None, None)
        if code is None or at is None or free is None:
            return known
        begin = _succeeded(code, at) if code.instructions[at].is_call else at
        begin = at if begin is None and known else begin
        stops = {code.index(one) for one in past}
        return begin is not None and begin not in stops and _leads(code, begin, {free}, stops)

    def past(self, name: str, sites: set[int], frees: set[int]) -> bool:
        """Whether it comes past all of some calls to one of those that free, by their addresses."""
        one = self._functions.get(name)
        return one is not None and passes_by(self._calls, one.start, sites, frees)


def frees_after(
    calls: Calls,
    one: ModuleFunction,
    makes_known: Callable[[str], bool],
    helpers: Collection[str] = (),
) -> bool | None:
    """Whether a function can come from such a call that succeeded to one that frees.

    ``None`` where its code cannot be read.

    :param makes_known: whether a function of the kernel does so, by its name
    :param helpers: functions of the module that free what they are given
    """
    code = calls.function(one.start)
    if code is None:
        return None
    named = [(at, _called(calls, row)) for at, row in enumerate(code.instructions)]
    free = [
        at
        for at, name in named
        if name.lstrip("_").startswith(_FREES) or base_name(name) in helpers
    ]
    known = (_succeeded(code, at) for at, name in named if makes_known(name))
    return any(
        leads_to(code, begin, at) or begin == at
        for begin in known
        if begin is not None
        for at in free
    )


def passes_by(calls: Calls, start: int, sites: set[int], frees: set[int]) -> bool:
    """Whether a way from a function's beginning leads past all of some calls to one that frees.

    :param start: address of the function
    :param sites: addresses of the calls
    :param frees: addresses of those that free
    """
    code = calls.function(start)
    stops: set[int | None] = {None}
    if code is not None:
        stops = {code.index(site) for site in sites}
    if code is None or None in stops:
        return False
    return _leads(code, 0, {code.index(site) for site in frees}, stops)


def _leads(code: Function, begin: int, ends: set[int | None], stops: set[int | None]) -> bool:
    """Whether one instruction is one of some others, or leads there past all that are to stop."""
    seen: set[int | None] = {begin, *stops}
    work = [begin]
    while work and len(seen) < MOST_VISITED:
        at = work.pop()
        if at in ends:
            return True
        new = {following for following in code.after[at] if following not in seen}
        seen |= new
        work += new
    return False


def _called(calls: Calls, row: Instruction) -> str:
    """The function that an instruction calls or jumps to by its name; else empty."""
    known = calls.reader.function(row.target) if row.target is not None else None
    return known[0] if known is not None and known[1] == row.target else ""


def _succeeded(code: Function, call: int) -> int | None:
    """Where a function goes on if a call succeeded; ``None`` if what it returned is not tested.

    It returned no error code: zero, or a pointer.
    """
    pointer = False
    for at in range(call + 1, min(call + 1 + _NEAR, len(code.instructions))):
        row = code.instructions[at]
        if row.mnemonic == "test":
            # A pointer has all of a register, and is none where it failed.
            pointer = row.operands[0].register in GENERAL
        if row.mnemonic in ("je", "jne"):
            jumps = (row.mnemonic == "jne") == pointer
        elif row.mnemonic in _CHECKED:
            jumps = _CHECKED[row.mnemonic]
        else:
            continue
        return at + 1 if not jumps else code.index(row.target) if row.target is not None else None
    return None
