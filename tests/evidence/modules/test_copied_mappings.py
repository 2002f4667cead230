"""Mappings that give something back as they end, and take nothing as they are copied."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence.modules import copied_mappings as module
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.copied_mappings import CopiedMapping, copied_mappings
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction

START = 0xFFFFFFFFC0400000
TABLE, OPEN, CLOSE = START + 0x800, START + 0x40, START + 0x80
VM_OPS = 0x48
HELD = Value("loaded", 0x70, Value("argument", 1))
CODE = [ModuleFunction("win_mmap", START, frozenset(), frozenset({TABLE}), copies=False)]


class Text:
    """The table of operations, and who is where."""

    def __init__(self, *operations: int) -> None:
        self.operations = operations

    def read(self, address: int, size: int) -> bytes | None:
        return self.operations[(address - TABLE) // 8].to_bytes(8, "little")[:size]

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        return {CLOSE: ("win_close", CLOSE, 16), OPEN: ("win_open", OPEN, 16)}.get(address)


def use(**changes: Any) -> FieldUse:
    return FieldUse((), (), counts=False, **changes)


PUT = use(put=((4, Value("argument", 1)),))
USES = {
    "win_mmap": use(pointers=((VM_OPS, Value("number", TABLE)),)),
    "win_close": use(handed=(Handed(4, "win_put", own=True, arguments=(HELD,)),)),
    "win_put": PUT,
}


def found(
    monkeypatch: pytest.MonkeyPatch, *operations: int, rows: str = "", **uses: FieldUse
) -> tuple[CopiedMapping, ...]:
    monkeypatch.setattr(module, "_layout", lambda _: (VM_OPS, 0, 8))
    mnemonic, _, operands = rows.partition(" ")
    monkeypatch.setattr(module, "instructions", lambda *_: [(0, b"", mnemonic, operands, None)])
    driver = made.module("win", START, START + 0x1000, "O")
    reader: Any = Text(*operations)
    return copied_mappings(Machine().session, reader, driver, {**USES, **uses}, CODE)


def test_a_close_that_gives_back_and_no_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, 0, CLOSE) == (CopiedMapping("win_mmap", "win_close", ("win_put",)),)
    assert found(monkeypatch, OPEN, CLOSE) == ()


def test_what_is_never_copied_needs_no_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, 0, CLOSE, rows="or qword ptr [rsi + 0x20], 0x20000") == ()
    assert found(monkeypatch, 0, CLOSE, rows="or qword ptr [rsi + 0x20], 0x40000")


def test_a_close_that_gives_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, 0, CLOSE, win_close=use()) == ()
    assert found(monkeypatch, 0, 0) == ()


def test_without_types_nothing_is_told() -> None:
    assert module._layout(Machine()) is None
