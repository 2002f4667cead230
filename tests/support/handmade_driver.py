"""A driver's functions, assembled by hand, with calls of each other and of the kernel's."""

from __future__ import annotations

from typing import Any

from drgn import SymbolKind
from handmade_facts import module, modules
from handmade_session import Machine

from oopsight.evidence.modules.ownership import Ownership

START = 0xFFFFFFFFC0000000
DATA = START + 0x1800
DRIVER = module("drv", START, START + 0x2000, "O")
MODULES = modules(DRIVER)
_KERNEL = START + 0x10000
_APART = 0x100


class Driver(Machine):
    """Each function by name: its code as hex, ``call NAME`` and ``jmp NAME``."""

    def __init__(self, **functions: tuple[str, ...]) -> None:
        super().__init__()
        self.starts = {name: START + _APART * n for n, name in enumerate(functions)}
        self.data: dict[int, int] = {}
        codes = {name: self._code(name, parts) for name, parts in functions.items()}
        for name, code in codes.items():
            self.symbols[self.starts[name]] = (name, len(code))
        memory = bytearray(0x2000)
        for name, code in codes.items():
            at = self.starts[name] - START
            memory[at : at + len(code)] = code
        self.memory[START] = bytes(memory)

    def _code(self, own: str, parts: tuple[str, ...]) -> bytes:
        code = b""
        for part in parts:
            word, _, name = part.partition(" ")
            if word not in ("call", "jmp"):
                code += bytes.fromhex(part)
                continue
            target = self._target(name)
            distance = target - (self.starts[own] + len(code) + 5)
            code += (b"\xe8" if word == "call" else b"\xe9") + distance.to_bytes(
                4, "little", signed=True
            )
        return code + b"\xcc" * (-len(code) % 16)

    def _target(self, name: str) -> int:
        if name in self.starts:
            return self.starts[name]
        known = {known: at for at, (known, _) in self.symbols.items()}
        at = known.get(name, _KERNEL + _APART * len(self.symbols))
        self.symbols[at] = (name, 0x80)
        return at

    def table(self, name: str, size: int, words: dict[int, str]) -> None:
        """A variable of the driver with functions of it, by their offsets."""
        memory = bytearray(self.memory[START])
        for offset, function in words.items():
            at = DATA - START + offset
            memory[at : at + 8] = self.starts[function].to_bytes(8, "little")
        self.memory[START] = bytes(memory)
        self.symbols[DATA] = (name, size)

    def symbol(self, place: int | str) -> Any:
        found = super().symbol(place)
        code = found.address != DATA
        found.kind = SymbolKind.FUNC if code else SymbolKind.OBJECT
        return found

    def type(self, name: str) -> Any:
        raise LookupError(name)

    def ownership(self) -> Ownership:
        return Ownership(self.session, MODULES, DRIVER)

    def site(self, function: str, called: str) -> int:
        """Address of the call of one function in another."""
        code = self.ownership()
        one = code.by_start[self.starts[function]]
        followed = code.code(one)
        assert followed is not None
        target = next(at for at, (name, _) in self.symbols.items() if name == called)
        return next(at for at, row in followed.code.items() if row.text == f"{target:#x}")
