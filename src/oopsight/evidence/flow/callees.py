"""Functions that were called and have returned: where in them what they returned came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oopsight.evidence.flow.code import Function
from oopsight.evidence.flow.instructions import ARGUMENTS, CALLEE_SAVED, Instruction
from oopsight.evidence.flow.moves import Context
from oopsight.plumbing import why_plumbing

if TYPE_CHECKING:
    from oopsight.evidence.flow.values import Values

MOST_NESTED = 2
"""Calls within calls."""
_MOST_RETURNS = 8
_ENDBR = 4
_RETURN_THUNK = "return_thunk"  # __x86_return_thunk, srso_return_thunk …

Functions = Callable[[int], Function | None]
"""The function that holds an address."""


def no_functions(_: int) -> Function | None:
    """None is known."""
    return None


def returns(values: Values, context: Context, at: int, functions: Functions) -> list[Context]:
    """Contexts of the function that a direct call called, one for each of its ends.

    Their registers are those that it can have had then: none but what it must preserve.

    :param context: of the caller
    :param at: index of the call there
    """
    target = context.function.instructions[at].target
    code = None if target is None or context.nested >= MOST_NESTED else functions(target)
    if code is None or target not in (code.start, code.start + _ENDBR):
        return []
    # What serves any caller is known by what it does, and looked into it is a maze.
    if why_plumbing(code.name) is not None:
        return []
    found: dict[str, int] = {}
    for name in (*ARGUMENTS, *CALLEE_SAVED):
        value = values.value(context, name, at)
        if value is not None:
            found[name] = value
    calling = Context(
        function=context.function,
        at=at,
        registers=found,
        base=context.base,
        frame=context.frame,
        caller=context.caller,
        segments=context.segments,
        nested=context.nested,
    )
    ends = [index for index, row in enumerate(code.instructions) if _is_return(values, row)]
    return [
        Context(
            function=code,
            at=end,
            registers={name: found[name] for name in CALLEE_SAVED if name in found},
            base=None,
            frame=context.frame,
            caller=lambda: calling,
            segments=context.segments,
            nested=context.nested + 1,
        )
        for end in ends[:_MOST_RETURNS]
    ]


def _is_return(values: Values, row: Instruction) -> bool:
    if row.mnemonic == "ret":
        return True
    found = None
    if row.mnemonic == "jmp" and row.target is not None:
        found = values.reader.function(row.target)
    return found is not None and _RETURN_THUNK in found[0]
