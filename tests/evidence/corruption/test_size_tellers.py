"""Who told the kernel how large an object was to be."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_code import function
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.corruption import size_tellers as tellers
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

BASE = 0xFFFFFFFFC0300000
MODULES = made.modules(made.module("cipher", BASE, BASE + 0x1000, "O"))
BEFORE = made.slab_object()
AT = Address(BEFORE.address + 0x10000)
TABLE = Reference(8, Address(BASE + 0x800), "cipher_alg", "cipher", BytesPointer(AT, "00" * 8))
HELD = replace(BEFORE, address=AT, refers=(TABLE,))


def found(monkeypatch: pytest.MonkeyPatch, there: int, set_to: int) -> list[tellers.SizeTeller]:
    machine = Machine()
    machine.memory[int(BEFORE.address)] = int(AT).to_bytes(8, "little") + bytes(BEFORE.size - 8)
    machine.memory[int(AT)] = bytes(4) + there.to_bytes(4, "little") + bytes(HELD.size - 8)
    code = [ModuleFunction("cipher_open", BASE, frozenset(), frozenset(), copies=False)]
    opens = function("c74704" + set_to.to_bytes(4, "little").hex(), "31c0 c3")
    monkeypatch.setattr(tellers, "inner_functions", lambda *_: code)
    monkeypatch.setattr(tellers.StackReader, "function", lambda *_: opens)
    monkeypatch.setattr(
        tellers,
        "owner_of",
        lambda _, __, at: made.owner(at, "slab", slab=HELD if at == AT else None),
    )
    session = machine.session
    return tellers.size_tellers(session, MODULES, SessionReader(session), BEFORE, 16)


def test_a_function_that_sets_the_number_which_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    size = BEFORE.size - 16
    (one,) = found(monkeypatch, size, size)
    assert (one.module, one.function, one.size) == ("cipher", "cipher_open", size)
    assert one.leads == TABLE
    # Another number is there, or it is no size of such an object.
    assert found(monkeypatch, size - 8, size) == []
    assert found(monkeypatch, BEFORE.size + 8, BEFORE.size + 8) == []


def test_numbers_that_are_set_elsewhere() -> None:
    # In its own frame, and through a pointer that it read.
    code = function("4883ec10 c7042420000000 488b07 c7400420000000 4883c410 c3")
    assert tellers.numbers_set(code) == set()
