"""Lines of the log, and who printed them."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules import prints
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.prints import Prints, collect

BASE = 0xFFFFFFFFC0300000
MODULES = made.modules(made.module("rec", BASE, BASE + 0x1000, "O"))
FORMATS = {
    BASE + 0x100: b"\x016rec: channel %d: %pI4 refused\n\0",
    BASE + 0x200: b"%s: %d\n\0",
    BASE + 0x300: b"rec: \xff\0",
}


def collected(monkeypatch: pytest.MonkeyPatch, *lines: str, **refers: int) -> Any:
    code = [
        ModuleFunction(name, BASE, frozenset(), frozenset([at]), copies=False)
        for name, at in refers.items()
    ]
    machine = Machine()
    machine.memory = {at: text.ljust(256, b"\0") for at, text in FORMATS.items()}

    class Reader:
        def __init__(self, _: object) -> None:
            pass

        def read(self, address: int, size: int) -> bytes | None:
            return machine.read(address, size) if address in FORMATS else None

    monkeypatch.setattr(prints, "SessionReader", Reader)
    monkeypatch.setattr(prints, "inner_functions", lambda *_: code)
    doers = Doers("rec", (), (), ())
    return collect(machine.session, made.log(*lines), MODULES, doers, made.ABSENT)


def test_who_printed_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(
        monkeypatch, "rec: channel 7: 10.0.0.1 refused", rec_open=BASE + 0x100, rec_close=BASE
    )
    assert isinstance(found, Prints)
    line = found.of("rec", "rec_open")
    assert line is not None
    assert line.text == "rec: channel 7: 10.0.0.1 refused"
    assert found.of("rec", "rec_close") is None
    assert found.of("other", "rec_open") is None


def test_what_anybody_can_have_printed_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert collected(monkeypatch, "eth0: 7", rec_open=BASE + 0x200).found == ()
    assert collected(monkeypatch, "rec: ", rec_open=BASE + 0x300).found == ()
    same = dict.fromkeys(("a", "b", "c", "d"), BASE + 0x100)
    assert collected(monkeypatch, "rec: channel 7: 10.0.0.1 refused", **same).found == ()


def test_without_suspects_nobody_asks() -> None:
    session = Machine().session
    answer = collect(session, made.log(), MODULES, made.ABSENT, made.ABSENT)
    assert isinstance(answer, Missing)
