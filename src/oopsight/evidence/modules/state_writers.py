"""Which functions of a module write to the field that a failed check found wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.checked_value import HIGH, LOW, CheckedValue
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.able_writers import Ability, AbleWriters, Number
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Handed
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys, size_read, text_key
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.omitting import omitting
from oopsight.evidence.modules.operand_keys import MASK
from oopsight.evidence.modules.partners import leaving_alone, undoing
from oopsight.evidence.modules.skipping import leaving_number
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.plumbing import base_name
from oopsight.session import Session

_BESIDE = (-8, -4, 4, 8)
_FUNCTION = (24, 40)
"""How far in a ``struct timer_list``, ``work_struct`` or ``hrtimer`` its function lies."""
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
    unlikely: tuple[str, ...] = ()
    """Of them, those that set it to other numbers only, or take over what another field had."""
    leaving: tuple[str, ...] = ()
    """Of them, those that leave it alone, and else do as those do that set it to another number."""
    undoing: tuple[str, ...] = ()
    """Of them, those that leave it alone, and undo what else one did that had set it so."""
    unset: tuple[str, ...] = ()
    """Of them, those that make such objects, and do not set it, where others that make them do."""
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
    names = sorted(fields, key=lambda name: (name in harmless, fields[name]))[:_MOST_WRITERS]
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
    session: Session, way: Way, modules: Modules, *, alone: bool = True, wrong: str = ""
) -> StateWriters | None:
    """Who writes to the field that a number was read from; ``None`` where nobody else can.

    :param wrong: as :attr:`CheckedValue.wrong` has it
    """
    module = next((one for one in modules.loaded if one.name == way.module), None)
    if module is None or not module.taints:
        return None
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    uses = uses_of(reader, inner)
    keys = FieldKeys(way, uses)
    known = {
        name: [key for key in keys.candidates(use) if writes(use, key, way)]
        for name, use in uses.items()
    }
    writers = {name: by[0] for name, by in known.items() if by}
    copiers, told = _copying(uses, keys)
    writers = {**told, **copiers, **writers}
    found = tuple(name for name in writers if name != base_name(way.function))
    able = abilities(reader, inner, {name: writers[name] for name in found}, way)
    able |= dict.fromkeys((name for name in copiers if name in able), Ability.MOVES)
    few = sum(able[name] < Ability.UNABLE for name in found) <= _MOST_WRITERS
    # A field that nobody at all writes to is reached in a way that is not seen through.
    open_ = bool(found) or not writers
    zeroes = any(_sets_zero(use, keys.of(use)) for use in uses.values())
    if wrong == HIGH and _is_below_zero(way):
        wrong = LOW
    harmless = tuple(
        name for name in found if able[name] is Ability.UNABLE or _mends(uses[name], keys, wrong)
    )
    unable = {name for name in found if able[name] is Ability.UNABLE}
    menders = {name: keys.candidates(uses[name]) for name in unable}
    begins = _begins(way, module)
    left = leaving_alone(uses, menders, writers, begins) if few else ()
    undone = [
        who
        for name in found
        if able[name] is Ability.SETS and few
        for who in undoing(uses, name, writers[name], writers, begins, _holding(reader, way))
    ]
    found = tuple(sorted(found, key=lambda name: able[name])) if few else ()
    if len(found) > 1:
        at_times = leaving_number(session, modules, module, {one: writers[one] for one in found})
        found = tuple(sorted(found, key=lambda name: name not in at_times))
    found = tuple(_with_tellers(found, uses, keys, way))
    unset = _leaving_unset(session, modules, module, way, uses, inner, set_elsewhere=bool(writers))
    ranked = {name: able[name] + (able[name] >= Ability.SETS) for name in found if name in able}
    ranked |= dict.fromkeys((*left, *unset), Ability.SETS)
    found = tuple(sorted((*found, *unset, *left), key=lambda name: ranked.get(name, 0)))
    found = tuple(dict.fromkeys((*undone, *found)))
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
        tuple(name for name in found if able.get(name, 0) >= Ability.MOVES),
        left,
        tuple(undone),
        unset,
        makers if len(makers) <= _MOST_WRITERS else (),
    )


def abilities(
    reader: SessionReader, code: list[ModuleFunction], keys: dict[str, int], way: Way
) -> dict[str, Ability]:
    """How each of some functions can have stored what was found.

    :param keys: of the functions, by which they have the field
    """
    found = dict.fromkeys(keys, Ability.UNCHECKED)
    size = size_read(way)
    read = way.end.value if way.end is not None else None
    if read is None or size is None:
        return found
    asked = AbleWriters(Calls(reader, (), {}), [one.start for one in code])
    value = read & (1 << 8 * size) - 1
    for one in code:
        name = base_name(one.name)
        if name in keys and ".cold" not in one.name:
            found[name] = asked.ability(one.start, Number(keys[name], value, size))
    return found


def _copying(uses: dict[str, FieldUse], keys: FieldKeys) -> tuple[dict[str, int], dict[str, int]]:
    """Who copies the field with what is around it, and who writes to where that is taken from.

    :return: of each the key
    """
    copiers, sources = {}, set()
    for name, use in uses.items():
        for to, taken, size in use.copied:
            for key in keys.candidates(use):
                if to <= key < to + size:
                    copiers[name] = key
                    sources.add((taken + key - to) & MASK)
    told = {name: key for name, use in uses.items() for key in sources if key in use.changes}
    return copiers, {name: key for name, key in told.items() if name not in copiers}


def _leaving_unset(
    session: Session,
    modules: Modules,
    module: Module,
    way: Way,
    uses: dict[str, FieldUse],
    code: list[ModuleFunction],
    *,
    set_elsewhere: bool,
) -> tuple[str, ...]:
    """Who makes such objects, and leaves zero there, as which they are made."""
    held, size = way.held_in, size_read(way)
    zero = way.end is not None and way.end.value == 0
    if held is None or held.slab is None or held.offset is None or size is None or not zero:
        return ()
    found = omitting(
        session,
        modules,
        module,
        held.slab,
        held.offset,
        uses,
        code,
        size,
        set_elsewhere=set_elsewhere,
    )
    return found if len(found) <= _MOST_WRITERS else ()


def _begins(way: Way, module: Module) -> dict[str, tuple[int, ...]]:
    """How far in the object may lie the timer or work item that the kernel calls functions with."""
    slab = way.held_in.slab if way.held_in is not None else None
    return {
        base_name(one.symbol): tuple(one.offset - far for far in _FUNCTION)
        for one in (slab.refers if slab is not None else ())
        if one.module == module.name
    }


def _holding(reader: SessionReader, way: Way) -> Callable[[int, int, int], bool]:
    """Asks whether memory so far from where a number was read, of some bytes, has a number."""
    field = way.end.memory if way.end is not None else None

    def holds(far: int, size: int, number: int) -> bool:
        held = reader.read(int(field.address) + far, size) if field is not None else None
        return held is not None and int.from_bytes(held, "little") == number

    return holds


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


def _is_below_zero(way: Way) -> bool:
    """Whether a number was taken from, and had not as much."""
    size, read = size_read(way), way.end.value if way.end is not None else None
    return size is not None and read is not None and bool(read >> 8 * size - 1 & 1)


def _mends(use: FieldUse, keys: FieldKeys, wrong: str) -> bool:
    """Whether a function changes a field only in the direction that mends what was found wrong."""
    changed = use.changes & set(keys.candidates(use))
    moves = {LOW: use.raises, HIGH: use.lowers}.get(wrong, frozenset())
    return bool(changed & moves) and changed & use.narrow <= moves


def _sets_zero(use: FieldUse, key: int | None) -> bool:
    """Whether a function sets a field to zero for its own sake, and does not wipe all around it."""
    around = {key + far for far in _BESIDE} if key is not None else set()
    return key in use.zeroes and not around & use.zeroes


def writes(use: FieldUse, key: int, way: Way) -> bool:
    """Whether a function writes to a field of its width: a pointer is stored elsewhere."""
    narrow = way.end is not None and "qword" not in way.end.instruction.text
    elsewhere = narrow and key in use.wide and key not in use.narrow
    return key in use.changes and not elsewhere
