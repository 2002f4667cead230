"""Names of addresses, from the symbol tables that the dump is read with, each asked for once."""

from __future__ import annotations

from typing import Any

from oopsight.text import c_string, printable

_LONGEST_NAME = 128
# Symbols of data without a size may be followed by pages of something else.
_FARTHEST = 1 << 20


class Names:
    """Names functions and data; remembers each answer."""

    def __init__(self, prog: Any) -> None:
        self._prog = prog
        self._code: dict[int, tuple[str, int | None, int]] = {}
        self._data: dict[int, str | None] = {}
        self._begins: dict[int, str | None] = {}

    def code(self, pc: int) -> tuple[str, int | None, int]:
        """The function that an address lies in.

        :return: its name, start and size; the address in hex, ``None`` and 0 where there is none
        """
        if pc not in self._code:
            try:
                symbol = self._prog.symbol(pc)
                self._code[pc] = (
                    printable(symbol.name, _LONGEST_NAME),
                    symbol.address,
                    symbol.size,
                )
            except LookupError:
                self._code[pc] = (f"{pc:#x}", None, 0)
        return self._code[pc]

    def function_at(self, address: int) -> str | None:
        """The function that begins at an address."""
        if address not in self._begins:
            name, start, _ = self.code(address)
            self._begins[address] = name if start == address else None
        return self._begins[address]

    def data(self, address: int) -> str | None:
        """What lies at an address: a variable, or an object of a slab cache.

        :return: ``wear_lock``, ``stripe_set+0x30``, ``kmalloc-64 object ffff…+0x8``, or ``None``
        """
        if address not in self._data:
            self._data[address] = self._variable(address) or self._slab_object(address)
        return self._data[address]

    def within(self, address: int) -> int | None:
        """Where in its slab object an address lies, in bytes; ``None`` where it lies in none."""
        from drgn import FaultError

        from oopsight.kernel.slab_objects import slab_object_info

        try:
            info = slab_object_info(self._prog, address)
        except (FaultError, LookupError, AttributeError, ValueError):
            return None
        return None if info is None else int(address - info.address)

    def inside(self, address: int) -> int | None:
        """Where in its slab object, or else its variable, an address lies, in bytes."""
        found = self.within(address)
        if found is not None:
            return found
        try:
            symbol = self._prog.symbol(address)
        except LookupError:
            return None
        offset = int(address - symbol.address)
        return offset if offset <= _FARTHEST else None

    def _variable(self, address: int) -> str | None:
        try:
            symbol = self._prog.symbol(address)
        except LookupError:
            return None
        offset = address - symbol.address
        if offset > _FARTHEST:
            return None
        name = printable(symbol.name, _LONGEST_NAME)
        return f"{name}+{offset:#x}" if offset else name

    def _slab_object(self, address: int) -> str | None:
        from drgn import FaultError

        from oopsight.kernel.slab_objects import slab_object_info

        try:
            info = slab_object_info(self._prog, address)
            if info is None:
                return None
            cache = printable(c_string(info.slab_cache.name), _LONGEST_NAME)
            offset = address - info.address
        except (FaultError, LookupError, AttributeError, ValueError):
            return None
        return f"{cache} object {info.address:x}" + (f"+{offset:#x}" if offset else "")
