from __future__ import annotations

from typing import Any

import pytest

from oopsight.report.mail import mail

CHAIN = [
    {"claim": "string read 0x10", "because": [{"type": "frame"}]},
    {"claim": "ss (pid 7) used /srv/secret", "because": [{"type": "frame"}, {"type": "file"}]},
    {"claim": "behind it waits payroll", "because": [{"type": "task"}]},
    {"claim": "ingest waits for the mutex", "because": [{"type": "task"}, {"type": "memory"}]},
]


def verdict(**changes: Any) -> dict[str, Any]:
    made = {
        "title": "pointer left behind",
        "summary": "vmsecmod was unloaded.",
        "certainty": "inferred",
        "kind": "page-fault",
        "faulting_function": "string",
        "culprit": {"module": "vmsecmod"},
        "culprits": [
            {"module": "vmsecmod", "function": "vmsec_exit", "why": "left its cache behind"},
            {"module": None, "function": "string", "why": "followed the pointer"},
            {"module": "vmsecmod", "function": None, "why": "owned the memory"},
        ],
    }
    return made | changes


def test_it_says_what_is_shown_and_nothing_of_the_machine() -> None:
    text = mail(verdict(), CHAIN, "6.1.0")
    assert text is not None
    assert text.splitlines()[0] == "Subject: vmsecmod: pointer left behind, Linux 6.1.0"
    assert "1. string read 0x10" in text
    assert "2. ingest waits for the mutex" in text
    assert "secret" not in text
    assert "payroll" not in text
    assert "one conclusion" in text
    assert "your module vmsecmod crashed in string(). vmsecmod was unloaded." in text


def test_it_names_the_functions_of_the_module_with_the_reason() -> None:
    text = mail(verdict(), CHAIN, "6.1.0")
    assert text is not None
    assert "To blame:\n- vmsec_exit(): left its cache behind\n\nPlease" in text
    text = mail(verdict(certainty="possible"), CHAIN, "6.1.0")
    assert text is not None
    assert "Suspected, the likeliest first:\n- vmsec_exit(): left" in text
    text = mail(verdict(culprits=[]), CHAIN, "6.1.0")
    assert text is not None
    assert "To blame" not in text


def test_a_machine_that_hung_did_not_crash() -> None:
    text = mail(verdict(kind="hung-task", faulting_function=None), CHAIN, "6.1.0")
    assert text is not None
    assert "your module vmsecmod hung. vmsecmod was unloaded." in text


@pytest.mark.parametrize(
    "changes", [{"culprit": None}, {"culprit": {"module": None}}, {"certainty": "unknown"}]
)
def test_there_is_none_to_nobody(changes: dict[str, Any]) -> None:
    assert mail(verdict(**changes), CHAIN, None) is None
