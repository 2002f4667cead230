"""drgn as Oopsight loads it: only what is used of it."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from types import ModuleType
from typing import Any

_HELPERS = ("drgn.helpers.common", "drgn.helpers.linux")


class _Package(ModuleType):
    """A package whose own code has not run, and does so when more is asked of it than its files."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)  # asked by the import system of any module
        self.__class__ = ModuleType  # type: ignore[assignment]  # as PEP 549 has it
        if self.__spec__ and self.__spec__.loader:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def load(*, small: bool = False) -> ModuleType:
    """Import drgn; before this nothing of it may be imported.

    :param small: the symbols are known to be few: a pack's
    """
    # Plugins of other packages are none of our business and cost 75 ms.
    os.environ.setdefault("DRGN_DISABLE_PLUGINS", "*")
    # Threads read debug information in parallel, and are set up when drgn is loaded. Those which
    # have nothing to do shall not spin for work. For the little in a pack, 13 ms, they cost more
    # than they do: 58 ms with two of them.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if small:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    import drgn

    # What drgn would warn of becomes a missing fact with its reason.
    logging.getLogger("drgn").setLevel(logging.ERROR)
    for name in _HELPERS:
        _import_without_files(name)
    return drgn


def _import_without_files(name: str) -> None:
    """Import a package that imports all its files, 30 ms, so that each is imported when used."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None:
        return  # the import of one of its files will say so
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Package
    sys.modules[name] = package
    parent, _, last = name.rpartition(".")
    setattr(sys.modules[parent], last, package)
