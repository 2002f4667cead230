"""Which functions of a module write to the field that a failed check found wrong."""

from __future__ import annotations

from collections import Counter

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import CheckedValue
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.able_writers import Ability
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import text_key
from oopsight.evidence.modules.field_writers import MOST_WRITERS, Field, FieldWriters
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session


@dataclass(frozen=True)
class StateWriters:
    """The field, and who writes to it."""

    module: str
    way: Way
    """Of the number that was read from it."""
    functions: tuple[str, ...]
    """Other than the one that read it, first those that set it on some ways and on others say that
    all went well as well; those that make such objects and initialise them are not among them.
    Empty where there are too many to tell, or it is not seen how they come to it."""
    alone: bool = True
    """Whether the number was not compared with one that the call brought with it."""
    zeroes: bool = False
    """Whether some of them set it to zero on purpose."""
    harmless: tuple[str, ...] = ()
    """Of them, those that move it away only from what was found wrong."""
    unlikely: tuple[str, ...] = ()
    """Of them, those that set it to other numbers only, or take over what another field had."""
    errors: tuple[str, ...] = ()
    """Of them, those that store what a call returned, where that is the code of an error."""
    leaving: tuple[str, ...] = ()
    """Of them, those that leave it alone, and else do as those do that set it to another number."""
    undoing: tuple[str, ...] = ()
    """Of them, those that leave it alone, and undo what else one did that had set it so."""
    unset: tuple[str, ...] = ()
    """Of them, those that make such objects, and do not set it, where others that make them do."""
    counted_too_far: bool = False
    """Whether who read it itself moved it there, nobody else does, and several call that one."""
    sets_it_itself: bool = False
    """Whether only who read it can have set it so."""
    asked: tuple[str, ...] = ()
    """Others that compare it with zero and do not set it, where zero was found."""
    makers: tuple[str, ...] = ()
    """Make such objects, and set it to a number that they compute or were given."""


def collect(
    session: Session, checked: CheckedValue, modules: Modules, backtrace: Backtrace
) -> StateWriters | Missing:
    """Read the code of the module that read the number, or handed the kernel what had it."""
    wrong = checked.wrong or ("",) * len(checked.ways)
    of_each = [
        writers_of(session, way, modules, alone=checked.alone, wrong=how, all_of=checked.ways)
        if way.module is not None
        else _handing_on(session, way, modules, backtrace)
        for way, how in zip(checked.ways, wrong, strict=True)
    ]
    found = _agreeing([one for one in of_each if one is not None])
    if not found:
        return Missing(Why.NOT_APPLICABLE, "nobody else of a module writes to what was checked")
    fields = Counter(name for one in found for name in one.functions)
    if not fields:
        return found[0]
    # Numbers that have to agree: who changes one and leaves the others is more suspect than who
    # keeps all of them in step. Last who brings them only nearer to what they should be.
    harmless = set.intersection(
        *({*one.harmless, *(fields.keys() - set(one.functions))} for one in found)
    )
    names = sorted(fields, key=lambda name: (name in harmless, fields[name]))[:MOST_WRITERS]
    first = next(one for one in found if names[0] in one.functions)
    return replace(
        first,
        functions=tuple(names),
        unlikely=tuple(set.intersection(*(set(one.unlikely) for one in found))),
        leaving=tuple(name for one in found for name in one.leaving),
        undoing=tuple(name for one in found for name in one.undoing),
        unset=tuple(name for one in found for name in one.unset),
    )


def _agreeing(found: list[StateWriters]) -> list[StateWriters]:
    """The same, but who writes to one of several numbers that have to agree leaves none alone."""
    left = []
    for one in found:
        others = {
            name
            for other in found
            if other is not one
            for name in set(other.functions) - {*other.leaving, *other.undoing}
        }
        spared = {name for name in (*one.leaving, *one.undoing) if name in others}
        left.append(
            replace(
                one,
                functions=tuple(name for name in one.functions if name not in spared),
                leaving=tuple(name for name in one.leaving if name not in spared),
                undoing=tuple(name for name in one.undoing if name not in spared),
            )
        )
    return left


def writers_of(
    session: Session,
    way: Way,
    modules: Modules,
    *,
    alone: bool = True,
    wrong: str = "",
    all_of: tuple[Way, ...] = (),
) -> StateWriters | None:
    """Who writes to the field that a number was read from; ``None`` where nobody else can.

    :param wrong: as :attr:`CheckedValue.wrong` has it
    :param all_of: that way, and those of numbers that have to agree with it
    """
    module = next((one for one in modules.loaded if one.name == way.module), None)
    if module is None or not module.taints:
        return None
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    field = Field(way, wrong, tuple(other for other in all_of if other is not way))
    found = FieldWriters(session, modules, module, inner, uses_of(reader, inner), field)
    # A field that nobody at all writes to is reached in a way that is not seen through.
    if found.writers and not found.others and not found.leaving_it:
        return None
    names = found.ranked()
    return StateWriters(
        module.name,
        way,
        names,
        alone,
        found.zeroes,
        found.harmless,
        tuple(name for name in names if found.able.get(name, 0) >= Ability.MOVES),
        tuple(name for name in names if found.able.get(name) is Ability.ERROR),
        found.left,
        found.undone,
        found.unset,
        found.counted_too_far,
        found.sets_it_itself,
        found.asked,
        found.makers if len(found.makers) <= MOST_WRITERS else (),
    )


def _handing_on(
    session: Session, way: Way, modules: Modules, backtrace: Backtrace
) -> StateWriters | None:
    """Who stored to the field in what it then handed on towards the kernel's check."""
    # Who jumped on is not on the path itself.
    frames = (*backtrace.crash_path, *backtrace.blamable)
    path = {base_name(frame.function) for frame in frames}
    caller = next((frame.module for frame in backtrace.blamable if frame.module), None)
    module = next((one for one in modules.loaded if one.name == caller), None)
    key = text_key(way)
    if module is None or not module.taints or key is None:
        return None
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, module, reader))
    found = tuple(
        name
        for name, use in uses.items()
        if _stores_in_handed(use, key, path) or _counts_at(use, key)
    )
    few = found if len(found) <= MOST_WRITERS else ()
    return StateWriters(module.name, way, few) if found else None


def _stores_in_handed(use: FieldUse, key: int, path: set[str]) -> bool:
    """Whether a function stores a pointer to a field of what it hands to one of some functions."""
    calls = [call for call in use.handed if base_name(call.name) in path]
    handed = {value for call in calls for value in call.arguments}
    return any(at == key and into in handed for at, into in use.written)


def _counts_at(use: FieldUse, key: int) -> bool:
    """Whether a function takes a reference by the count that the kernel has there."""
    return use.counts and key in use.raises & use.narrow
