from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import handmade_facts as made
import pytest

from oopsight.evidence import Missing, gone_symbol
from oopsight.evidence.gone_symbol import GoneSymbol, collect
from oopsight.session import Session
from oopsight.symbols.module_file import ModuleSymbol

NAME = ModuleSymbol("pool_name", made.BAD % 4096, 18, function=False)
EXIT = ModuleSymbol("pool_exit", made.BAD % 4096, 90, function=True)
ALIAS = ModuleSymbol("cleanup_module", made.BAD % 4096, 90, function=True)
OTHER = ModuleSymbol("other", 0x10, 8, function=False)


def collected(
    monkeypatch: pytest.MonkeyPatch, again: list[ModuleSymbol], file: list[ModuleSymbol], **at: Any
) -> GoneSymbol | Missing:
    session = cast("Session", SimpleNamespace(debug_directories=(Path("/nowhere"),)))
    monkeypatch.setattr(gone_symbol, "_loaded_copy", lambda *_: again)
    monkeypatch.setattr(gone_symbol, "first_readable", lambda _: file)
    fault = made.fault(at.pop("address", made.BAD), **at)
    return collect(session, fault, made.modules(), made.dangling(made.BAD))


def test_the_copy_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collected(monkeypatch, [NAME, OTHER], [EXIT])
    assert found == GoneSymbol("gone", "pool_name", False, "the copy of it that is loaded again")
    found = collected(monkeypatch, [], [EXIT, ALIAS])
    assert found == GoneSymbol("gone", "pool_exit", True, "its file on disk")


def test_how_it_was_accessed_tells_functions_from_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for access, name in (("read", "pool_name"), ("execute", "pool_exit")):
        found = collected(monkeypatch, [NAME, EXIT], [], access=access)
        assert isinstance(found, GoneSymbol)
        assert found.name == name


def test_the_pointer_counts_not_where_behind_it_the_fault_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = collected(monkeypatch, [NAME], [], address=made.BAD + 0x30)
    assert isinstance(found, GoneSymbol)
    assert found.name == "pool_name"


def test_what_is_ambiguous_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = [NAME, ModuleSymbol("twin", NAME.page_offset, 8, function=False)]
    found = collected(monkeypatch, twice, [OTHER])
    assert isinstance(found, Missing)
    assert "2 symbols fit" in found.detail
    assert "no symbols fit" in found.detail
