"""Who hands the kernel one of its own functions, which then calls what a table lacks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules import chosen_handlers
from oopsight.evidence.modules.chosen_handlers import ChosenHandler, collect
from oopsight.evidence.modules.module_code import ModuleFunction

HANDLER = 0xFFFFFFFF81234560


def function(name: str, *refers: int, calls: str = "printk") -> ModuleFunction:
    return ModuleFunction(name, TEXT, frozenset([calls]), frozenset(refers), copies=False)


def chosen(
    monkeypatch: pytest.MonkeyPatch, caller_module: str | None = None, subject: str = "target"
) -> Any:
    inner = [
        function("exp_set_type", HANDLER),
        function("exp_calls", HANDLER, calls="handle_edge"),
        function("exp_mask", HANDLER + 8),
    ]
    monkeypatch.setattr(chosen_handlers, "inner_functions", lambda *_: inner)
    session = Machine().session
    monkeypatch.setattr(
        session, "prog", SimpleNamespace(symbol=lambda _: SimpleNamespace(address=HANDLER))
    )
    step = made.flow_step("loaded", "handle_edge", 0, module=caller_module)
    table = made.way(step, held_in=made.owner(TEXT + 0x4008, "module", module="exp"))
    modules = made.modules(made.module("exp", TEXT, TEXT + 0x5000, "O"))
    return collect(session, made.data_flow(table, subject=subject), modules)


def test_who_hands_the_kernel_the_function_that_met_the_hole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert chosen(monkeypatch) == ChosenHandler("handle_edge", "exp", ("exp_set_type",))


def test_what_a_module_calls_itself_nobody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(chosen(monkeypatch, caller_module="exp"), Missing)
    assert isinstance(chosen(monkeypatch, subject="operand"), Missing)
