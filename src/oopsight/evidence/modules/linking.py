"""Which functions of a module put entries into lists, and which take them off.

By the kernel's functions that they call, or by what they store themselves: whoever puts an entry in
stores its address, and in it what was in that place before; whoever takes one off stores what its
first pointer leads to where the second leads, as for a list, a queue of packets, a hash chain.
"""

from __future__ import annotations

from typing import NamedTuple

from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.known_calls import LINKS, UNLINKS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.plumbing import base_name


class Linking(NamedTuple):
    """Names of functions."""

    adds: tuple[str, ...]
    takes_off: tuple[str, ...]


def linking(uses: dict[str, FieldUse], code: list[ModuleFunction]) -> Linking:
    """Who puts entries into lists of any kind, and who takes them off."""
    calls = {base_name(one.name): {base_name(name) for name in one.outside} for one in code}
    return Linking(
        tuple(n for n, use in uses.items() if calls.get(n, set()) & LINKS or puts_in(use)),
        tuple(n for n, use in uses.items() if calls.get(n, set()) & UNLINKS or use.taken_off),
    )


def puts_in(use: FieldUse) -> bool:
    """Whether a function links an entry in before or behind another, by its own stores."""
    stored = [
        (key, base, value)
        for (key, base), (_, value) in zip(use.written, use.pointers, strict=True)
    ]
    kept = {(within(base)[0], value) for _, base, value in stored if base is not None}
    return any(
        value.kind != "number" and (within(value)[0], Value("loaded", key, base)) in kept
        for key, base, value in stored
    )
