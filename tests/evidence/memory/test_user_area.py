"""Whose memory an address of user space is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from drgn import FaultError
from handmade_memory import char_array

from oopsight.evidence.memory.user_area import user_area

AREA = (0x7F0000400000, 0x7F0000500000)


class Value(int):
    """A number of the dump."""

    def value_(self) -> int:
        return int(self)


def process(name: str, *, mm: bool = True) -> Any:
    return SimpleNamespace(
        mm=SimpleNamespace(owner=name) if mm else None,
        comm=char_array(name.encode()),
    )


def found(monkeypatch: pytest.MonkeyPatch, crashed: Any, address: int) -> Any:
    def vma_find(mm: Any, address: int) -> Any:
        if mm.owner == "lost":
            raise FaultError("not in the dump", address)
        if mm.owner != "labeld" or not AREA[0] <= address < AREA[1]:
            return None
        return SimpleNamespace(vm_start=Value(AREA[0]), vm_end=Value(AREA[1]))

    others = [process("kthreadd", mm=False), process("lost"), process("labeld")]
    monkeypatch.setattr("drgn.helpers.linux.mm.vma_find", vma_find)
    monkeypatch.setattr("drgn.helpers.linux.panic.panic_task", lambda _: crashed)
    monkeypatch.setattr("drgn.helpers.linux.pid.for_each_task", lambda _: iter(others))
    session: Any = SimpleNamespace(prog=None)
    return user_area(session, address)


def test_of_a_process_only_its_own_address_space_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = found(monkeypatch, process("labeld"), AREA[0] + 8)
    assert mine.own
    assert "labeld" in mine.text
    assert found(monkeypatch, process("sh"), AREA[0] + 8) is None


def test_a_thread_of_the_kernel_has_met_anybody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    others = found(monkeypatch, process("kworker/1:2", mm=False), AREA[0] + 8)
    assert not others.own
    assert found(monkeypatch, process("kworker/1:2", mm=False), AREA[1]) is None
