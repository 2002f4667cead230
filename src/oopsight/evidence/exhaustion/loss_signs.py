"""What in a module's code lets go of memory, and how: one sign after the other.

Not a fact by itself: :mod:`oopsight.evidence.exhaustion.losers` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.exhaustion.object_links import LINKED, UNLINKED
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates
from oopsight.evidence.modules.modules import Module
from oopsight.evidence.modules.ownership import (
    Ownership,
    Source,
    frees,
    gives_memory_back,
    plain,
)
from oopsight.evidence.modules.teardown import undoers
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import (
    FRAME,
    Expression,
    Instruction,
    accessed_size,
    call_that_returned,
    direct_target,
    memory_place,
    parsed,
    result_of,
    stores,
)
from oopsight.kernel.pointer_fate import FREES
from oopsight.plumbing import base_name
from oopsight.session import Session

_POINTER = 8
_SECOND = ("kmem_cache_free", "kvfree_call_rcu", "mempool_free")
"""Functions that free what their second argument points to."""
_GIVES = re.compile(
    r"put(?:_|$)|free|destroy|unregister|unref|transaction_release|queue_\w*work|call_rcu|wake_up"
)
"""Functions of the kernel that may have something freed, now or later."""
_TAKES_PAGES = ("alloc_pages", "get_free_pages", "folio_alloc")
_GIVES_PAGES = ("free_pages",)
"""Functions whose second argument tells how many."""
_UNLINKS = ("list_del_entry_valid", "list_del_entry_valid_or_report")


@dataclass(frozen=True)
class Loser:
    """A function that can have lost it."""

    function: str
    how: str
    """What it does, to follow its name."""
    always: bool = False
    """Whether it loses such memory each time, so that no other function need have done anything."""


class LossSigns:
    """Of one module.

    :param given_by: the functions that give such memory back, by their plain names
    """

    def __init__(
        self,
        session: Session,
        module: Module,
        code: Ownership,
        sources: list[Source],
        given_by: tuple[str, ...],
    ) -> None:
        self._given_by = given_by
        self._session = session
        self._module = module
        self._code = code
        self._sources = sources
        # What devm_kmalloc() returns is freed with the device.
        self._making = {
            one.function.start
            for one in sources
            if not any(name.startswith("devm_") for name in one.function.outside)
        }
        self._uses = uses_of(SessionReader(session), code.functions)
        self._undoers = {
            one.start: list(undoers(session, module, one.start)) for one in code.functions
        }

    def all(self, state: str | None, called: Address | None) -> Iterator[Loser]:
        """Each function once, by what speaks most against it.

        :param state: whether the objects are on lists still, or were taken off
        :param called: the module's function that most objects point to
        """
        seen: set[str] = set()
        signs = [self._forgets(), self._passed_on(), self._of_callback(called)]
        signs += [self._not_undone(), self._fewer_pages()]
        signs += [self._overwrites(), self._miscounts(), self._drops_container()]
        if state == UNLINKED:
            # Who lost it before it was on a list has nothing to do with that.
            signs = [self._unlinks(), *signs[2:]]
        if state != LINKED:
            signs += [self._some_ways(), self._unlinks()]
        for sign in signs:
            for one in sign:
                if one.function not in seen:
                    seen.add(one.function)
                    yield one

    def _forgets(self) -> Iterator[Loser]:
        """Returns on a way on which nobody has the memory."""
        for one in self._sources:
            if one.fate.lost:
                at = self._at(one.function, one.fate.lost[0])
                yield Loser(
                    base_name(one.function.name),
                    f"can come to {at} with what it had allocated, neither freed nor kept",
                )

    def _passed_on(self) -> Iterator[Loser]:
        """Is given what was just allocated, and keeps it on some ways only.

        Of one whose caller frees what it has not taken, the caller is right to leave it the rest.
        """
        for source in self._sources:
            code = self._code.code(source.function)
            if code is None or source.fate.freed or source.fate.returned:
                continue
            for one, register, _ in self._given(code, result_of(source.site)):
                known = self._code.handed(one, register)
                if known is None or known.returned or not (known.kept and known.lost):
                    continue
                at = self._at(one, known.lost[0])
                how = f"can return at {at} with what it is given, neither freed nor kept"
                yield Loser(base_name(one.name), f"{how}, as it is on another way")

    def _given(
        self, code: Function, value: Expression
    ) -> Iterator[tuple[ModuleFunction, str, int]]:
        """The module's functions that a function hands a value, in which registers, and where."""
        for address, instruction in code.code.items():
            if instruction.mnemonic not in ("call", "jmp"):
                continue
            one = self._code.by_start.get(direct_target(instruction) or 0)
            registers = code.registers(address)
            for register in ARGUMENTS if one is not None else ():
                if one is not None and registers.get(register) == value:
                    yield one, register, address

    def _of_callback(self, called: Address | None) -> Iterator[Loser]:
        """The function that the objects themselves have the kernel or the module call."""
        one = self._code.by_start.get(int(called)) if called is not None else None
        known = self._code.handed(one) if one is not None else None
        if one is None or known is None or known.kept or not known.lost:
            return
        at = self._at(one, known.lost[0])
        if known.freed:
            how = f"can return at {at} without freeing what it is called for, as it does elsewhere"
            yield Loser(base_name(one.name), how)
        elif not any(frees(other) for other in self._code.functions):
            yield Loser(base_name(one.name), "is called for such objects, and frees nothing")

    def _not_undone(self) -> Iterator[Loser]:
        """Is called to undo what made it, and frees nothing."""
        for one, reached in self._opening():
            for undo in self._undoers[one.start] if reached else ():
                name = base_name(one.name)
                undoer = self._code.by_start.get(undo.address)
                if not undo.address:
                    how = f"has no {undo.member} beside it that could free what it allocates"
                    yield Loser(name, how, always=True)
                elif undoer is not None and not self._gives(undoer):
                    how = f"undoes what {name} does, which allocates, and frees nothing"
                    yield Loser(base_name(undoer.name), how, always=True)

    def _fewer_pages(self) -> Iterator[Loser]:
        """Gives back fewer pages than are taken at once."""
        making = {one.function.start: one.function for one in self._sources}
        taken = [order for one in making.values() for order in self._orders(one, _TAKES_PAGES)]
        for one in self._code.functions if taken else ():
            for order in self._orders(one, _GIVES_PAGES):
                if order is not None and all(more is None or more > order for more in taken):
                    how = f"gives back {1 << order} of the pages, of which more are taken at once"
                    yield Loser(base_name(one.name), how)

    def _orders(self, one: ModuleFunction, names: tuple[str, ...]) -> Iterator[int | None]:
        """How many pages a function asks some others for, or gives them, as a power of two."""
        code = self._code.code(one)
        for at, row in code.code.items() if code is not None else ():
            called = row.mnemonic in ("call", "jmp") and self._code.called(direct_target(row))
            if code is not None and called in names:
                order = code.registers(at).get("rsi")
                yield order.offset if order is not None and not order.base else None

    def _opening(self) -> Iterator[tuple[ModuleFunction, bool]]:
        """Functions that another one undoes, and whether they come to allocate the memory."""
        for one in self._code.functions:
            if self._undoers[one.start]:
                reached = {other.start for other in self._code.reach(one)}
                yield one, bool(reached & self._making)

    def _gives(self, one: ModuleFunction) -> bool:
        """Whether it frees anything, or leaves it to others that may."""
        names = {plain(name) for other in self._code.reach(one) for name in other.calls}
        others = {name for name in names if not gives_memory_back(name)}
        return self._frees(one) or any(_GIVES.search(name) for name in others)

    def _frees(self, one: ModuleFunction) -> bool:
        return any(frees(other, self._given_by) for other in self._code.reach(one))

    def _overwrites(self) -> Iterator[Loser]:
        """Stores it in a field of what is in use, and does not look at what was there."""
        opening = [one for one, _ in self._opening()]
        for one, places in self._storing():
            code = self._code.code(one)
            if code is None or not places:
                continue
            if one in opening or any(
                place is None or self._is_new(code, place) or _is_read(code, place)
                for place in places
            ):
                continue
            called = [other for other in self._code.functions if other.name in one.calls]
            if any(self._frees(other) for other in called):
                continue
            yield Loser(
                base_name(one.name),
                f"stores what was allocated to {_what(places)} without a look at what is there",
                always=self._unasked(one, places),
            )

    def _storing(self) -> Iterator[tuple[ModuleFunction, frozenset[Expression | None]]]:
        """Who stores it and where: who has it, and whom it hands it to, unless it freed before."""
        for source in self._sources:
            yield source.function, source.fate.places
        for source in self._sources:
            code = self._code.code(source.function)
            for one, register, at in self._given(code, result_of(source.site)) if code else ():
                known = self._code.handed(one, register)
                if known is not None and code is not None and not self._freed_before(code, at):
                    yield one, known.places

    def _freed_before(self, code: Function, site: int) -> bool:
        """Whether the code can have freed anything before it comes to a call."""
        ways = [
            row.end
            for row in code.code.values()
            if row.mnemonic == "call" and self._code.does(direct_target(row), "") == FREES
        ]
        seen: set[int] = set()
        while ways:
            at = ways.pop()
            if at == site:
                return True
            if at not in seen and at in code.code:
                seen.add(at)
                ways += code.ways(code.code[at])
        return False

    def _unasked(self, one: ModuleFunction, places: frozenset[Expression | None]) -> bool:
        """Whether it is a variable that nobody else sets, nor looks at before calling for that."""
        for place in places:
            if place is None or place.base:
                return False
            for other in self._code.functions:
                use = self._uses.get(base_name(other.name))
                sets = use is not None and place.offset in use.sets
                asks = place.offset in other.refers and one.name in other.calls
                if other is not one and (sets or asks):
                    return False
        return True

    def _is_new(self, code: Function, place: Expression) -> bool:
        """Whether the place lies in what the function has just allocated itself."""
        site = call_that_returned(place)
        call = code.code.get(site) if site is not None else None
        if call is None:
            return False
        target = direct_target(call)
        one = self._code.by_start.get(target or 0)
        maker = one is not None and allocates(one)
        return maker or "alloc" in self._code.called(target)

    def _miscounts(self) -> Iterator[Loser]:
        """Frees the entries of an array by another number than the one they were entered by."""
        counters: set[int] = set()
        for source in self._sources:
            code = self._code.code(source.function)
            if code is not None and None in source.fate.places:
                counters |= _numbers(code, written=False) & _numbers(code, written=True)
        for one in self._code.functions if counters else ():
            code = self._code.code(one)
            if code is None or not frees(one) or not self._frees_in_loop(code):
                continue
            if not counters & _numbers(code, written=False):
                where = ", ".join(f"{offset:#x}" for offset in sorted(counters))
                how = f"frees in a loop, and does not read the count at {where} of what there is"
                yield Loser(base_name(one.name), how)

    def _frees_in_loop(self, code: Function) -> bool:
        freeing = [
            address
            for address, instruction in code.code.items()
            if instruction.mnemonic == "call"
            and self._code.does(direct_target(instruction), "") == FREES
        ]
        return any(
            to <= at <= address
            for address, instruction in code.code.items()
            if instruction.mnemonic.startswith("j")
            and (to := direct_target(instruction) or address + 1) <= address
            for at in freeing
        )

    def _drops_container(self) -> Iterator[Loser]:
        """Frees what has the field, and not what the field holds."""
        keys = {
            place.offset
            for source in self._sources
            for place in source.fate.places
            if place is not None and place.base
        }
        undoing = {undo.address for one, _ in self._opening() for undo in self._undoers[one.start]}
        for start in sorted(undoing) if keys else ():
            undoer = self._code.by_start.get(start)
            if undoer is None:
                continue
            direct = self._freed(undoer)
            # What is read from an argument is the object itself, as private_data of a file.
            whole = [one for one in direct if one is not None and _is_direct(one)]
            rest = [one for one in direct if one not in whole]
            for other in self._code.reach(undoer):
                rest += self._freed(other) if other.start != start else []
            if whole and None not in rest and not keys & {_key(one) for one in rest if one}:
                how = "frees what has the field, and not what the field holds"
                yield Loser(base_name(undoer.name), how)

    def _freed(self, one: ModuleFunction) -> list[Expression | None]:
        """What a function frees itself, as its code has it."""
        code = self._code.code(one)
        found = []
        for address, instruction in code.code.items() if code is not None else ():
            if code is None or instruction.mnemonic not in ("call", "jmp"):
                continue
            target = direct_target(instruction)
            if target is not None and self._code.does(target, "") == FREES:
                second = self._code.called(target) in _SECOND
                found.append(code.registers(address).get("rsi" if second else "rdi"))
        return found

    def _unlinks(self) -> Iterator[Loser]:
        """Takes objects off a list, and frees nothing."""
        for one in self._code.functions:
            use = self._uses.get(base_name(one.name))
            takes = use is not None and use.unlinks
            takes = takes or any(plain(name) in _UNLINKS for name in one.outside)
            if takes and not self._frees(one):
                how = "takes entries off a list, and does not free them"
                yield Loser(base_name(one.name), how)

    def _some_ways(self) -> Iterator[Loser]:
        """Frees what it is handed on some ways, and on others does nothing with it."""
        for one in self._code.functions:
            use = self._uses.get(base_name(one.name))
            if use is None or use.uncounts or not frees(one):
                continue
            known = self._code.handed(one)
            if known is not None and known.freed and known.lost and not known.kept:
                at = self._at(one, known.lost[0])
                how = f"can return at {at} without freeing what it is handed, as it does elsewhere"
                yield Loser(base_name(one.name), how)

    @staticmethod
    def _at(one: ModuleFunction, address: int) -> str:
        return f"{base_name(one.name)}+{address - one.start:#x}"


def _is_direct(value: Expression) -> bool:
    """Whether it was read from what a function was handed."""
    return re.fullmatch(r"\[r(?:di|si)[+-]0x[0-9a-f]+\]", value.base) is not None


def _key(value: Expression) -> int | None:
    """The offset of the field that it was read from."""
    read = parsed(value.base[1:-1]) if value.base.startswith("[") else None
    return read.offset if read is not None else None


def _what(places: frozenset[Expression | None]) -> str:
    alone = all(place is not None and not place.base for place in places)
    return "a variable" if alone else "a field"


def _is_read(code: Function, place: Expression) -> bool:
    """Whether a function reads what a field holds, anywhere."""
    return any(
        not _only_written(instruction)
        and memory_place(instruction, code.registers(address)) == place
        for address, instruction in code.code.items()
    )


def _only_written(instruction: Instruction) -> bool:
    return instruction.mnemonic == "mov" and stores(instruction)


def _numbers(code: Function, *, written: bool) -> set[int]:
    """Offsets of the numbers, shorter than pointers, that a function reads, or writes."""
    found = set()
    for address, instruction in code.code.items():
        place = memory_place(instruction, code.registers(address))
        size = accessed_size(instruction)
        if place is None or place.base == FRAME or size is None or size >= _POINTER:
            continue
        if stores(instruction) if written else not _only_written(instruction):
            found.add(place.offset)
    return found
