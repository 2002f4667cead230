"""Deleted files that keep their pages although nobody has them open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_waits import memory, symptom

from oopsight.evidence import Missing
from oopsight.evidence.exhaustion import deleted_files
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles, collect
from oopsight.kinds import Kind

SESSION: Any = SimpleNamespace(prog=None)
OOM = symptom(Kind.OOM)


def inode(address: int, pages: int) -> tuple[Any, int]:
    return SimpleNamespace(value_=lambda: address), pages


def test_those_that_somebody_has_open_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    inodes = [inode(1, 100), inode(2, 30), inode(3, 50)]
    monkeypatch.setattr(deleted_files, "_deleted", lambda _: iter(inodes))
    monkeypatch.setattr(deleted_files, "_open", lambda _: {1})
    monkeypatch.setattr(deleted_files, "memory_of", lambda one, _: memory(one.value_()))
    found = collect(SESSION, OOM)
    assert isinstance(found, DeletedFiles)
    assert (found.files, found.pages) == (2, 80)
    assert found.because == (memory(3), memory(2))


def test_where_the_open_files_cannot_be_read_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_many(_: object) -> set[int]:
        raise ValueError("more than 100000 files")

    monkeypatch.setattr(deleted_files, "_deleted", lambda _: iter([inode(1, 100)]))
    monkeypatch.setattr(deleted_files, "_open", too_many)
    assert isinstance(collect(SESSION, OOM), Missing)
    assert isinstance(collect(SESSION, symptom(Kind.BUG)), Missing)
