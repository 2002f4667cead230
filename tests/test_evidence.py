"""The machinery of facts: on demand, once, and every absence with its reason."""
# ruff: noqa: PLW0108  # a collector gets annotations of its own, which its class must not

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Evidence, Missing, Why, to_plain
from oopsight.evidence.pointers import LogPointer, ModulePointer
from oopsight.session import Session


@dataclass(frozen=True)
class Made:
    value: int


@dataclass(frozen=True)
class Above:
    below: Any


def fact(monkeypatch: pytest.MonkeyPatch, kind: type, collect: Any, **needs: Any) -> None:
    """Let a class be a fact: put it into a module of its own, beside its collector."""
    name = f"made_by_hand.{kind.__name__.lower()}"
    module = ModuleType(name)
    collect.__annotations__ = needs
    module.__dict__["collect"] = collect
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(kind, "__module__", name)


def test_a_fact_is_collected_once_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def collect() -> Made:
        calls.append(1)
        return Made(7)

    fact(monkeypatch, Made, collect)
    evidence = Evidence(None)
    assert evidence.get(Made) == Made(7)
    assert evidence.get(Made) == Made(7)
    assert calls == [1]
    assert list(evidence.seconds) == ["made"]


def test_a_failure_is_kept_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def collect() -> Made:
        raise ZeroDivisionError("by hand")

    fact(monkeypatch, Made, collect)
    missing = Evidence(None).get(Made)
    assert isinstance(missing, Missing)
    assert missing.why is Why.FAILED
    assert "ZeroDivisionError: by hand" in missing.detail


def test_an_unreadable_page_is_kept_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from drgn import FaultError

    def collect() -> Made:
        raise FaultError("page excluded", 0x1000)

    fact(monkeypatch, Made, collect)
    missing = Evidence(None).get(Made)
    assert isinstance(missing, Missing)
    assert (missing.why, missing.address) == (Why.UNREADABLE, Address(0x1000))


def test_a_missing_need_is_passed_on_unless_it_is_optional(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = Missing(Why.UNREADABLE, "filtered out", Address(0x1000))
    fact(monkeypatch, Made, lambda: absent)
    fact(monkeypatch, Above, lambda below: Above(below), below=Made)
    assert Evidence(None).get(Above) == Missing(
        Why.UNREADABLE, "Made: filtered out", Address(0x1000)
    )
    fact(monkeypatch, Above, lambda below: Above(below), below=Made | Missing)
    assert Evidence(None).get(Above) == Above(absent)


def test_a_cycle_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    fact(monkeypatch, Made, lambda above: Made(above), above=Above)
    fact(monkeypatch, Above, lambda below: Above(below), below=Made)
    missing = Evidence(None).get(Made)
    assert isinstance(missing, Missing)
    assert "Made needs itself" in missing.detail


def test_without_a_dump_nothing_reads_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fact(monkeypatch, Made, lambda session: Made(session), session=Session)
    missing = Evidence(None).get(Made)
    assert isinstance(missing, Missing)
    assert missing.why is Why.NOT_TOLD


def test_plain_data() -> None:
    plain = to_plain((ModulePointer("m", loaded=True, base=Address(1 << 63)), LogPointer(1.5, "x")))
    assert plain == [
        {
            "type": "module",
            "name": "m",
            "loaded": True,
            "base": "0x8000000000000000",
            "command": "mod -t",
        },
        {"type": "log", "seconds": 1.5, "text": "x", "command": "log"},
    ]
