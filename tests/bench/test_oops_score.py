"""The figures on labelled logs, as the scorer counts them, on the fold that is not looked at."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from labelled_logs import corpus

pytestmark = pytest.mark.shared
LEAST = {"detected": 99, "kind": 97, "mean kind": 95, "title": 70, "guilty_file": 75, "silent": 100}


def scorer() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "bench" / "oops_score.py"
    spec = importlib.util.spec_from_file_location("oops_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["oops_score"] = module
    spec.loader.exec_module(module)
    return module


def test_logs_never_looked_at_are_read_as_well_as_is_asked_for() -> None:
    figures = scorer().score(corpus(), fifth=True)
    for field, least in LEAST.items():
        assert figures[field][2] >= least, field
    assert figures["function"][2] >= 80


def test_other_names_for_the_functions_change_nothing() -> None:
    plain = scorer().score(corpus(), fifth=True)
    renamed = scorer().score(corpus(), fifth=True, rename=True)
    for field in ("detected", "kind", "function", "title"):
        # Two points, or one log: the fold is small.
        one = 100 / plain[field][1]
        assert abs(plain[field][2] - renamed[field][2]) <= max(2.0, one + 0.1), field
