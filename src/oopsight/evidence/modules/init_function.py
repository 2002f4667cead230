"""A module's initialisation: once it has run its code is gone; the file alone has its name."""

from __future__ import annotations

import itertools

from oopsight.dump.elf import MalformedElfError
from oopsight.errors import SymbolError
from oopsight.session import Session
from oopsight.symbols.module_file import read
from oopsight.symbols.module_places import find
from oopsight.text import printable

_MOST_FILES = 4
EVERY_INIT = "init_module"
"""The name by which the loader knows it."""


def init_function(session: Session, module: str) -> str:
    """Its own name after the module's file, else the one that all modules' have."""
    for found in itertools.islice(find(module, session.module_places), _MOST_FILES):
        try:
            file = read(found.path)
        except (OSError, MalformedElfError, SymbolError):
            continue
        if file.init and file.release in (None, session.info.release):
            return printable(file.init)
    return EVERY_INIT
