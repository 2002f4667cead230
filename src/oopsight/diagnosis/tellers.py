"""Whose numbers a function went by that wrote too far: who told it, or made too little room."""

from __future__ import annotations

from oopsight.diagnosis import Culprit
from oopsight.evidence import Missing
from oopsight.evidence.corruption.writer_limits import WriterLimits


def told(
    writer: Culprit | None,
    limits: WriterLimits | Missing,
    written: int,
    *,
    sized: bool,
    whole: bool = True,
    crossed: bool = False,
) -> tuple[list[Culprit], list[Culprit], bool]:
    """Who comes before a writer, who after it, and whether it can have been one of these.

    A caller that allows as much as was written is wrong by itself; one that computes or checks the
    number may be. To check what is merely handed on is the writer's own affair, and so is a loop
    that writes one more than it was told. One that has its limit in its code alone may be right,
    and the memory too small; so it is rather if others go as far.

    :param written: bytes or numbers, at least
    :param whole: whether that is all that was written, and not only what lay beyond the object
    :param crossed: whether it went on into the next object: then that before it may be too small
    :param sized: whether the memory may have been allocated with a size that was computed
    """
    limit = None
    if writer is not None and isinstance(limits, WriterLimits) and writer.module == limits.module:
        limit = limits.of(writer.function or "")
    if limit is None or isinstance(limits, Missing):
        return [], [], False
    before: list[Culprit] = []
    after: list[Culprit] = []
    open_ = [one for one in limit.tellers if one.most is None or (one.compared and not whole)]
    for one in sorted(limit.tellers, key=lambda one: -(one.most or 0)):
        if one.most is None or one in open_:
            why = f"tells {limit.function} how far to write"
            after.append(Culprit(limits.module, one.function, None, None, why))
        elif one.most >= written:
            why = f"allows {limit.function} to write {one.most}"
            (after if limit.one_more else before).append(
                Culprit(limits.module, one.function, None, None, why)
            )
    if limit.by_memory:
        why = f"sets the number in memory by which {limit.function} goes"
        # Who allocates by it as well comes first.
        setters = sorted(limit.set_by, key=lambda name: name not in limits.makers)
        before += [Culprit(limits.module, name, None, None, why) for name in setters]
    if limit.by_memory and sized:
        why = f"computes the size of what it allocates; {limit.function} goes as far as fields tell"
        makers = [name for name in limits.makers if name != limit.function]
        before += [Culprit(limits.module, name, None, None, why) for name in makers]
    if limit.constant and crossed:
        why = f"makes the objects, or has them made, that {limit.function} goes beyond"
        fixed = [name for name in limits.fixed if name != limit.function]
        found = [Culprit(limits.module, name, None, None, why) for name in fixed]
        before, after = (before + found, after) if limit.shared else (before, after + found)
    by_others = any(not one.hands_on for one in open_) or (limit.constant and crossed)
    # Who set the number, or made the memory, may be no function that was looked at.
    by_others = by_others or limit.one_more
    return before, after, bool(before) or by_others or (limit.by_memory and sized)
