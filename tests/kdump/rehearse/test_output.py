from __future__ import annotations

import json

import pytest

from oopsight.kdump.cmdline import MiB
from oopsight.kdump.rehearse import Outcome, Rehearsal, output


def result(outcome: Outcome, needed: int = 120) -> Rehearsal:
    return Rehearsal(outcome, "its words", 160 * MiB, 110 * MiB, needed * MiB, 42.0, "console")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.SAVED, 0),
        (Outcome.TIGHT, 1),
        (Outcome.NO_MEMORY, 2),
        (Outcome.NOT_LOADED, 2),
        (Outcome.NOT_RESERVED, 2),
        (Outcome.FAILED, 2),
        (Outcome.NO_END, 3),
    ],
)
def test_each_outcome_has_its_code_and_sentence(outcome: Outcome, code: int) -> None:
    assert output.exit_code(result(outcome)) == code
    assert "its words" in output.to_text(result(outcome))
    assert json.loads(output.to_json(result(outcome)))["suffices"] is (code == 0)


def test_enough_for_the_rehearsal_but_not_for_all_of_the_ram() -> None:
    scarce = result(Outcome.SAVED, needed=200)
    assert output.exit_code(scarce) == 1
    assert "90 MiB more for the whole RAM" in output.to_text(scarce)


def test_out_of_memory_gives_a_size_to_try() -> None:
    assert "--memory 224M" in output.to_text(result(Outcome.NO_MEMORY))
