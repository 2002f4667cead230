"""The symbol of an unloaded module at the bad address.

Known where the module has been loaded again, from that copy's symbols in the dump, and where the
module's ``.ko`` is at hand. Either way the module's memory begins at a page boundary, so that the
offset of a symbol within its page is the same wherever the module is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.dangling import DanglingPointers
from oopsight.evidence.fault import Fault
from oopsight.evidence.modules import Modules
from oopsight.session import Session
from oopsight.symbols.module_file import ModuleSymbol, find, first_readable
from oopsight.text import printable

_PAGE = 4096
_MOST_SYMBOLS = 1 << 20
# Every module has these, beside the functions' own names.
_ALIASES = ("init_module", "cleanup_module")


@dataclass(frozen=True)
class GoneSymbol:
    """The only symbol of the module that can have been at the address."""

    module: str
    name: str
    function: bool
    source: str
    """Where it is known from."""


def _loaded_copy(session: Session, name: str) -> list[ModuleSymbol]:
    """Symbols of the module of that name that is loaded now; empty where none is."""
    from drgn import FaultError, SymbolKind
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import find_module

    try:
        module = find_module(session.prog, name)
        if not module:
            return []
        return [
            ModuleSymbol(
                printable(symbol.name),
                symbol.address % _PAGE,
                symbol.size,
                symbol.kind == SymbolKind.FUNC,
            )
            for symbol in module_kallsyms(module)[:_MOST_SYMBOLS]
        ]
    except (FaultError, LookupError, AttributeError, ValueError):
        return []


def _at(symbols: Iterable[ModuleSymbol], address: int, *, execute: bool) -> set[tuple[str, bool]]:
    """Names of those that begin at the address's offset within its page, and if it is a function.

    A pointer that was followed to be executed leads to a function, one that was read may not.
    """
    found = {
        (symbol.name, symbol.function)
        for symbol in symbols
        if symbol.page_offset == address % _PAGE and symbol.name not in _ALIASES
    }
    return {(name, function) for name, function in found if function == execute} or found


def collect(
    session: Session, fault: Fault, modules: Modules, dangling: DanglingPointers | Missing
) -> GoneSymbol | Missing:
    """Name what the pointer led to; an ambiguous answer is none."""
    if fault.address is None or not modules.in_area(fault.address) or not modules.last_unloaded:
        return Missing(Why.NOT_APPLICABLE, "the bad address is not one of an unloaded module")
    if modules.owner(fault.address):
        return Missing(Why.NOT_APPLICABLE, "a loaded module owns the bad address")
    name, address = modules.last_unloaded, fault.address
    if isinstance(dangling, DanglingPointers):
        # The pointer leads to the beginning of the object, the fault may lie within it.
        before = [d.begin for d in dangling.found if d.begin <= address < d.begin + _PAGE]
        address = Address(max(before, default=address))
    execute = fault.access == "execute"
    reasons = []
    for source, symbols in (
        ("the copy of it that is loaded again", _loaded_copy(session, name)),
        ("its file on disk", first_readable(find(name, session.debug_directories))),
    ):
        names = _at(symbols, address, execute=execute)
        if len(names) == 1:
            ((symbol, function),) = names
            return GoneSymbol(name, symbol, function, source)
        if symbols:
            reasons.append(f"{source}: {len(names) or 'no'} symbols fit")
    return Missing(
        Why.NO_SYMBOLS,
        f"{name}: {'; '.join(reasons) or 'it is not loaded again, and no .ko of it is at hand'}",
    )
