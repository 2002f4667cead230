"""A guest that does not come to its crash is started again, a bounded number of times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oopslab import make
from oopslab.errors import LabError, LabUnavailable


def attempts(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Path]:
    """Let the next attempts end with these errors, and those after them well."""
    made: list[Path] = []

    def crash(_scenario: Any, _kernel: Any, _capture: str, work: Path) -> None:
        made.append(work)
        if len(made) <= len(errors):
            raise errors[len(made) - 1]
        (work / "vmcore").touch()

    monkeypatch.setattr(make, "_crash", crash)
    return made


def run(target: Path) -> None:
    nothing: Any = None
    make._make(nothing, nothing, "qmp", target)


def test_the_second_attempt_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = attempts(monkeypatch, LabError("waited in vain"))
    run(tmp_path / "dump")
    assert len(made) == 2
    assert (tmp_path / "dump" / "vmcore").exists()


def test_a_defect_shows_in_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = attempts(monkeypatch, *(LabError(f"waited in vain, {n}") for n in range(9)))
    with pytest.raises(LabError, match=f"in vain, {make.ATTEMPTS - 1}"):
        run(tmp_path / "dump")
    assert len(made) == make.ATTEMPTS
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = attempts(monkeypatch, LabUnavailable("no such kernel"))
    with pytest.raises(LabUnavailable):
        run(tmp_path / "dump")
    assert len(made) == 1
