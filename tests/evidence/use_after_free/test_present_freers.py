"""Who frees what an object is now, and not what it was."""

from __future__ import annotations

import pytest
from handmade_facts import module, modules, slab_object
from handmade_session import Machine

from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.use_after_free import present_freers
from oopsight.evidence.use_after_free.present_freers import present_freers as found

START = 0xFFFFFFFFC0000000
LABELS = START + 0x800
DRV = module("drv", START, START + 0x1000, "O")


def frees(*held: Value) -> FieldUse:
    return FieldUse((), (), counts=False, freed=tuple(enumerate(held)))


def test_who_frees_only_what_the_variable_holds_that_leads_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        present_freers, "holding_variables", lambda *_: [(DRV, LABELS + 8, "labels", None)]
    )
    monkeypatch.setattr(present_freers, "whole_variable", lambda *_: (LABELS, LABELS + 0x40))
    label = Value("loaded", LABELS, Value("unknown", 3))
    burner = Value("loaded", LABELS + 0x100)
    uses = {"label": frees(label), "snuff": frees(burner), "close": frees(label, burner)}
    answer = found(Machine().session, modules(DRV), DRV, slab_object("allocated"), uses)
    assert answer == {"label"}
