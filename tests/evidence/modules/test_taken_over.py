from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from drgn import SymbolKind
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.modules import taken_over
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.evidence.modules.taken_over import TakenOver, collect
from oopsight.evidence.modules.unloaded_modules import UnloadedModule, UnloadedModules

BASE = 0xFFFFFFFFC0400000
DRIVER = BASE + 0x230
MODULES = made.modules(made.module("uartbr", BASE, BASE + 0x4000, "O"), last="spimux")
POINTER = MODULES.last_unloaded_pointer
FORMER = FormerOwner(
    "spimux", True, (), (), Address(DRIVER), (), None, False, None, None, (), placed=False
)  # fmt: skip


def symbol(name: str, at: int, size: int, kind: SymbolKind = SymbolKind.OBJECT) -> Any:
    return SimpleNamespace(name=name, address=at, size=size, kind=kind)


class Case:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.symbols = [
            symbol("uart_table", BASE + 0x100, 0x80),
            symbol("__this_module", BASE + 0x300, 0x380),
            symbol("uart_probe", BASE, 0x80, SymbolKind.FUNC),
        ]
        self.former: FormerOwner | Missing = FORMER
        monkeypatch.setattr("drgn.helpers.linux.module.find_module", lambda *_: object())
        monkeypatch.setattr("drgn.helpers.linux.kallsyms.module_kallsyms", lambda _: self.symbols)
        monkeypatch.setattr(taken_over, "former_owner", lambda *_: self.former)

    def collect(
        self, begin: int = DRIVER, reader: str | None = None, gone: str = "spimux"
    ) -> TakenOver | Missing:
        held = made.owner(begin + 8, "module", module="uartbr")
        first = made.way(made.flow_step("loaded", "match", 0, reader), held_in=held)
        outer = made.way(made.flow_step("passed", "for_each", begin))
        assert POINTER is not None
        known = (UnloadedModule(gone, None, "last_unloaded_module", POINTER),) if gone else ()
        flow = made.data_flow(first, outer)
        return collect(Machine().session, flow, MODULES, UnloadedModules(known))


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(monkeypatch)


def test_what_is_none_of_its_objects_was_the_unloaded_ones(case: Case) -> None:
    assert case.collect() == TakenOver(Address(DRIVER), "uartbr", None, FORMER)
    inside = case.collect(BASE + 0x328)
    assert isinstance(inside, TakenOver)
    assert inside.inside == "__this_module"


def test_an_object_of_the_module_that_is_there_is_its_own(case: Case) -> None:
    assert isinstance(case.collect(BASE + 0x128), Missing)


def test_where_only_functions_are_known_nothing_is_concluded(case: Case) -> None:
    case.symbols = case.symbols[1:]
    assert isinstance(case.collect(), Missing)


def test_a_modules_own_code_knows_its_data(case: Case) -> None:
    assert isinstance(case.collect(reader="uartbr"), Missing)


def test_without_a_module_that_is_gone_nothing_is_concluded(case: Case) -> None:
    assert isinstance(case.collect(gone=""), Missing)
    case.former = Missing(made.ABSENT.why, "none")
    assert isinstance(case.collect(), Missing)


@pytest.mark.parametrize(("own", "sure"), [(True, None), (False, True), (None, False)])
def test_an_object_that_lies_just_there_is_its_own_if_of_the_expected_kind(
    case: Case, monkeypatch: pytest.MonkeyPatch, own: bool | None, sure: bool | None
) -> None:
    """A chain of notifiers leads to the first of a module's objects, which is a timer."""
    monkeypatch.setattr(taken_over, "_is_own", lambda *_: own)
    found = case.collect(BASE + 0x100)
    assert isinstance(found, TakenOver) is (sure is not None)
    if isinstance(found, TakenOver):
        assert (found.inside, found.sure) == ("uart_table", sure)


def test_kinds_by_their_sizes() -> None:
    kinds = {"struct notifier_block": SimpleNamespace(size=24)}
    session = SimpleNamespace(
        prog=SimpleNamespace(type=kinds.__getitem__, variable=kinds.__getitem__)
    )
    read = "struct notifier_block.notifier_call"

    def own(at: int, size: int, name: str | None = read) -> bool | None:
        known = ("uart_table", BASE + 0x100, size)
        return taken_over._is_own(session, known, at, name)  # type: ignore[arg-type]

    assert own(BASE + 0x100, 24) is True
    assert own(BASE + 0x100, 16) is False
    assert own(BASE + 0x100, 40) is None
    assert own(BASE + 0x100, 40, None) is True
