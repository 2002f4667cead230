"""A way through a function on which a reference that it took is neither given back nor handed on.

``obj = find(name); if (!obj->online) return -ENODEV; …; obj_put(obj);``: the count never gets to
zero again, and whoever waits for that hangs. The code is followed from where the reference is taken
to each return: with the registers that hold the pointer meanwhile. Where it is given to another
function or stored, it may have been handed on; where it is NULL, none was taken.

Not a fact by itself: :mod:`oopsight.evidence.hangs.reference_leaks` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from oopsight.cheap import dataclass
from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.instructions import (
    ARGUMENTS,
    CALL_CLOBBERS,
    Instruction,
    whole_register,
)
from oopsight.kernel.addresses import signed
from oopsight.kernel.lock_functions import ALL_ACQUIRES, RELEASES

GETS = re.compile(
    r"_*(?:kobject|device|module|bus|of_node|fwnode_handle|nvmem_device|in_dev|neigh|dev)_get"
    r"(?:_unless_zero)?|get_(?:device|pid|file\w*|task_struct|net)|try_module_get|kref_get\w*"
)
"""Functions of the kernel that take a reference to what they are given."""
PUTS = re.compile(
    r"_*(?:\w+_)?put(?:_\w+)?|fput\w*|dput|iput|module_put|\w+_release|\w+_unregister"
)
_MOST_STATES = 4000
_ERRORS = range(-4095, 0)
_LEAST_ERROR = -4096
_HARMLESS = re.compile(
    r"_*(?:printk|dev_\w*printk|dev_(?:err|warn|info)|str\w*cmp|memcmp|ktime_\w+)"
)


class Does(str, Enum):
    """What a call does to a reference to what it is given."""

    TAKES = "takes"
    GIVES = "gives"
    """Back."""
    LOOKS = "looks"
    """It keeps nothing."""
    RETURNS = "returns"
    """A jump there stands for a return."""
    OTHER = "other"


@dataclass(frozen=True)
class Kept:
    """A way out with the reference."""

    taken: int
    """Address of the instruction that took it."""
    returns: int
    """Address of the return."""
    error: int | None
    """The error code that it returns, where the code has that as a number."""


def does(name: str | None) -> Does:
    """By the name of a function of the kernel."""
    if name is None:
        return Does.OTHER
    if name.endswith("_return_thunk"):
        return Does.RETURNS
    if GETS.fullmatch(name):
        return Does.TAKES
    if PUTS.fullmatch(name):
        return Does.GIVES
    if name in ALL_ACQUIRES or name in RELEASES or _HARMLESS.fullmatch(name):
        return Does.LOOKS
    return Does.OTHER


_State = tuple[int, frozenset[str], "int | None"]
"""Where, which registers hold the pointer, and the number in ``eax`` if that is one."""


def kept(code: Function, doing: Callable[[int | None], tuple[Does, bool]]) -> list[Kept]:
    """All ways out with a reference of a function that gives such back on another way.

    :param doing: what the function at an address does, and whether it returns the pointer
    """
    found = []
    for at, row in enumerate(code.instructions):
        holding = _taken(code, at, row, doing)
        if holding:
            found += _followed(code, at, holding, doing)
    return found


def _taken(
    code: Function, at: int, row: Instruction, doing: Callable[[int | None], tuple[Does, bool]]
) -> frozenset[str]:
    """Registers that hold the pointer after an instruction which takes a reference; else none."""
    if row.is_call:
        what, returns = doing(row.target)
        if what is not Does.TAKES:
            return frozenset()
        held = _copies(code, at, "rdi") - CALL_CLOBBERS if not returns else frozenset()
        return held | {"rax"}
    memory = row.operands[0].memory if row.operands else None
    if memory is None or memory.base is None:
        return frozenset()
    if _raises_unless_zero(code, at):
        return frozenset({memory.base, "rax"})
    return frozenset({memory.base}) if raises(row) else frozenset()


def _raises_unless_zero(code: Function, at: int) -> bool:
    """Whether it is the end of ``refcount_inc_not_zero()``: lea rdx, [rax + 1]; lock cmpxchg."""
    row, before = code.instructions[at], code.instructions[at - 1] if at else None
    if row.mnemonic != "lock cmpxchg" or before is None or before.mnemonic != "lea":
        return False
    one = before.operands[1].memory
    return one is not None and (one.base, one.index, one.displacement) == ("rax", None, 1)


def _begin(code: Function, at: int) -> tuple[int, ...]:
    """Where it goes on from there: not where another was faster, and it is tried again."""
    after = code.after[at]
    following = code.instructions[after[0]] if len(after) == 1 else None
    if code.instructions[at].mnemonic == "lock cmpxchg" and following is not None:
        again = code.index(following.target or 0) if following.mnemonic == "jne" else None
        if again is not None:
            return tuple(one for one in code.after[after[0]] if one != again)
    return after


def raises(row: Instruction) -> bool:
    """Whether it is a count of references or users that goes up, atomically."""
    if _of_cpu(row):
        return row.mnemonic == "inc" or (row.mnemonic == "add" and 0 < _by(row) < 1 << 31)
    return row.mnemonic == "lock inc" or (row.mnemonic == "lock add" and 0 < _by(row) < 1 << 31)


def lowers(row: Instruction) -> bool:
    """Whether it is one that goes down."""
    if _of_cpu(row):
        return row.mnemonic in ("dec", "sub") or (
            row.mnemonic == "add" and not 0 < _by(row) < 1 << 31
        )
    return row.mnemonic in ("lock dec", "lock sub") or (
        row.mnemonic in ("lock add", "lock xadd") and not 0 < _by(row) < 1 << 31
    )


def _of_cpu(row: Instruction) -> bool:
    """Whether it changes a count of this CPU's that a pointer leads to, as a ``percpu_ref``."""
    memory = row.operands[0].memory if row.operands and row.operands[0].writes else None
    return memory is not None and memory.segment == "gs" and memory.base not in (None, "rip")


def _by(row: Instruction) -> int:
    number = row.operands[-1].immediate
    return 0 if number is None else signed(number, 32)


def _copies(code: Function, at: int, register: str) -> frozenset[str]:
    """A register and the one that it was just copied from."""
    found = {register}
    for row in reversed(code.instructions[max(at - 4, 0) : at]):
        if row.is_call or row.is_jump:
            break
        if register in row.written:
            source = row.operands[1] if len(row.operands) == 2 else None
            if row.mnemonic == "mov" and source is not None and source.register:
                found.add(whole_register(source.register) or register)
            if row.mnemonic == "lea" and source is not None and source.memory:
                found.add(source.memory.base or register)
            break
    return frozenset(found)


def _followed(
    code: Function,
    taken: int,
    holding: frozenset[str],
    doing: Callable[[int | None], tuple[Does, bool]],
) -> list[Kept]:
    """The ways from where a reference is taken; none of them if no way gives it back."""
    work: list[_State] = [(one, holding, None) for one in _begin(code, taken)]
    seen: set[_State] = set()
    found: list[Kept] = []
    given = False
    while work:
        state = work.pop()
        if state in seen:
            continue
        seen.add(state)
        if len(seen) > _MOST_STATES:
            return []
        at, held, number = state
        row = code.instructions[at]
        returns = row.mnemonic.startswith("ret")
        if lowers(row):
            given = True
            continue
        if row.is_call or (row.is_jump and _leaves(code, row)):
            what, _ = doing(row.target)
            given = given or what is Does.GIVES
            returns = returns or what is Does.RETURNS
            if what is Does.GIVES or (row.is_jump and not returns):
                continue
            if what not in (Does.LOOKS, Does.RETURNS) and held & set(ARGUMENTS):
                continue  # handed on
        elif _stores(row, held):
            continue
        if returns:
            if "rax" not in held:
                error = number if number in _ERRORS else None
                at_, out = code.instructions[taken].address, row.address
                found.append(Kept(at_, out, error))
            continue
        held, number = _after(row, held, number)
        work += [(one, held, number) for one in _ways(code, at, held)]
    return found if given else []


def _leaves(code: Function, row: Instruction) -> bool:
    """Whether a jump leads out of the function."""
    return row.mnemonic == "jmp" and (row.target is None or code.index(row.target) is None)


def _stores(row: Instruction, held: frozenset[str]) -> bool:
    """Whether it stores the pointer anywhere but on the own stack."""
    if row.mnemonic != "mov" or len(row.operands) != 2 or row.operands[0].memory is None:
        return False
    source = whole_register(row.operands[1].register or "")
    return source in held and row.operands[0].memory.base != "rsp"


def _after(
    row: Instruction, held: frozenset[str], number: int | None
) -> tuple[frozenset[str], int | None]:
    """Which registers hold the pointer after an instruction, and the number in ``eax``."""
    if row.is_call:
        return held - set(CALL_CLOBBERS), None
    written = row.written
    if "rax" in written:
        constant = row.operands[1].immediate if row.mnemonic == "mov" else None
        number = None if constant is None else signed(constant, 32)
    rest = held - written
    if row.mnemonic in ("mov", "lea") and len(row.operands) == 2 and written:
        source = row.operands[1]
        name = whole_register(source.register or "")
        if row.mnemonic == "lea" and source.memory is not None:
            name = source.memory.base
        if name in held:
            rest |= written
    return frozenset(rest), number


def _ways(code: Function, at: int, held: frozenset[str]) -> list[int]:
    """Where it goes on: not where the pointer is NULL or an error code."""
    row, ways = code.instructions[at], list(code.after[at])
    if not row.is_jump or not at or len(ways) < 2 or row.target is None:
        return ways
    before = code.instructions[at - 1]
    registers = {whole_register(one.register or "") for one in before.operands} & held
    target = code.index(row.target)
    if not registers:
        return ways
    null = before.mnemonic == "test" and len({one.register for one in before.operands}) == 1
    last = before.operands[-1].immediate
    error = before.mnemonic == "cmp" and last is not None and signed(last) == _LEAST_ERROR
    if (null and row.mnemonic == "je") or (error and row.mnemonic == "ja"):
        return [one for one in ways if one != target]
    if (null and row.mnemonic == "jne") or (error and row.mnemonic == "jbe"):
        return [one for one in ways if one == target]
    return ways
