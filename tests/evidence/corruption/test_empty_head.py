"""A list's head that nobody set up, met by a loop assembled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import empty_head
from oopsight.evidence.corruption.empty_head import EmptyHead, collect
from oopsight.evidence.crash.fault import Operand
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.modules.field_code import FieldUse, Stored

MODULE = 0xFFFFFFFFC0300000
TICK, PORTS = MODULE + 0x10, MODULE + 0x800
HEAD = PORTS + 0x40
# mov rax,[rdx]; cmp rax,rdx; je; mov ecx,[rax+0x10]; mov rax,[rax]; cmp rax,rdx; jne; ret
CODE = bytes.fromhex("488b02 4839d0 740b 8b4810 488b00 4839d0 75f5 c3")
MODULES = made.modules(made.module("irports", MODULE, MODULE + 0x1000, "O"))
FAULT = made.fault(0x10, pc=Address(TICK + 8), operand=Operand("rax", Address(0), None, 16, None))


class Reader:
    def __init__(self, head: bytes) -> None:
        self.memory = {TICK: CODE, HEAD: head}

    def function(self, _: int) -> tuple[str, int, int]:
        return "ports_tick", TICK, len(CODE)

    def read(self, address: int, size: int) -> bytes | None:
        found = self.memory.get(address)
        return found[:size] if found is not None else None


def found(monkeypatch: pytest.MonkeyPatch, head: bytes = bytes(16), **changes: Any) -> Any:
    machine = Machine()
    machine.symbols = {PORTS: ("ports", 96)}
    owner = made.owner(HEAD, "module", module="irports", symbol="ports", offset=0x40)
    owner = changes.get("owner", owner)
    frame = SimpleNamespace(registers={"rdx": HEAD, "rax": 0})
    uses = {"ports_tick": FieldUse((), changes.get("stores", ()), counts=False)}
    monkeypatch.setattr(empty_head, "SessionReader", lambda _: Reader(head))
    monkeypatch.setattr(empty_head, "calls", lambda *_: SimpleNamespace(frames=[frame]))
    monkeypatch.setattr(empty_head, "owner_of", lambda *_: owner)
    monkeypatch.setattr(empty_head, "inner_functions", lambda *_: [])
    monkeypatch.setattr(empty_head, "uses_of", lambda *_: uses)
    made_by = ((Allocator("ports_open", "ports_open+0x8"),), True)
    monkeypatch.setattr(empty_head, "allocating", lambda *_: made_by)
    return collect(machine.session, FAULT, made.backtrace(), MODULES)


def test_what_no_function_that_is_left_sets_up_the_initialisation_should_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = found(monkeypatch)
    assert isinstance(head, EmptyHead)
    assert (head.address, head.module) == (HEAD, "irports")
    assert (head.functions, head.by_init) == ((), True)


def test_who_sets_up_others_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    head = found(monkeypatch, stores=(Stored(PORTS, "itself", None),))
    assert (head.functions, head.by_init) == (("ports_tick",), False)


def test_who_makes_such_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = made.owner(HEAD, "slab", slab=made.slab_object())
    head = found(monkeypatch, owner=owner)
    assert (head.functions, head.by_init) == (("ports_open",), False)


def test_a_head_that_was_set_up_once_is_another_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    linked = bytes(8) + HEAD.to_bytes(8, "little")
    assert isinstance(found(monkeypatch, linked), Missing)
