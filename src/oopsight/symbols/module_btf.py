"""Types of modules, from the dump's own memory, when one is asked for that the kernel has not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oopsight.errors import SymbolError
from oopsight.text import c_string

if TYPE_CHECKING:
    from drgn import Program, Type, TypeKindSet

    from oopsight.symbols.pack.btf import Btf

_MOST_MODULES = 2048
_MOST_BYTES = 64 << 20
_NAME = re.compile(r"\w{1,512}")


class ModuleTypes:
    """A type finder for drgn, behind all others.

    A module's types are made into DWARF only once a name in its BTF is asked for.
    """

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self._waiting: dict[str, bytes] | None = None
        self._kernel: Btf | None = None

    def __call__(
        self, prog: Program, kinds: TypeKindSet, name: str, filename: str | None
    ) -> Type | None:
        """Load the types of the modules that know a name; the first that has it answers."""
        del filename
        if not _NAME.fullmatch(name):
            return None
        # The first string of a module has nothing before it; a longer name costs only time.
        key = name.encode() + b"\0"
        for module in [m for m, data in self._modules().items() if key in data]:
            if self._load(module):
                found = self._find(prog, kinds, name)
                if found is not None:
                    return found
        return None

    def _modules(self) -> dict[str, bytes]:
        """BTF of each module whose types are not loaded yet."""
        from drgn import FaultError

        if self._waiting is None:
            self._waiting = {}
            try:
                for name, data in _module_btf(self._prog):
                    self._waiting[name] = data
            except (FaultError, LookupError, AttributeError, ValueError):
                pass  # what was read of a damaged list is kept
        return self._waiting

    def _load(self, module: str) -> bool:
        from drgn import FaultError

        from oopsight.symbols.compressed import in_memory
        from oopsight.symbols.pack.btf import parse_btf
        from oopsight.symbols.pack.module_types import module_types

        data = self._modules().pop(module)
        prog = self._prog
        try:
            if self._kernel is None:
                start, stop = (prog.symbol(f"__{end}_BTF").address for end in ("start", "stop"))
                if not 0 < stop - start <= _MOST_BYTES:
                    return False
                self._kernel = parse_btf(prog.read(start, stop - start))
            image = module_types(data, self._kernel)
            extra = prog.extra_module(f"types of {module}", create=True)
            found = extra[0] if isinstance(extra, tuple) else extra
            found.try_file(in_memory(image), force=True)
        except (FaultError, LookupError, ArithmeticError, ValueError, OSError, SymbolError):
            return False
        return True

    @staticmethod
    def _find(prog: Program, kinds: TypeKindSet, name: str) -> Type | None:
        from drgn import TypeKind

        words = {
            TypeKind.STRUCT: "struct ",
            TypeKind.UNION: "union ",
            TypeKind.ENUM: "enum ",
            TypeKind.TYPEDEF: "",
        }
        for kind, word in words.items():
            if kind in kinds:
                try:
                    return prog.type(f"{word}{name}")
                except LookupError:
                    continue
        return None


def _module_btf(prog: Program) -> Iterator[tuple[str, bytes]]:
    """Name and BTF of each module that has it: ``btf_modules``, kernel/bpf/btf.c."""
    from drgn import Object
    from drgn.helpers.linux.list import list_for_each_entry

    head = Object(prog, "struct list_head", address=prog.symbol("btf_modules").address)
    rows = list_for_each_entry("struct btf_module", head.address_of_(), "list")
    for count, row in enumerate(rows):
        size = row.btf.data_size.value_()
        if count == _MOST_MODULES or not 0 < size <= _MOST_BYTES:
            return
        name = c_string(row.module.name).decode("ascii", "replace")
        yield name, prog.read(row.btf.data.value_(), size)
