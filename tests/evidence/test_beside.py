"""What a second process works out arrives, or nothing does; it never harms the first."""

from __future__ import annotations

import os
import signal
import time

import handmade_facts as made
import pytest

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Evidence, Missing, Why, beside
from oopsight.evidence.beside import Beside

# Other tests have started threads; those of drgn are idle.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@dataclass(frozen=True)
class Where:
    """A fact of this test."""

    process: int
    place: Address


def collect() -> Where:
    return Where(os.getpid(), Address(0x1000))


def test_the_answer_comes_from_another_process() -> None:
    facts = made.module("pool", 0x1000, 0x2000), Address(0xFFFF), "x" * 1_000_000
    process, answer = Beside(lambda: (os.getpid(), facts)).answer()
    assert process != os.getpid()
    assert answer == facts
    assert type(answer[1]) is Address


@pytest.mark.parametrize(
    "work",
    [
        lambda: 1 // 0,
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: os._exit(3),
        lambda: lambda: None,  # what cannot be sent
    ],
)
def test_a_process_that_fails_gives_no_answer(work: object) -> None:
    assert Beside(work).answer() is None


def test_a_process_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    begun = time.monotonic()
    assert Beside(lambda: time.sleep(60)).answer() is None
    assert time.monotonic() - begun < 30


def test_a_fact_collected_beside_is_like_any_other() -> None:
    evidence = Evidence(None)
    evidence.collect_beside(Where)
    fact = evidence.get(Where)
    assert isinstance(fact, Where)
    assert fact.process != os.getpid()
    assert evidence.get(Where) is fact
    assert list(evidence.seconds) == ["test_beside"]


def test_a_fact_that_is_not_collected_beside_is_collected_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evidence = Evidence(None)
    monkeypatch.setattr(Beside, "answer", lambda _: None)
    evidence.collect_beside(Where)
    fact = evidence.get(Where)
    assert isinstance(fact, Where)
    assert fact.process == os.getpid()


def test_a_missing_fact_arrives_as_such() -> None:
    missing = Missing(Why.UNREADABLE, "a page", Address(0x1000))
    assert Beside(lambda: missing).answer() == missing
