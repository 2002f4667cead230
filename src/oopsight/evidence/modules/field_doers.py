"""What a module's functions do with what one field holds: free it, clear it, store there.

Not a fact by itself: :mod:`oopsight.evidence.modules.doers` asks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse, Freed, Stored
from oopsight.evidence.modules.field_keys import UNKNOWN, FieldKeys, Layout
from oopsight.evidence.modules.handing import got, leaving_at_times, putting
from oopsight.evidence.modules.known_calls import ALLOCATES, FRESH_OR_ERROR
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, reaching
from oopsight.evidence.modules.modules import Module
from oopsight.evidence.modules.owned_twice import OwnedTwice, copied_along, owned_twice
from oopsight.evidence.modules.second_copy import SecondCopy, half_undone, second_copies
from oopsight.evidence.modules.slot_counts import leaving_counted
from oopsight.evidence.modules.traces_beside import Read, belied, counted, stores
from oopsight.kernel.addresses import in_kernel_half
from oopsight.plumbing import base_name

_GIVES_UP = re.compile(r"(?:^|_)k?v?(?:free|destroy|release|put|unregister|del)(?!_user)(?:_|$)")
_WORD = 8
_One = TypeVar("_One")


@dataclass(frozen=True)
class KeptBy:
    """A function that stores in the field what a call returned."""

    function: str
    called: str
    """What had returned it; for one that fills a field late, what makes the object known."""
    checked: bool
    """Whether it is compared with the error codes."""


@dataclass(frozen=True)
class FieldDoers:
    """What a module's functions do with what one field holds, by names."""

    way: int
    """The way in the data flow whose value was read from it."""
    value: Address | None
    module: str
    leaves: tuple[str, ...]
    """Free it and leave both the pointer and what has the field."""
    frees: tuple[str, ...]
    """Others that free it; but none that would have freed what has the field, which is in use."""
    keeps: tuple[KeptBy, ...]
    shares: tuple[str, ...]
    """Store a pointer to what is in use already, and take no reference to anything."""
    clears: tuple[str, ...] = ()
    """Store zero there, in what is in use and stays so."""
    cleared_at: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Of each of these, where: behind the instructions."""
    belied: tuple[str, ...] = ()
    """Of these, those that store something else beside the field than is there."""
    copies_null: tuple[str, ...] = ()
    """Copy there what a variable holds, which is NULL, and do not compare it with that."""
    clear_by: tuple[str, ...] = ()
    """The same, or call those that do."""
    fill_by: tuple[str, ...] = ()
    """Store a pointer there, or call those that do."""
    replaces: tuple[str, ...] = ()
    """Clear it, and store another pointer there, themselves or by what they call: where there is
    none to be had, the zero stays."""
    late: tuple[KeptBy, ...] = ()
    """Fill it only after a call of that function, which makes something known to the kernel."""
    after: tuple[KeptBy, ...] = ()
    """Fill it only after a call of that function of the module, which makes what has the field
    known."""
    untested: tuple[str, ...] = ()
    """Store there what was allocated or returned, and do not compare it with zero."""
    half_tested: tuple[str, ...] = ()
    """Store there what was returned, and compare it with the error codes, and not with zero."""
    numbers: tuple[str, ...] = ()
    """Store there a number that they compute, and beside it what is there, where others store a
    pointer."""
    handed_on: tuple[str, ...] = ()
    """Store there what they read elsewhere, and do not compare it with zero."""
    checks: tuple[str, ...] = ()
    """Compare with NULL what it holds, and neither store anything there nor give anything up: for
    them NULL is one of its values."""
    frees_only: tuple[str, ...] = ()
    """Free what it holds, and nothing else."""
    puts: tuple[str, ...] = ()
    """Give back a reference to what it holds, take none, and leave the pointer there."""
    puts_at_times: tuple[str, ...] = ()
    """Give back a reference to what it holds, or have a helper give it back or free it, store there
    on some ways, and on others leave it."""
    at_times: tuple[str, ...] = ()
    """Of :attr:`frees`, those that leave the pointer there on some ways."""
    leaves_own: tuple[str, ...] = ()
    """Of :attr:`frees`, those that free what they have stored there themselves, and leave it."""
    leaves_counted: tuple[str, ...] = ()
    """Free an entry of the table that it is, and leave alone the number by which all others that do
    so take the entry out."""
    owned_twice: tuple[OwnedTwice, ...] = ()
    """Who has what it holds in a field of another object as well, where both are freed."""
    copied_along: tuple[str, ...] = ()
    """Copy a part of what has the field to another object, with the pointer in it."""
    second_copies: tuple[SecondCopy, ...] = ()
    """Who takes out elsewhere what it holds, and leaves the pointer there."""
    half_undone: tuple[SecondCopy, ...] = ()
    """Who undoes all that another does as it sets it, but that."""


def field_doers(
    module: Module,
    number: int,
    ways: tuple[Way, ...],
    uses: dict[str, FieldUse],
    code: list[ModuleFunction],
    known: Layout = UNKNOWN,
    read: Read = lambda _at, _size: None,
) -> FieldDoers | None:
    """Ask all functions of a module about the field that a way's value was read from.

    :param number: of the way; the next one tells how the code came to what has the field
    :param uses: what the functions do with fields, by their names
    :param known: of the kernel's structures
    :param read: of the dump's memory
    :return: ``None`` where it was read from no field, or no function knows it
    """
    way = ways[number]
    if way.ended != "loaded":
        return None
    field = _Field(way, ways[number + 1] if number + 1 < len(ways) else None, uses, known)
    if not field.known:
        return None
    stores = field.stores
    leaves = field.freeing(lambda one: not one.cleared and not one.whole and not one.own)
    leaves_own = field.freeing(lambda one: not one.cleared and not one.whole and one.own)
    freeing = field.freeing(lambda one: not (one.always and _in_use(way)))
    at_times = field.freeing(lambda one: one.at_times and not one.whole)
    clears = field.clearing({base_name(one.name) for one in code if allocates(one)})
    fills = {name for name, _, one in stores if one.what != "zero"}
    return FieldDoers(
        way=number,
        value=way.value,
        module=module.name,
        leaves=leaves,
        at_times=tuple(name for name in at_times if name not in leaves),
        leaves_counted=leaving_counted(uses, field.freed_at()),
        leaves_own=tuple(name for name in leaves_own if name not in leaves),
        frees=tuple(name for name in freeing if name not in leaves),
        keeps=_once(
            KeptBy(name, one.called or "", one.checked)
            for name, _, one in stores
            if one.what == "returned" or FRESH_OR_ERROR.match(one.called or "")
        ),
        shares=field.storing(
            lambda use, one: (
                one.what == "value"
                and not use.counts
                and not _begins(use, one.key)
                and not _takes(use, uses, one.key)
            )
        ),
        puts=field.putting(),
        puts_at_times=field.putting_at_times(),
        clears=tuple(sorted(clears)),
        cleared_at=tuple((name, field.cleared_at(name)) for name in sorted(clears)),
        fill_by=reaching(fills, code),
        belied=field.belied(read, sorted(clears)),
        clear_by=reaching(clears, code),
        replaces=_replacing(clears, fills, code),
        late=_once(
            KeptBy(name, one.late, one.checked)
            for name, _, one in stores
            if one.late is not None and one.what not in ("zero", "itself")
        ),
        after=_once(
            KeptBy(name, one.after, one.checked)
            for name, _, one in stores
            if one.after is not None and one.what not in ("zero", "itself")
        ),
        untested=field.storing(
            lambda _, one: one.what in ("fresh", "returned") and not one.tested and not one.checked
        ),
        half_tested=field.storing(
            lambda _, one: one.what == "returned" and not one.tested and one.checked
        ),
        numbers=field.storing_numbers(read),
        copies_null=field.copying_null(read),
        handed_on=field.storing(lambda _, one: one.what == "value" and one.loaded),
        frees_only=field.freeing_only(),
        checks=field.checking(_giving_up(code)),
        owned_twice=owned_twice(uses, FieldKeys(way, uses, known)),
        copied_along=copied_along(uses, FieldKeys(way, uses, known)),
        second_copies=second_copies(uses, FieldKeys(way, uses, known)),
        half_undone=half_undone(uses, FieldKeys(way, uses, known)),
    )


class _Field:
    """What functions do with a field, by their names."""

    def __init__(
        self, way: Way, outer: Way | None, uses: dict[str, FieldUse], known: Layout
    ) -> None:
        self._uses = uses
        self._held = way.held_in
        self._keys = FieldKeys(way, uses, known)
        self._outer = FieldKeys(outer, uses, known) if outer is not None else None
        key_in = {name: self._keys.of(use) for name, use in uses.items()}
        self.known = any(key is not None for key in key_in.values())
        """Whether any function has a key for it."""
        self._frees = {
            name: [one for one in use.frees if one.key == key_in[name] and self._is_inner(use, one)]
            for name, use in uses.items()
        }
        self.stores = [
            (name, use, one)
            for name, use in uses.items()
            for one in use.stores
            if one.key == key_in[name]
        ]

    def _is_inner(self, use: FieldUse, freed: Freed) -> bool:
        """Whether it is not what led to the object that is freed, which may have the same key."""
        if self._outer is None or self._outer.of(use) != freed.key:
            return True
        return freed.through == freed.key

    def freeing(self, which: Callable[[Freed], bool]) -> tuple[str, ...]:
        """Functions that free what it holds, in that way."""
        return tuple(name for name, calls in self._frees.items() if any(map(which, calls)))

    def freed_at(self) -> dict[str, int]:
        """Functions that free what it holds, and the key that they have for it."""
        return {name: calls[0].key for name, calls in self._frees.items() if calls}

    def freeing_only(self) -> tuple[str, ...]:
        """Functions that free what it holds, and nothing else."""
        return tuple(
            name
            for name, calls in self._frees.items()
            if calls
            and not self._uses[name].frees_more
            and len(calls) == len(self._uses[name].frees)
        )

    def putting(self) -> tuple[str, ...]:
        """Functions that give back a reference to what it holds."""
        keys = {name: self._keys.all_of(use) for name, use in self._uses.items()}
        return putting(self._uses, keys)

    def putting_at_times(self) -> tuple[str, ...]:
        """The same, and on some ways the pointer to it stays there."""
        return tuple(
            name
            for name, use in self._uses.items()
            if use.left_at_times
            and {value.number for value in leaving_at_times(use, self._uses)}
            & self._keys.all_of(use)
        )

    def storing(self, which: Callable[[FieldUse, Stored], bool]) -> tuple[str, ...]:
        """Functions that store something like that in it."""
        return _once(name for name, use, one in self.stores if which(use, one))

    def clearing(self, makers: set[str]) -> set[str]:
        """Functions that store zero in it, in what is in use and stays so.

        :param makers: functions of the module that allocate
        """
        wiping = {
            name
            for name, use in self._uses.items()
            if any(
                not is_new(one.into, makers) and one.covers(self._keys.candidates(use)) is not None
                for one in use.wipes
            )
        }
        return wiping | {
            name
            for name, _, one in self.stores
            if one.what == "zero"
            and not is_new(one.into, makers)
            and not any(freed.whole for freed in self._frees[name])
            and not _in_freed(self._uses[name], one.key)
        }

    def cleared_at(self, name: str) -> tuple[int, ...]:
        """Where a function sets it to zero: behind the instructions."""
        use = self._uses[name]
        key = self._keys.of(use)
        return tuple(end for at, end in use.cleared if at == key)

    def belied(self, read: Read, clears: Iterable[str]) -> tuple[str, ...]:
        """Of functions that clear it, those whose other stores are not in memory."""
        if self._held is None:
            return ()
        at = int(self._held.address)
        moved = counted(self._uses)
        return tuple(
            name
            for name in clears
            if belied(read, use := self._uses[name], stores(use, self.cleared_at(name)), at, moved)
        )

    def copying_null(self, read: Read) -> tuple[str, ...]:
        """Functions that copy there what lies in a variable, where that holds NULL."""

        def is_null(at: int | None) -> bool:
            known = at is not None and in_kernel_half(at)
            return known and read(at or 0, _WORD) == bytes(_WORD)

        found: dict[str, None] = {}
        for name, use in self._uses.items():
            keys = self._keys.all_of(use)
            for one in use.copied_over:
                far = one.covers(self._keys.candidates(use))
                if far is not None and one.source is not None and is_null(one.source + far):
                    found[name] = None
            untested = {one.key for one in use.stores if one.what == "value" and one.loaded}
            for key, value in use.pointers:
                variable = value.kind == "loaded" and value.of is None
                if key in keys & untested and variable and is_null(value.number):
                    found[name] = None
        return tuple(found)

    def storing_numbers(self, read: Read) -> tuple[str, ...]:
        """Functions that store a number in it, where others store a pointer; as memory agrees."""
        places: dict[str, list[int]] = {}
        pointers = False
        for name, use in self._uses.items():
            keys = self._keys.all_of(use)
            for end, (key, value) in zip(use.stored_at, use.pointers, strict=False):
                if key in keys and value.kind == "computed":
                    places.setdefault(name, []).append(end)
                pointers = pointers or (key in keys and _is_pointer(value))
        if self._held is None or not pointers:
            return ()
        at, counts = int(self._held.address), counted(self._uses)
        return tuple(
            name
            for name, ends in places.items()
            if not belied(read, use := self._uses[name], stores(use, ends), at, counts)
        )

    def checking(self, but: set[str]) -> tuple[str, ...]:
        """Functions that compare what it holds with NULL, and neither store nor free it."""
        writers = but | {name for name, *_ in self.stores}
        writers |= {name for name, calls in self._frees.items() if calls}
        return tuple(
            name
            for name, use in self._uses.items()
            if name not in writers and self._keys.compared(use)
        )


def _in_freed(use: FieldUse, key: int) -> bool:
    """Whether what a function sets to zero under that key is all in what it frees."""
    gone = {within(value)[0] for _, value in use.freed}
    into = [
        base
        for (at, value), (_, base) in zip(use.pointers, use.written, strict=True)
        if at == key and value == Value("number", 0)
    ]
    return bool(into) and all(base is not None and within(base)[0] in gone for base in into)


def _is_pointer(value: Value) -> bool:
    """Whether what is stored is known to be a pointer."""
    if value.kind == "number":
        return in_kernel_half(value.number)
    return value.kind in ("inner", "returned", "loaded")


def _once(found: Iterable[_One]) -> tuple[_One, ...]:
    return tuple(dict.fromkeys(found))


def _begins(use: FieldUse, key: int) -> bool:
    """Whether a function begins to count what it stores there, and stores nothing else."""
    return use.starts and len([s for s in use.stores if s.key == key and s.what != "zero"]) == 1


def _takes(use: FieldUse, uses: dict[str, FieldUse], key: int) -> bool:
    """Whether a function has a reference taken to a pointer that it stores."""
    taken = got(use, uses)
    return any(at == key and within(value)[0] in taken for at, value in use.pointers)


def _giving_up(code: list[ModuleFunction]) -> set[str]:
    """Functions that free anything, or have the kernel do so: there NULL is compared anyway.

    Who only calls one of these may look at the pointer for another reason.
    """
    return {base_name(one.name) for one in code if any(map(_GIVES_UP.search, one.outside))}


def _in_use(way: Way) -> bool:
    """Whether the object with the field is there still: who frees it as well has not freed it."""
    slab = way.held_in.slab if way.held_in is not None else None
    return slab is not None and slab.state == "allocated"


def is_new(into: str | None, makers: set[str]) -> bool:
    """Whether an object came from an allocation, or from a function of the module that makes one.

    :param into: what had returned it
    """
    return into is not None and (into in makers or into.lstrip("_").startswith(ALLOCATES))


def _replacing(clears: set[str], fills: set[str], code: list[ModuleFunction]) -> tuple[str, ...]:
    """Functions that clear a field and fill it, by themselves or through those that they call."""
    found: list[str] = []
    for one in code:
        name = base_name(one.name)
        reach = {name, *(base_name(called) for called in one.calls)}
        if reach & clears and reach & fills:
            found.append(name)
    # Who only calls one that does both has no part in it.
    alone = [name for name in found if name in clears]
    return tuple(dict.fromkeys(alone or found))
