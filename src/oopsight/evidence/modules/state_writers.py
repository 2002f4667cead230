"""Which functions of a module write to the field that a failed check found wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.checked_value import HIGH, LOW, CheckedValue
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Handed
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys, text_key
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.skipping import leaving_number
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.plumbing import base_name
from oopsight.session import Session

_BESIDE = (-8, -4, 4, 8)
_MOST_WRITERS = 3
"""More than so many that write at an offset have to do with other objects, too."""


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
    makers: tuple[str, ...] = ()
    """Make such objects, and set it to a number that they compute or were given."""


def collect(
    session: Session, checked: CheckedValue, modules: Modules, backtrace: Backtrace
) -> StateWriters | Missing:
    """Read the code of the module that read the number, or handed the kernel what had it."""
    wrong = checked.wrong or ("",) * len(checked.ways)
    of_each = [
        writers_of(session, way, modules, alone=checked.alone, wrong=how)
        if way.module is not None
        else _handing_on(session, way, modules, backtrace)
        for way, how in zip(checked.ways, wrong, strict=True)
    ]
    found = [one for one in of_each if one is not None]
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
    names = sorted(fields, key=lambda name: (name in harmless, fields[name]))[:_MOST_WRITERS]
    first = next(one for one in found if names[0] in one.functions)
    return replace(first, functions=tuple(names))


def writers_of(
    session: Session, way: Way, modules: Modules, *, alone: bool = True, wrong: str = ""
) -> StateWriters | None:
    """Who writes to the field that a number was read from; ``None`` where nobody else can.

    :param wrong: as :attr:`CheckedValue.wrong` has it
    """
    module = next((one for one in modules.loaded if one.name == way.module), None)
    if module is None or not module.taints:
        return None
    reader = SessionReader(session)
    uses = uses_of(reader, inner_functions(session, module, reader))
    keys = FieldKeys(way, uses)
    known = {
        name: [key for key in keys.candidates(use) if _writes(use, key, way)]
        for name, use in uses.items()
    }
    writers = {name: by[0] for name, by in known.items() if by}
    found = tuple(name for name in writers if name != base_name(way.function))
    few = len(found) <= _MOST_WRITERS
    # A field that nobody at all writes to is reached in a way that is not seen through.
    open_ = bool(found) or not writers
    zeroes = any(_sets_zero(use, keys.of(use)) for use in uses.values())
    harmless = tuple(name for name in found if _mends(uses[name], keys, wrong))
    if 1 < len(found) <= _MOST_WRITERS:
        at_times = leaving_number(session, modules, module, {one: writers[one] for one in found})
        found = tuple(sorted(found, key=lambda name: name not in at_times))
    found = tuple(_with_tellers(found, uses, keys, way)) if few else ()
    if not open_:
        return None
    makers = tuple(
        name
        for name, use in uses.items()
        if any(key in use.made for key in keys.candidates(use)) and name not in writers
    )
    return StateWriters(
        module.name,
        way,
        found,
        alone,
        zeroes,
        harmless,
        makers if len(makers) <= _MOST_WRITERS else (),
    )


def _with_tellers(
    found: tuple[str, ...], uses: dict[str, FieldUse], keys: FieldKeys, way: Way
) -> Iterator[str]:
    """Before who stores what it is told, who computes that or has the wrong number in its code."""
    for name in found:
        candidates = keys.candidates(uses[name])
        told = {register for key, register in uses[name].passed if key in candidates}
        yield from (
            other
            for other, use in uses.items()
            if other not in found
            if any(_tells(call, told, way) for call in use.handed if base_name(call.name) == name)
        )
        yield name


def _tells(call: Handed, told: set[str], way: Way) -> bool:
    """Whether a call brings in one of some registers what the caller has made itself."""
    given = [call.arguments[ARGUMENTS.index(register)] for register in told if call.own]
    return any(
        one.kind == "computed" or (one.kind == "number" and one.number == way.value)
        for one in given
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
    few = found if len(found) <= _MOST_WRITERS else ()
    return StateWriters(module.name, way, few) if found else None


def _stores_in_handed(use: FieldUse, key: int, path: set[str]) -> bool:
    """Whether a function stores a pointer to a field of what it hands to one of some functions."""
    calls = [call for call in use.handed if base_name(call.name) in path]
    handed = {value for call in calls for value in call.arguments}
    return any(at == key and into in handed for at, into in use.written)


def _counts_at(use: FieldUse, key: int) -> bool:
    """Whether a function takes a reference by the count that the kernel has there."""
    return use.counts and key in use.raises & use.narrow


def _mends(use: FieldUse, keys: FieldKeys, wrong: str) -> bool:
    """Whether a function changes a field only in the direction that mends what was found wrong."""
    changed = use.changes & set(keys.candidates(use))
    moves = {LOW: use.raises, HIGH: use.lowers}.get(wrong, frozenset())
    return bool(changed & moves) and changed & use.narrow <= moves


def _sets_zero(use: FieldUse, key: int | None) -> bool:
    """Whether a function sets a field to zero for its own sake, and does not wipe all around it."""
    around = {key + far for far in _BESIDE} if key is not None else set()
    return key in use.zeroes and not around & use.zeroes


def _writes(use: FieldUse, key: int, way: Way) -> bool:
    """Whether a function writes to a field of its width: a pointer is stored elsewhere."""
    narrow = way.end is not None and "qword" not in way.end.instruction.text
    elsewhere = narrow and key in use.wide and key not in use.narrow
    return key in use.changes and not elsewhere
