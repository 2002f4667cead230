from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import handmade_facts as made
import pytest

import oopsight.evidence
from oopsight.evidence import Missing, Why
from oopsight.evidence.recording import SCHEMA, BadRecordingError, record, restore

EVIDENCE = made.evidence(
    fault=made.fault(),
    trace=made.backtrace(),
    modules=made.modules(made.module("beta", 0, 64, "OE")),
    log=made.log("BUG: x"),
    task=made.task(),
    accessed=made.accessed(),
    dangling=made.dangling(made.BAD),
)


def plain() -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(json.dumps(record(EVIDENCE)))
    return recording


def test_what_is_written_is_read_again() -> None:
    again = restore(plain())
    assert again.facts == EVIDENCE.facts
    assert [type(fact) for fact in again.facts.values()] == [
        type(fact) for fact in EVIDENCE.facts.values()
    ]


def test_what_is_not_in_it_is_missing() -> None:
    from oopsight.evidence.crash.code import Code

    fact = restore({"schema": SCHEMA, "facts": {}}).get(Code)
    assert isinstance(fact, Missing)
    assert fact.why is Why.NOT_TOLD


@pytest.mark.parametrize(
    ("place", "fact", "says"),
    [
        ("oopsight.evidence.crash.log.Log", {"lines": 3}, "log.Log"),
        ("oopsight.evidence.crash.log.Log", {"colour": 3}, "is no Log"),
        ("oopsight.evidence.crash.log.Nothing", {}, "Nothing"),
        ("os.path.join", {}, "is no fact"),
        ("oopsight.evidence.modules.modules.Modules", {"loaded": "vmlinux"}, "Modules"),
    ],
)
def test_what_does_not_fit_is_refused(place: str, fact: Any, says: str) -> None:
    with pytest.raises(BadRecordingError, match=says):
        restore({"schema": SCHEMA, "facts": {place: fact}})


def test_another_schema_is_refused() -> None:
    with pytest.raises(BadRecordingError, match="evidence/0"):
        restore({"schema": "oopsight.evidence/0", "facts": {}})


def unfit(kind: Any, path: str, seen: set[type]) -> Iterator[str]:
    """Types within a fact's that JSON has no equal for, by where they are."""
    for argument in typing.get_args(kind):
        yield from unfit(argument, path, seen)
    if typing.get_origin(kind) in (set, frozenset):
        yield f"{path}: {kind}"
    if not isinstance(kind, type) or kind in seen:
        return
    seen.add(kind)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        yield f"{path}: {kind.__name__} is a NamedTuple"
    if dataclasses.is_dataclass(kind):
        for name, hint in typing.get_type_hints(kind).items():
            yield from unfit(hint, f"{path}.{name}", seen)


def test_no_fact_has_a_set_or_a_named_tuple_in_it() -> None:
    seen: set[type] = set()
    found: list[str] = []
    package = oopsight.evidence
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        collect = getattr(importlib.import_module(info.name), "collect", None)
        if collect is not None:
            found += unfit(typing.get_type_hints(collect)["return"], info.name, seen)
    assert found == []
    assert len(seen) > 100  # facts, and what they are made of


def test_such_types_are_found() -> None:
    class Pair(typing.NamedTuple):
        one: int

    assert list(unfit(tuple[Pair, ...], "fact", set())) == ["fact: Pair is a NamedTuple"]
    assert list(unfit(frozenset[int], "fact", set()))
