"""Who of a module gives pages back, and for whom."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.memory import page_freers
from oopsight.evidence.memory.page_freers import PageFreers, collect
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction

START = 0xFFFFFFFFC0300000
REEL = made.module("reel", START, START + 0x1000, "O")
PAGE = Value("argument", 1)
HELD = Value("loaded", 0x20, Value("argument", 1))


def use(*called: str, freed: Value | None = None) -> FieldUse:
    handed = tuple(Handed(0x10, name, own=True, arguments=(HELD,)) for name in called)
    return FieldUse((), (), counts=False, handed=handed, freed=((4, freed),) if freed else ())


USES = {
    "reel_drop": use(freed=PAGE),
    "reel_cut": use("reel_drop"),
    "reel_clear": use("reel_drop", "reel_one"),
    "reel_one": use(freed=PAGE),
    "reel_free": use(freed=HELD),
}
FREES = {"reel_drop", "reel_one", "reel_free"}


@pytest.mark.parametrize("both", [False, True])
def test_helpers_free_what_they_are_handed(monkeypatch: pytest.MonkeyPatch, both: bool) -> None:
    code = [
        ModuleFunction(
            name, START, frozenset(["__free_pages"] if name in FREES else []), frozenset(), False
        )
        for name in USES
    ]
    monkeypatch.setattr(page_freers, "inner_functions", lambda *_: code)
    monkeypatch.setattr(page_freers, "uses_of", lambda *_: USES)
    other = made.module("other", START + 0x1000, START + 0x2000, "O")
    loaded = made.modules(REEL, *((other,) if both else ()))
    found = collect(Machine().session, loaded, made.ABSENT)
    if both:
        assert isinstance(found, Missing)
        return
    expected = ("reel_free", "reel_drop", "reel_one")
    assert found == PageFreers("reel", expected, ("reel_drop", "reel_one"), ("reel_drop",))


def test_who_leaves_what_it_frees_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"sets": frozenset([0x10]), "changes": frozenset([0x10])}
    uses = {
        "reel_drain": replace(use(freed=HELD), **counts),
        "reel_drop": use(freed=PAGE),
        "reel_close": replace(use(freed=HELD), freed=((4, HELD), (8, PAGE))),
        "reel_shrink": use(freed=HELD),
    }
    code = [ModuleFunction(n, START, frozenset(["__free_pages"]), frozenset(), False) for n in uses]
    monkeypatch.setattr(page_freers, "inner_functions", lambda *_: code)
    monkeypatch.setattr(page_freers, "uses_of", lambda *_: uses)
    found = collect(Machine().session, made.modules(REEL), made.ABSENT)
    assert isinstance(found, PageFreers)
    assert found.functions == ("reel_shrink", "reel_drain", "reel_drop", "reel_close")
