"""A workqueue that the kernel does not know any more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn.helpers.linux.list as lists
import pytest
from handmade_session import Machine

from oopsight.evidence.use_after_free.dead_workqueue import is_dead

KNOWN, GONE = 0xFFFF888003400000, 0xFFFF888003500000


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    walk = [SimpleNamespace(value_=lambda: KNOWN)]
    monkeypatch.setattr(lists, "list_for_each_entry", lambda *_: iter(walk))
    head = SimpleNamespace(address_of_=lambda: 0)
    return SimpleNamespace(prog={"workqueues": head})


def test_only_what_is_on_the_list_of_all_lives(session: Any) -> None:
    assert is_dead(session, "queue_work_on", GONE)
    assert is_dead(session, "__flush_workqueue", GONE)
    assert not is_dead(session, "queue_work_on", KNOWN)


def test_other_functions_take_no_workqueue(session: Any) -> None:
    assert not is_dead(session, "mutex_lock", GONE)


def test_without_the_list_nothing_is_told() -> None:
    assert not is_dead(Machine().session, "queue_work_on", GONE)
