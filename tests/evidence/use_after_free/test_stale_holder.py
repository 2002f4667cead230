"""A module that still writes to what another has in its freed memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.use_after_free import stale_holder as this
from oopsight.evidence.use_after_free.claims import Claim
from oopsight.evidence.use_after_free.stale_holder import stale_holder

ONE = made.slab_object(state="allocated")
AT = int(ONE.address)
PODS = made.module("pods", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O")
RATES = made.module("rates", 0xFFFFFFFFC0500000, 0xFFFFFFFFC0501000, "O")
HOT = Address(0xFFFFFFFFC0400800)
WORD = BytesPointer(HOT, AT.to_bytes(8, "little").hex())


def flow(kind: str = "null", **changes: Any) -> Any:
    read = made.flow_step("loaded", "rates_settle", 0, "rates")
    held = made.owner(AT + 0x18, "slab", slab=replace(ONE, **changes), offset=0x18)
    return made.data_flow(made.way(read, held_in=held, module="rates"), bad=made.owner(0, kind))


def found(patch: pytest.MonkeyPatch, given: Any, use: FieldUse, *, known: bool = False) -> Any:
    code = [ModuleFunction("pods_check", 0, frozenset(), frozenset([int(HOT)]), copies=False)]
    patch.setattr(this, "inner_functions", lambda *_: code)
    patch.setattr(this, "uses_of", lambda *_: {"pods_check": use})
    patch.setattr(this, "acquainted", lambda *_: known)
    patch.setattr(this, "holding_variables", lambda *_: [(PODS, HOT, "pods_hot", WORD)])
    claim = Claim(RATES, "it is on the list rates_all of rates", WORD)
    patch.setattr(this, "claim_of", lambda *_: claim)
    return stale_holder(Machine().session, made.modules(PODS, RATES), given)


CLEARS = FieldUse((), (), counts=False, zeroes=frozenset([0x18]), changes=frozenset([0x18, 0x1C]))


def test_who_clears_what_another_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    other = found(monkeypatch, flow(), CLEARS)
    assert other is not None
    assert (other.owner, [name for name, *_ in other.former]) == ("rates", ["pods"])
    assert "pods_check of pods writes to it" in other.role


def test_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = replace(CLEARS, zeroes=frozenset([0x20]), changes=frozenset([0x20]))
    assert found(monkeypatch, flow(), elsewhere) is None
    assert found(monkeypatch, flow(), CLEARS, known=True) is None
    assert found(monkeypatch, flow(state="free"), CLEARS) is None
    assert found(monkeypatch, flow("slab"), CLEARS) is None
    assert found(monkeypatch, flow("non-canonical"), replace(CLEARS, zeroes=frozenset()))
