"""An NMI from outside."""

from __future__ import annotations

from handmade_facts import ABSENT, backtrace, log

from oopsight.diagnosis import Clear, Finding, Undecided
from oopsight.diagnosis.rules.nmi import nmi

UNKNOWN = "Uhhuh. NMI received for unknown reason 31 on CPU 0."
PANIC = "Kernel panic - not syncing: NMI: Not continuing"


def test_found_with_its_source() -> None:
    found = nmi(log(UNKNOWN, PANIC), backtrace())
    assert isinstance(found, Finding)
    assert "source the kernel does not know" in found.title
    serr = nmi(log("NMI: PCI system error (SERR) for reason b1 on CPU 0.", PANIC), ABSENT)
    assert isinstance(serr, Finding)
    assert "SERR" in serr.title


def test_an_nmi_that_did_not_panic_is_none() -> None:
    assert isinstance(nmi(log(UNKNOWN), backtrace()), Clear)
    assert isinstance(nmi(ABSENT, backtrace()), Undecided)
