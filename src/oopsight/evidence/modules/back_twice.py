"""Who gives the same back twice on one way, and who has others give back what was not taken.

An error path gives back what the way out gives back as well; what was put is freed outright. And
who looks an object up takes no reference to it, although those that call it give one back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_ways import reached
from oopsight.evidence.modules.handing import Uses, freed, got, put
from oopsight.evidence.use_after_free.taking_out import ENDS, ended
from oopsight.plumbing import base_name

_LOOKS = re.compile(
    r"_*(?:(?:raw_)?(?:spin|read|write|rcu_read)_(?:un)?lock|mutex_(?:un)?lock"
    r"|(?:down|up)_(?:read|write)|mem|str"
    r"|idr_find|idr_get_next|xa_load|xa_find|radix_tree_lookup|rht|rhashtable_lookup|rhltable"
    r"|jhash|full_name_hash|rb_(?:first|next|last|prev)|printk|rcu_read)"
)
"""Functions of the kernel by which somebody looks for what is there, and has no reference to it."""
_PUTS_ITS_DEVICE = re.compile(r"(?:platform_)?device_unregister")
_Back = tuple[int, Value, bool]
"""Where in the code, what, and whether it is freed outright."""


def giving_back_twice(uses: Uses) -> tuple[str, ...]:
    """Functions that give back, or free, on one way what they have given back there before."""
    return tuple(name for name, use in uses.items() if _twice(use, uses))


def _twice(use: FieldUse, uses: Uses) -> bool:
    back = list(_given_back(use, uses))
    keeps = got(use, uses) | {*use.taken}
    calls = {call.at for call in use.handed}
    # What is freed where a count fell to zero, with all that it holds, is freed once.
    counts = {root for at, root, _ in back if at not in calls}
    for at, root, frees in back:
        if root in keeps or (root.kind == "loaded" and (root.number, root.of) in use.written):
            continue
        counted = root in counts or any(_comes_of(root, one) for one in counts)
        for later, other, outright in back:
            if other != root or later == at or ((frees or outright) and counted):
                continue
            by_right = not (frees or outright) and (
                _taken_out(root, use, uses) or _changes(use, uses, root, at, later)
            )
            if not by_right and _leads(use, root, at, later):
                return True
    return False


def _given_back(use: FieldUse, uses: Uses) -> Iterator[_Back]:
    """What is put or freed, by the function itself or by what it hands that to; each call once."""
    found: dict[tuple[int, Value], bool] = {}
    for root, far, _, at in freed(use, uses):
        if not far:
            found[at, root] = True
    for root, _, _, at in put(use, uses):
        found[at, root] = False
    for call in use.handed:
        if not call.own and _PUTS_ITS_DEVICE.fullmatch(call.name):
            found[call.at, within(call.arguments[0])[0]] = False
    yield from ((at, root, outright) for (at, root), outright in found.items())


def _taken_out(root: Value, use: FieldUse, uses: Uses) -> bool:
    """Whether a function takes something out of where others find it, or stores a zero elsewhere.

    What a list or table had a reference for is given back with that.
    """
    gone = {one for one, *_ in ended(use, uses)} | {one for one, _ in use.taken_off}
    if root in gone or (root.called is not None and ENDS.search(root.called)):
        return True
    for (_, value), (_, base) in zip(use.pointers, use.written, strict=True):
        into = within(base)[0] if base is not None else None
        elsewhere = value == Value("number", 0) and into != root
        if elsewhere or (into is not None and _comes_of(into, root)):
            return True
    return False


def _comes_of(value: Value, root: Value) -> bool:
    """Whether something was loaded through a pointer, or within what that points to."""
    step = value.of
    while step is not None and step != root:
        step = step.of
    return step is not None


def _changes(use: FieldUse, uses: Uses, root: Value, begin: int, end: int) -> bool:
    """Whether a function changes anything before it gives back first, or from then on till last.

    It may end what had a reference.
    """
    if use.ways is None:
        return True
    own = [
        call.at
        for call in use.handed
        if call.own
        and call.result != root
        and root in (within(value)[0] for value in call.arguments[:3])
        and (helper := uses.get(base_name(call.name))) is not None
        and (helper.sets or helper.zeroes)
    ]
    written = [use.ways.ends.get(at, at) for at in use.changed_at]
    between = reached(use.ways, use.ways.onwards.get(begin, ()), ())
    for at in (*own, *written):
        onwards = reached(use.ways, use.ways.onwards.get(at, ()), ())
        if begin in onwards or (at in between and end in onwards):
            return True
    return False


def _leads(use: FieldUse, root: Value, begin: int, end: int) -> bool:
    """Whether a way leads from one place to another on which nothing new comes to be had."""
    if use.ways is None:
        return False
    got_at = {call.at for call in use.handed if call.result == root}
    calls = {call.at for call in use.handed}
    # Of an atomic instruction it is told where that ends.
    begin, end = (at if at in calls else use.ways.ends.get(at, at) for at in (begin, end))
    after = reached(use.ways, use.ways.onwards.get(begin, ()), got_at)
    # What is read in a loop is another each time.
    again = root.kind not in ("returned", "argument") and begin in after
    return not again and end in after


def getting_unheld(uses: Uses) -> tuple[str, ...]:
    """Functions that take no reference to what they return, where their callers give one back."""
    found: dict[str, None] = {}
    for use in uses.values():
        keeps = got(use, uses) | {*use.taken}
        for root, *_ in put(use, uses):
            call = next((one for one in use.handed if one.result == root and one.own), None)
            getter = uses.get(base_name(call.name)) if call is not None else None
            if call is None or getter is None or root in keeps or _taken_out(root, use, uses):
                continue
            name = base_name(call.name)
            if not _holds(getter, uses, {name}):
                found[name] = None
    return tuple(found)


def _holds(use: FieldUse, uses: Uses, seen: Collection[str]) -> bool:
    """Whether what a function returns may have come with a reference: taken, new, or taken out."""
    if use.counts or use.starts or use.taken_off or use.cleared or use.unlinks or got(use, uses):
        return True
    for call in use.handed:
        if not call.own and not _LOOKS.match(call.name):
            return True
        inner = uses.get(base_name(call.name)) if call.own else None
        if inner is None or base_name(call.name) in seen:
            continue
        if _holds(inner, uses, {*seen, base_name(call.name)}):
            return True
    return False
