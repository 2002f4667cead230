"""Functions whose last act is a jump to what frees: they leave no frame."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
from handmade_session import Machine

from oopsight.evidence.memory.jumping_freers import jumping
from oopsight.evidence.modules.module_code import ModuleFunction

VICTIM = 0xFFFFFFFFC0400000
MODULES = made.modules(made.module("cam", VICTIM, VICTIM + 0x18, "O"))


class Tails:
    """Two functions, one of which ends in a jump to ``kfree()``."""

    def __init__(self) -> None:
        self.code = {VICTIM: bytes.fromhex("e9fb000000"), VICTIM + 1: bytes.fromhex("c3")}

    def function(self, address: int) -> tuple[str, int, int] | None:
        if address == VICTIM + 0x100:
            return "kfree", address, 16
        return ("cam_close", address, len(self.code[address])) if address in self.code else None

    def read(self, address: int, size: int) -> bytes:
        return self.code[address][:size]


def test_who_frees_by_a_jump() -> None:
    machine = Machine()
    inner = [
        ModuleFunction(name, VICTIM + at, frozenset(["kfree"]), frozenset(), copies=False)
        for at, name in enumerate(("cam_close", "cam_poll"))
    ]
    machine.session.prog.cache["oopsight:functions-of-modules"] = {VICTIM: inner}
    reader: Any = Tails()
    found = jumping(machine.session, MODULES, reader, "cam", ("cam_close", "cam_poll"))
    assert found == ("cam_close",)
