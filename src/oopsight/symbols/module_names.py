"""Symbols of the loaded modules, from the kallsyms of each, read when it is first asked for.

A machine has a hundred modules and more, and some have ten thousand symbols: reading them all takes
seconds, and a crash is about two or three.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from oopsight.walk import MOST_MODULES, each_once

if TYPE_CHECKING:
    from drgn import Object, Program, Symbol, SymbolIndex

_MOST_STRINGS = 64 << 20
_LONGEST = 512  # bytes of a symbol's name: KSYM_NAME_LEN


class ModuleNames:
    """A symbol finder for drgn."""

    def __init__(self, prog: Program) -> None:
        """Read where the modules lie.

        :raises drgn.FaultError: if the list of modules is damaged
        :raises LookupError: if there is none
        """
        from drgn.helpers.linux.module import for_each_module, module_address_regions

        self._modules = list(each_once(for_each_module(prog), MOST_MODULES))
        self._regions = sorted(
            (start, start + size, number)
            for number, module in enumerate(self._modules)
            for start, size in module_address_regions(module)
        )
        self._indices: dict[int, SymbolIndex] = {}
        self._strings: dict[int, bytes | None] = {}

    def __call__(
        self, prog: Program, name: str | None, address: int | None, one: bool
    ) -> Sequence[Symbol]:
        """Find symbols by name, by address, by both, or all of them."""
        found: list[Symbol] = []
        for number in self._modules_at(address):
            if name is not None and not self._may_hold(number, name):
                continue
            found += self._index(number)(prog, name, address, one)
            if found and one:
                break
        return found

    def _modules_at(self, address: int | None) -> Iterable[int]:
        """Numbers of the modules in question."""
        if address is None:
            return range(len(self._modules))
        at = bisect.bisect_right(self._regions, (address, 1 << 64, 0)) - 1
        if at < 0:
            return ()
        start, end, number = self._regions[at]
        return (number,) if start <= address < end else ()

    def _may_hold(self, number: int, name: str) -> bool:
        """Whether a name is in a module's string table; most are looked for in vain."""
        if number in self._indices:
            return True
        if number not in self._strings:
            self._strings[number] = _strings(self._modules[number])
        strings = self._strings[number]
        return strings is None or b"\0%b\0" % name.encode("utf-8", "replace") in strings

    def _index(self, number: int) -> SymbolIndex:
        if number not in self._indices:
            from drgn import SymbolIndex

            self._indices[number] = SymbolIndex(_symbols(self._modules[number]))
        return self._indices[number]


def _strings(module: Object) -> bytes | None:
    """A module's string table, which ends with the name of its last symbol; ``None`` if damaged."""
    from drgn import FaultError

    prog = module.prog_
    try:
        names = module.kallsyms  # struct mod_kallsyms, since 4.5
        start = names.strtab.value_()
        last = names.symtab[names.num_symtab.value_() - 1].st_name.value_()
        if last > _MOST_STRINGS:
            return None
        strings: bytes = (
            prog.read(start, last) + prog.read_c_string(start + last, max_size=_LONGEST) + b"\0"
        )
    except (FaultError, LookupError, AttributeError, ValueError):
        return None
    return strings


def _symbols(module: Object) -> list[Symbol]:
    """Of one module; a damaged one stays unnamed, and all others are named."""
    from drgn import FaultError
    from drgn.helpers.linux.kallsyms import module_kallsyms

    try:
        return module_kallsyms(module)
    except (FaultError, LookupError, AttributeError, ValueError):
        return []
