"""Pointers that are put into another place of a table, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import slot_copies as this
from oopsight.evidence.use_after_free.slot_copies import SlotCopies, collect

TABLE = 0xFFFFFFFFC0003000
MODULE = made.module("mod", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0004000, "O")
ONE = made.slab_object(state="free")
# mov rax,[rdi*8+TABLE]; mov [rsi*8+TABLE],rax; ret
COPY = "488b04fd003000c0 488904f5003000c0 c3"
# and then mov qword ptr [rdi*8+TABLE],0; ret
MOVE = f"{COPY[:-3]} 48c704fd003000c000000000 c3"
FREE = "48c704fd003000c000000000 c3"
# mov rax,[rdi*8+T]; mov rdx,[rsi*8+T]; mov [rsi*8+T],rax; mov [rdi*8+T],rdx; ret
SWAP = "488b04fd003000c0 488b14f5003000c0 488904f5003000c0 488914fd003000c0 c3"
# mov rax,[rdi+rsi*8+0x10]; mov [rdi+rdx*8+0x10],rax; ret, and mov qword ptr [rdi+rsi*8+0x10],0
IN_OBJECT = "488b44f710 488944d710 c3"
FREE_IN_OBJECT = "48c744f71000000000 c3"


def found(patch: pytest.MonkeyPatch, frees: str, moves: str, held: Any) -> Any:
    machine = Machine()
    machine.symbols = {TABLE: ("mod_slots", 64)}
    code = Code(frees, moves)
    inner = [
        ModuleFunction(name, code.start(at), frozenset(), frozenset(), copies=False)
        for at, name in enumerate(("mod_release", "mod_move"))
    ]
    patch.setattr(this, "SessionReader", lambda _: code)
    patch.setattr(this, "inner_functions", lambda *_: inner)
    use = replace(made.users(ONE).modules[0], module="mod", frees=("mod_release",))
    users = replace(made.users(ONE), modules=(use,))
    bad = made.flow_step("loaded", "mod_tell", 0x2E2E2E2E, "mod")
    kept = made.flow_step("loaded", "mod_run", int(ONE.address), "mod")
    flow = made.data_flow(made.way(bad), made.way(kept, held_in=held, name="mod_slots"))
    return collect(machine.session, flow, users, made.modules(MODULE))


VARIABLE = made.owner(TABLE + 8, "module", offset=8)


@pytest.mark.parametrize(
    ("frees", "moves", "held"),
    [
        (FREE, COPY, VARIABLE),
        (FREE_IN_OBJECT, IN_OBJECT, made.owner(0, "slab", slab=ONE, offset=0x20)),
    ],
)
def test_who_leaves_it_in_the_first_place(
    monkeypatch: pytest.MonkeyPatch, frees: str, moves: str, held: Any
) -> None:
    copies = found(monkeypatch, frees, moves, held)
    assert isinstance(copies, SlotCopies)
    assert (copies.functions, copies.freers) == (("mod_move",), ("mod_release",))


@pytest.mark.parametrize(("frees", "moves"), [(FREE, MOVE), (FREE, SWAP), ("c3", COPY)])
def test_anything_else(monkeypatch: pytest.MonkeyPatch, frees: str, moves: str) -> None:
    assert isinstance(found(monkeypatch, frees, moves, VARIABLE), Missing)
