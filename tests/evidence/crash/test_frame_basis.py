"""Each frame says how it was found; the table decides, not the hope."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.crash import frame_basis
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.report.words import guessed_frames
from oopsight.symbols import SymbolStatus

OWN = SymbolStatus(Path("x.pack"), "packs", (), pack=True)
FULL = SymbolStatus(Path("vmlinux"), "given", ())


def frame(index: int, pc: int, role: Role = Role.CALLER, **values: Any) -> Frame:
    name = f"f{index}"
    whole = Frame(index, Address(pc), Address(0), name, f"{name}+0x1", None, None, False, role)
    return replace(whole, **values)


FRAMES = (
    frame(0, 0x1000),
    frame(1, 0x2000, inline=True, source="a.h:1"),
    frame(2, 0x2000, Role.FAULT, source="a.c:2"),
    frame(3, 0x3000, module="m"),
    frame(4, 0, Role.FAULT, plumbing="no code is there", symbol=None),
    frame(5, 0x5000),
)


def told(
    monkeypatch: pytest.MonkeyPatch, symbols: SymbolStatus, covered: set[int] | None
) -> list[tuple[int, str, str]]:
    monkeypatch.setattr(
        frame_basis, "_orc", lambda _: None if covered is None else covered.__contains__
    )
    session: Any = SimpleNamespace(symbols=symbols)
    rows = frame_basis.frame_basis(session, Backtrace(FRAMES, (), True, None))
    return [(row.index, row.unwound, row.names) for row in rows]


def test_the_rule_at_the_call_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    # A return address counts as the byte before it, an interrupted instruction as itself.
    rows = told(monkeypatch, OWN, {0xFFF, 0x2000})
    assert [row[:2] for row in rows] == [
        (0, "saved registers"),
        (1, "ORC"),
        (2, "ORC"),
        (3, "ORC"),
        (4, "frame pointer"),
        (5, "return address on the stack"),
    ]
    report = {"dump": {"frames": [{"index": i, "unwound": u} for i, u, _ in rows]}}
    assert guessed_frames(report) == (
        "#4, #5 found by frame pointer and return address on the stack"
    )


def test_without_orc_no_more_is_claimed_than_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = told(monkeypatch, FULL, None)
    assert rows[1][1] == "call frame information or frame pointer"


def test_where_names_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row[2] for row in told(monkeypatch, OWN, set())] == [
        "the kernel's kallsyms in the dump",
        "debug information",
        "debug information",
        "the module's kallsyms in the dump",
        "none",
        "the kernel's kallsyms in the dump",
    ]
    assert told(monkeypatch, FULL, set())[0][2] == "symbol table of the vmlinux"
