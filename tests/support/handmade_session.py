"""A session over a few pieces of memory and symbols."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import drgn

from oopsight.session import Session


class Machine:
    """What a collector can ask of a dump: bytes by address, names by address."""

    def __init__(self) -> None:
        self.memory: dict[int, bytes] = {}
        self.symbols: dict[int, tuple[str, int]] = {}
        self.cache: dict[str, Any] = {}

    @property
    def session(self) -> Session:
        return cast("Session", SimpleNamespace(prog=self, read=self.read))

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.memory.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise drgn.FaultError("not here", address)

    def words(self, address: int, *values: int) -> None:
        self.memory[address] = b"".join(value.to_bytes(8, "little") for value in values)

    def symbol(self, place: int | str) -> Any:
        for start, (name, size) in self.symbols.items():
            if place == name or (isinstance(place, int) and start <= place < start + size):
                return SimpleNamespace(name=name, address=start, size=size)
        raise LookupError(place)

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def type(self, name: str) -> Any:
        raise LookupError(name)
