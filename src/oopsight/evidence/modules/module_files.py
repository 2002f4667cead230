"""Debug files of the modules on the crash path: source lines and inlined calls within modules.

Only theirs are loaded: each costs some 20 ms, and names are known without.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from oopsight.errors import SymbolError
from oopsight.session import Session
from oopsight.symbols.compressed import in_memory
from oopsight.symbols.module_places import find
from oopsight.symbols.module_store import ModuleStore
from oopsight.text import c_string, printable

MOST_FILES = 8
"""Files tried for one module: of several kernels, stripped and not."""
MOST_MODULES = 16
_TRIED = "oopsight-module-files"


def _modules_at(session: Session, addresses: Iterable[int]) -> list[str]:
    """Names of the modules that hold some program counters."""
    from drgn import FaultError
    from drgn.helpers.linux.module import address_to_module

    names: dict[str, None] = {}
    for address in addresses:
        try:
            module = address_to_module(session.prog, address)
            if module:
                names[printable(c_string(module.name))] = None
        except (FaultError, LookupError, AttributeError, ValueError):
            continue
    return list(names)[:MOST_MODULES]


def load_debug_files(session: Session, addresses: Iterable[int]) -> bool:
    """Give drgn the debug files of the modules at some program counters, once for each module.

    drgn itself compares build IDs, so that a file of another build changes nothing.

    :return: whether any was loaded
    """
    import drgn

    if session.symbols.pack and not session.symbols.lines:
        return False  # the dump's own symbols know modules by name alone
    tried: set[str] = session.prog.cache.setdefault(_TRIED, set())
    names = [name for name in _modules_at(session, addresses) if name not in tried]
    tried.update(names)
    if session.symbols.lines:
        return _load_from_pack(session, names)
    places = session.module_places
    files = [
        found.path
        for name in names
        for found in itertools.islice(find(name, places), MOST_FILES)
        if not found.compressed
    ]
    if not files:
        return False
    try:
        session.prog.load_debug_info(files)
    except drgn.MissingDebugInfoError:
        pass  # said of the modules for which there is no file
    except (drgn.FaultError, ValueError, OSError, LookupError):
        return False
    return True


def _load_from_pack(session: Session, names: list[str]) -> bool:
    """Give drgn what the pack has of some modules, by their build ID."""
    import drgn
    from drgn.helpers.linux.module import find_module

    if not names or session.symbols.path is None:
        return False
    loaded = False
    try:
        store = ModuleStore(session.symbols.path)
    except SymbolError:
        return False
    for name in names:
        try:
            found = find_module(session.prog, name)
            module = session.prog.linux_kernel_loadable_module(found, create=True)
            image = store.image(module.build_id.hex() if module.build_id else "")
            if image is None:
                continue
            path = in_memory(image)
            module.try_file(path)
        except (drgn.FaultError, LookupError, ValueError, OSError, SymbolError):
            continue
        loaded = loaded or module.debug_file_status == drgn.ModuleFileStatus.HAVE
    return loaded
