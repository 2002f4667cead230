"""Process 1 has ended."""

from __future__ import annotations

from handmade_facts import ABSENT, log, task

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.init_killed import init_killed

KILLED = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b"


def test_a_signal_is_told_from_an_exit_status() -> None:
    found = init_killed(log("systemd[1]: segfault at 0 ip 0", KILLED), task("systemd"))
    assert isinstance(found, Finding)
    assert "SIGSEGV" in found.title
    assert "segfault at 0" in found.chain[-1].claim
    status = init_killed(log(KILLED.replace("0000000b", "00000100")), ABSENT)
    assert isinstance(status, Finding)
    assert "exit status 1" in status.title


def test_clear_and_undecided() -> None:
    assert isinstance(init_killed(log("all is well"), task()), Clear)
    assert isinstance(init_killed(ABSENT, task()), Undecided)
