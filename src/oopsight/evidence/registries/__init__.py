"""Registries of the kernel that hold pointers which modules put there; one file each.

Each file has ``THING``, what hangs there, and ``search(look: Look) -> None``, which walks one kind
of registry and shows every such pointer to the :class:`Look`; its name is the registry's. Most have
``REGISTERS``: the kernel's functions that hang things there, as patterns of their names.
``search_more``, which a file may have beside it or instead, is for what takes long: it is called
where the bad address lies among the modules and no registry explains it. A failure in one never
stops another.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from oopsight.evidence.held_pointers import PAGE, Dangling, ExhaustedError
from oopsight.evidence.look import Look

__all__ = [
    "PAGE",
    "Dangling",
    "ExhaustedError",
    "Look",
    "registering",
    "registry_modules",
    "search_all",
]


def registry_modules() -> Iterator[ModuleType]:
    """All registries, by name."""
    for info in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{info.name}")


def registering(registry: str) -> tuple[str, ...]:
    """Patterns of the functions that hang things in a registry; none where that is not known."""
    module = next((m for m in registry_modules() if m.__name__.endswith(f".{registry}")), None)
    found: tuple[str, ...] = getattr(module, "REGISTERS", ())
    return found


def search_all(look: Look) -> None:
    """Look through every registry, and deeper where none explains the bad address."""
    modules = list(registry_modules())
    for module in modules:
        _search(look, module, "search")
    if look.near is not None and not look.explains(look.near):
        for module in modules:
            _search(look, module, "search_more")


def _search(look: Look, module: ModuleType, how: str) -> None:
    search = getattr(module, how, None)
    if search is None:
        return
    name = module.__name__.rpartition(".")[2]
    look.start(name, module.THING)
    try:
        search(look)
    except Exception as error:  # noqa: BLE001  # one registry must not hide the others
        look.cannot(name, error)
