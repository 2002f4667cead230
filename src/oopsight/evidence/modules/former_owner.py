"""The unloaded module that owned the bad address, and what it had there.

Told by what is left of modules in free pages (:mod:`oopsight.kernel.module_remains`); by the copy
of the module that is loaded again; by the module's file where one is at hand. Of a copy and a file
is known what had which offset within its page, as modules begin at page boundaries. A file tells,
too, whether the module calls at all what hangs things where the pointer was found. The kernel names
the module unloaded last, and not those before: if that one calls no such function, it was another,
of which there may be a file.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.dump.elf import MalformedElfError
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.modules.dangling import DanglingPointers
from oopsight.evidence.modules.init_function import init_function
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.evidence.pointers import BytesPointer, Memory
from oopsight.evidence.registries import registering
from oopsight.kernel import free_pages
from oopsight.kernel.module_remains import Description, Remains
from oopsight.session import Session
from oopsight.symbols.module_file import (
    ALIASES,
    PAGE,
    ModuleFile,
    ModuleSymbol,
    exit_function,
    read,
)
from oopsight.symbols.module_places import at_hand, find
from oopsight.text import c_string, printable
from oopsight.walk import MOST_MODULES, each_once

_MOST_SYMBOLS = 1 << 20
_MOST_MODULES = 16
_MOST_FILES = 8
"""Files tried for one module."""
_WORD = 8
_PADDING = 16
"""Before a part's first function, CONFIG_FUNCTION_PADDING_BYTES."""
_REMAINS = "oopsight-module-remains"


@dataclass(frozen=True)
class FormerOwner:
    """The module whose memory it was."""

    module: str
    sure: bool
    """Whether no other of the modules that are gone can have owned the address."""
    others: tuple[str, ...]
    """Those of the others that can have."""
    elsewhere: tuple[str, ...]
    """Those of which is left that they lay elsewhere."""
    begin: Address
    """What was looked up: where the pointer to the bad address leads."""
    description: tuple[Memory, ...]
    """What is left of its ``struct module``: its name, and the range that holds the address."""
    symbol: str | None
    """The only function or object of the module that can have been there."""
    function: bool
    """Whether that is a function."""
    exit: str | None
    """Name of its exit function."""
    source: str | None
    """What the names are known from."""
    refused: tuple[str, ...]
    """Files of the module that do not fit, and why."""
    placed: bool
    """Whether anything tells that the module lay there, but that it is gone: what is left of its
    description, or a symbol that is not merely the first in its memory."""
    by_file: bool = False
    """Whether nothing but a file, which fits, tells of the module."""
    unable: tuple[str, ...] = ()
    """Modules unloaded, by whose files they call nothing that hangs things there."""
    never: BytesPointer | None = None
    """What says that none was ever unloaded: this one had failed to load."""
    init: str | None = None
    """Then its initialisation, which left something behind."""


@dataclass(frozen=True)
class _Names:
    """Symbols of a module from one source."""

    source: str
    symbols: tuple[ModuleSymbol, ...]
    exit: ModuleSymbol | None
    sizes: tuple[int, ...] = ()
    imports: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Match:
    names: _Names
    symbol: ModuleSymbol
    strong: bool
    """Whether the address is where the symbol begins, and not that of whatever comes first."""


@dataclass(frozen=True)
class _Trial:
    """What came of looking an address up in all sources for a module's names."""

    match: _Match | None
    known: bool
    """Whether there was a source."""
    refused: list[str]
    leaving: _Names | None = None
    """A source that fits as well, though several of its symbols do, or its exit function alone."""


@dataclass(frozen=True)
class Spot:
    """An address where no module is now."""

    address: int
    execute: bool | None
    """Whether code was expected there; ``None`` where that is not known."""
    modules: Modules
    registry: str | None = None
    """Where the pointer to it was found."""


def remains_of(session: Session, modules: Modules) -> tuple[Description, ...]:
    """What is left of unloaded modules, looked for once."""
    from drgn import FaultError

    cache = session.prog.cache
    if _REMAINS not in cache:
        found: list[Description] = []
        if modules.area:
            try:
                buddy = not (session.info.dump_level or 0) & free_pages.LEVEL
                found = Remains(session.prog, modules.area, buddy=buddy).descriptions()
            except (FaultError, LookupError, AttributeError, ValueError):
                found = []
        cache[_REMAINS] = tuple(found)
    kept: tuple[Description, ...] = cache[_REMAINS]
    return kept


def collect(
    session: Session,
    fault: Fault,
    modules: Modules,
    dangling: DanglingPointers | Missing,
    unloaded: UnloadedModules | Missing,
) -> FormerOwner | Missing:
    """Name the module, and what the pointer led to."""
    if fault.address is None or not modules.in_area(fault.address):
        return Missing(Why.NOT_APPLICABLE, "the bad address is not where modules are loaded")
    if modules.owner(fault.address):
        return Missing(Why.NOT_APPLICABLE, "a loaded module owns the bad address")
    pointers = dangling.found if isinstance(dangling, DanglingPointers) else ()
    # The pointer leads to the beginning of the object, the fault may lie within it.
    before = [d.begin for d in pointers if d.begin <= fault.address < d.begin + PAGE]
    begin = max(before, default=fault.address)
    registry = next((d.registry for d in pointers if d.begin == begin), None)
    spot = Spot(begin, fault.access == "execute", modules, registry)
    known = unloaded.modules if isinstance(unloaded, UnloadedModules) else ()
    return former_owner(session, spot, [module.name for module in known])


def former_owner(session: Session, spot: Spot, gone: list[str]) -> FormerOwner | Missing:
    """Decide between the modules that are gone.

    :param gone: those that the kernel and its log name, the likeliest first
    """
    remains = remains_of(session, spot.modules)
    holders = {d.name: d for d in remains if d.holds(spot.address)}
    # Of a module that was loaded more than once, only one of its places may be known.
    elsewhere = [d.name for d in remains if d.name not in holders]
    gone = [*dict.fromkeys([*holders, *gone, *elsewhere])][:_MOST_MODULES]
    never = _never(session, spot.modules)
    if not gone and never is None:
        return Missing(Why.NOT_APPLICABLE, "no module is known to have been unloaded")
    possible = [name for name in gone if name not in elsewhere] or gone
    tried = {name: _match(session, name, spot, holders.get(name)) for name in possible}
    unable = [] if holders else _unable(spot, tried)
    by_calls = any(tried[name].match for name in unable)
    out = [n for n in possible if n in unable or (tried[n].known and not tried[n].match)]
    by_file = _by_file(session, spot, gone) if not holders and len(out) == len(possible) else {}
    if by_file:
        possible, tried = list(by_file), by_file
    if not possible:
        return Missing(Why.NOT_APPLICABLE, "no module is known to have been unloaded, or to fit")
    matches = {n: tried[n].match for n in possible if tried[n].match and n not in unable}
    fitting = list(holders) or list(matches) or possible
    if len(holders) > 1:
        fitting = [name for name in holders if name in matches] or fitting
    name = fitting[0]
    match = matches.get(name) if len(fitting) == 1 else None
    # Out of the question are those of which all symbols are known, and none fits.
    others = [n for n in possible if n != name and (n in matches or not tried[n].known)]
    if name in holders:
        sure = not others or (match is not None and match.strong)
    else:
        sure = not others and (match is not None or len(possible) == len(gone))
    names = match.names if match else tried[name].leaving if len(fitting) == 1 else None
    leave = names.exit if names and never is None else None
    return FormerOwner(
        module=name,
        sure=sure and len(fitting) == 1,
        others=tuple(others),
        elsewhere=tuple(n for n in dict.fromkeys(elsewhere) if n != name),
        begin=Address(spot.address),
        description=_memory(session, holders.get(name), spot.address),
        symbol=printable(match.symbol.name) if match else None,
        function=match is not None and match.symbol.function,
        exit=printable(leave.name) if leave else None,
        source=names.source if names else None,
        refused=tuple(tried[name].refused),
        # Where a symbol of one that is out of the question begins there too, it may be chance.
        placed=name in holders
        or (match is not None and match.strong and not by_file and not by_calls),
        by_file=bool(by_file),
        unable=tuple(unable),
        never=never,
        init=init_function(session, name) if never is not None else None,
    )


def imports_of(session: Session, name: str) -> frozenset[str] | None:
    """What a module that is gone uses of others, if a file of it is at hand."""
    return next((one.imports for one in _sources(session, name, None, []) if one.imports), None)


def _never(session: Session, modules: Modules) -> BytesPointer | None:
    """What says that no module was ever unloaded: then one that is gone had failed to load.

    Its memory is freed as well, and its name is kept nowhere.
    """
    from drgn import FaultError

    if modules.last_unloaded is not None:
        return None
    try:
        last = session.prog["last_unloaded_module"].address_
        name = session.read(last, _WORD) if last is not None else b"?"
    except (FaultError, LookupError):
        return None
    return None if any(name) else BytesPointer(Address(last), name.hex())


def _unable(spot: Spot, tried: dict[str, _Trial]) -> list[str]:
    """Modules that by their files call nothing that hangs things in the registry."""
    patterns = registering(spot.registry) if spot.registry is not None else ()
    known = {name: _imports(trial) for name, trial in tried.items()}
    return [
        name
        for name, imports in known.items()
        if patterns and imports and not _any(imports, patterns)
    ]


def _by_file(session: Session, spot: Spot, gone: list[str]) -> dict[str, _Trial]:
    """Modules of which there is a file alone: those that fit and hang things in the registry."""
    patterns = registering(spot.registry or "")
    loaded = {module.name for module in spot.modules.loaded}
    found: dict[str, _Trial] = {}
    for name in at_hand(session.module_places):
        if name in loaded or name in gone:
            continue
        trial = _match(session, name, spot, None)
        if trial.match is not None and _any(_imports(trial), patterns):
            found[name] = trial
    return found


def _imports(trial: _Trial) -> frozenset[str]:
    """What a module uses, by the source that fits; empty where that is not known."""
    names = trial.match.names if trial.match is not None else trial.leaving
    return names.imports if names is not None else frozenset()


def _any(names: frozenset[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _match(session: Session, name: str, spot: Spot, described: Description | None) -> _Trial:
    """Look the address up in each source for a module's names, until one fits."""
    refused: list[str] = []
    known, leaving = False, None
    for names in _sources(session, name, described, refused):
        fitting, begins = _candidates(names, spot)
        if len({symbol.name for symbol in fitting}) == 1:
            # Whatever comes first in a part always begins at a page's beginning.
            strong = begins and fitting[0].offset > (_PADDING if fitting[0].function else 0)
            return _Trial(_Match(names, fitting[0], strong), True, refused)
        if names.symbols:
            known = True
            refused.append(f"{names.source}: {len(fitting) or 'no'} symbols fit")
        at_exit = described and names.exit and names.exit.page_offset == described.exit % PAGE
        if fitting or at_exit:
            leaving = leaving or names
    return _Trial(None, known and leaving is None, refused, leaving)


def _sources(
    session: Session, name: str, described: Description | None, refused: list[str]
) -> Iterator[_Names]:
    if described:
        symbols = tuple(
            ModuleSymbol(s.name, s.address % PAGE, s.size, s.function) for s in described.symbols
        )
        yield _Names("what is left of its symbol table", symbols, exit_function(symbols))
    yield _loaded_copy(session, name)
    for found in itertools.islice(find(name, session.module_places), _MOST_FILES):
        try:
            file = read(found.path)
        except (OSError, MalformedElfError, SymbolError) as error:
            refused.append(f"{found.name}: {printable(str(error), 200)}")
            continue
        release = None if found.place.of_release else session.info.release
        why = _wrong(file, name, release, described)
        if why:
            refused.append(f"{found.name}: {why}")
        elif file.symbols:
            yield _Names(found.name, file.symbols, file.exit, file.sizes, file.imports)


def _wrong(
    file: ModuleFile, name: str, release: str | None, described: Description | None
) -> str | None:
    """Why a file cannot be the one that was loaded."""
    if file.name is not None and file.name != name:
        return f"it is a module named {printable(file.name)}"
    if file.release and release and file.release != release:
        return f"it was built for {printable(file.release)}"
    if described is None:
        return None
    if file.exit and described.exit and file.exit.page_offset != described.exit % PAGE:
        return "another build: its exit function is not where that of the module was"
    room = sum(-(-(end - start) // PAGE) for start, end in described.ranges)
    if sum(-(-size // PAGE) for size in file.sizes) > room:
        return "another build: it is larger than the module was"
    return None


def _loaded_copy(session: Session, name: str) -> _Names:
    """Symbols of the module of that name that is loaded now; empty where none is."""
    from drgn import FaultError, SymbolKind
    from drgn.helpers.linux.kallsyms import module_kallsyms
    from drgn.helpers.linux.module import for_each_module

    found: list[ModuleSymbol] = []
    leave = None
    try:
        loaded = each_once(for_each_module(session.prog), MOST_MODULES)
        module = next((one for one in loaded if printable(c_string(one.name)) == name), None)
        if module is not None:
            for symbol in module_kallsyms(module)[:_MOST_SYMBOLS]:
                function = symbol.kind == SymbolKind.FUNC
                known = ModuleSymbol(
                    printable(symbol.name), symbol.address % PAGE, symbol.size, function
                )
                found.append(known)
                at_exit = symbol.address == module.member_("exit").value_()
                if at_exit and function and symbol.name not in ALIASES:
                    leave = known
    except (FaultError, LookupError, AttributeError, ValueError):
        found = []
    return _Names("the copy of it that is loaded again", tuple(found), leave)


def _candidates(names: _Names, spot: Spot) -> tuple[list[ModuleSymbol], bool]:
    """Symbols that can have been at the address, and whether it is where they begin."""
    fitting = [s for s in names.symbols if s.name not in ALIASES and _fits(s, names.sizes, spot)]
    at = spot.address % PAGE
    # What was to be executed was a function; what was read hardly ever.
    wanted = [s for s in fitting if spot.execute in (None, s.function)]
    starts = [s for s in wanted if s.page_offset == at]
    within = [s for s in wanted if (at - s.page_offset) % PAGE < s.size]
    others = [s for s in fitting if s.page_offset == at]
    return starts or within or others, bool(starts)


def _fits(symbol: ModuleSymbol, sizes: tuple[int, ...], spot: Spot) -> bool:
    """Whether the part of memory that the symbol is in was free of others, were it here."""
    if symbol.part is None or not sizes:
        return True
    at = spot.address % PAGE
    start = spot.address - (at - symbol.page_offset) % PAGE - symbol.offset
    end = start + max(sizes[symbol.part], 1)
    return not any(
        low < end and start < high for m in spot.modules.loaded for low, high in m.ranges
    )


def _memory(session: Session, described: Description | None, address: int) -> tuple[Memory, ...]:
    from drgn import FaultError, Object

    if described is None:
        return ()
    module: Any = Object(session.prog, "struct module *", described.address)
    try:
        parts = [f"mem[{index}]" for index in range(4)]
        _ = module.mem
    except AttributeError:
        parts = ["core_layout"]
    found = [memory_of(module, "name")]
    for part in parts:
        try:
            memory = module[0].subobject_(part)
            start, size = memory.base.value_(), memory.size.value_()
        except FaultError:
            continue
        if start <= address < start + size:
            found.append(memory_of(module, part))
    return tuple(found)
