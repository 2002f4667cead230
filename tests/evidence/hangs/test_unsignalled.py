"""Who takes what is waited for off its list, and tells nobody."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine
from handmade_waits import LOCK_A, call, lock, stack, symptom, waits

from oopsight.evidence import Address, Missing
from oopsight.evidence.hangs import signallers as asked
from oopsight.evidence.hangs import unsignalled as this
from oopsight.evidence.hangs.waiting import Lock, Wait
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer, Memory
from oopsight.kinds import Kind

BASE = 0xFFFFFFFFC0100000
BLIT = made.module("blit", BASE, BASE + 0x1000, "O")
PIPE = made.module("pipe", BASE + 0x2000, BASE + 0x3000, "O")
MODULES = made.modules(BLIT, PIPE)
DELETES, ADDS = "__list_del_entry_valid", "__list_add_valid"
POISON = (0xDEAD000000000100).to_bytes(8, "little") + (0xDEAD000000000122).to_bytes(8, "little")
OBJECT = 0xFFFF888000001000


def function(name: str, *calls: str, own: tuple[str, ...] = ()) -> ModuleFunction:
    called = frozenset((*calls, *own))
    return ModuleFunction(name, 0, called, frozenset(), copies=False, own=frozenset(own))


def use(*, unlinks: bool = False) -> FieldUse:
    return FieldUse((), (), counts=False, unlinks=unlinks)


RETIRE = function("bq_retire", DELETES, ADDS, "dma_fence_signal_locked")
TICK = function("bq_tick", own=("bq_retire", "bq_put_all"))
PUT = function("bq_put_all", DELETES)
ABORT = function("bq_abort.constprop.0", own=("bq_put_all",))
CODE = [RETIRE, TICK, PUT, ABORT, function("bq_write", own=("bq_abort.constprop.0",))]
ENDS = {"bq_retire", "bq_tick"}


def test_of_a_shared_helper_who_calls_it_and_has_not_signalled() -> None:
    assert this.dropping(CODE, {}, ENDS) == ("bq_abort",)


def test_who_takes_them_off_alone() -> None:
    drop = function("bq_drop", DELETES)
    by_code = function("bq_flush")
    moves = function("bq_sort", DELETES, ADDS)
    found = this.dropping([RETIRE, drop, by_code, moves], {"bq_flush": use(unlinks=True)}, ENDS)
    assert found == ("bq_drop", "bq_flush")


def fence_of(operations: int) -> Lock:
    memory = Memory(
        "struct dma_fence", LOCK_A, "ops", LOCK_A, operations.to_bytes(8, "little").hex()
    )
    return Lock("fence", LOCK_A, None, because=(memory,))


def prepared(patch: pytest.MonkeyPatch, code: dict[str, list[ModuleFunction]]) -> Any:
    for one in (this, asked):
        patch.setattr(one, "inner_functions", lambda _, module, *__: code.get(module.name, []))
        patch.setattr(asked, "acquainted", lambda *_: True)
        patch.setattr(one, "owner_of", lambda _, __, at: made.owner(at, "page"))
    patch.setattr(this, "uses_of", lambda *_: {})
    patch.setattr(this, "SessionReader", lambda _: None)
    return Machine().session


def test_a_fence_is_its_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    session = prepared(monkeypatch, {"blit": CODE})
    wait = Wait(stack(1, call(3, "sp_flip", "pipe")), fence_of(BASE + 0x160), 9.0)
    found = this.collect(session, symptom(Kind.HUNG_TASK), waits(wait), MODULES)
    assert not isinstance(found, Missing)
    one = found.of(wait.task.address)
    assert one is not None
    assert (one.module.name, one.anothers, one.drops) == ("blit", True, ("bq_abort",))
    assert set(one.ends) >= ENDS
    # It is the driver's own wait.
    own = Wait(stack(1, call(3, "bq_abort", "blit")), fence_of(BASE + 0x160), 9.0)
    found = this.collect(session, symptom(Kind.HUNG_TASK), waits(own), MODULES)
    assert not isinstance(found, Missing)
    one = found.of(own.task.address)
    assert one is not None
    assert (one.anothers, one.drops) == (False, ())


def test_a_completion_is_of_who_completes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    done = function("pp_done", "complete", DELETES)
    session = prepared(monkeypatch, {"pipe": [done, function("pp_drop", DELETES)]})
    for module in ("pipe", "blit"):
        wait = Wait(stack(1, call(3, "wait", module)), lock(LOCK_A, kind="completion"), 9.0)
        assert asked.signallers(session, MODULES, wait) == (PIPE,)
        others = module == "blit"  # whose code completes none
        assert asked.another(session, MODULES, wait) is (PIPE if others else None)
        found = this.collect(session, symptom(Kind.HUNG_TASK), waits(wait), MODULES)
        assert not isinstance(found, Missing)
        one = found.of(wait.task.address)
        assert one is not None
        assert (one.module.name, one.anothers, one.drops) == ("pipe", others, ("pp_drop",))
    monkeypatch.setattr(asked, "acquainted", lambda *_: False)
    assert asked.signallers(session, MODULES, wait) == ()
    other = Wait(stack(1, call(3, "wait", "blit")), lock(LOCK_A, kind="mutex"), 9.0)
    assert asked.signallers(session, MODULES, other) == ()
    assert isinstance(this.collect(session, symptom(Kind.OOM), waits(), MODULES), Missing)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ({0x40: POISON}, True),
        ({}, None),
        # On a list, whose entries lead back to it.
        ({0x40: (OBJECT + 0x200).to_bytes(8, "little") * 2}, False),
        # Only who waits is on the list in the fence itself.
        ({0x10: (OBJECT + 0x200).to_bytes(8, "little") * 2}, None),
    ],
)
def test_whether_it_was_taken_off_its_list(
    monkeypatch: pytest.MonkeyPatch, words: dict[int, bytes], *, state: bool | None
) -> None:
    machine = Machine()
    data = bytearray(0x60)
    for at, word in words.items():
        data[at : at + 16] = word
        machine.memory[OBJECT + 0x200] = (OBJECT + at).to_bytes(8, "little") * 2
    machine.memory[OBJECT] = bytes(data)
    slab = made.slab_object(address=OBJECT, size=0x60)
    monkeypatch.setattr(this, "owner_of", lambda _, __, at: made.owner(at, "slab", slab=slab))
    found = this.entry_of(machine.session, MODULES, Lock("fence", Address(OBJECT), None))
    if state is True:
        assert isinstance(found, BytesPointer)
        assert found.address == OBJECT + 0x40
    else:
        assert found is state
