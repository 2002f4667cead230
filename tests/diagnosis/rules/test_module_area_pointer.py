from __future__ import annotations

import pytest
from handmade_facts import modules

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.module_area_pointer import module_area_pointer
from oopsight.evidence import Missing, Why
from oopsight.evidence.console import evidence_of
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.oops import decoded, parse

TEXT = """\
BUG: unable to handle page fault for address: ffffffffc0395070
#PF: supervisor read access in kernel mode
#PF: error_code(0x0000) - not-present page
Oops: 0000 [#1] SMP
CPU: 1 PID: 77 Comm: ss Not tainted 6.1.0-9-amd64 #1
RIP: 0010:strnlen+0x9/0x20
Call Trace:
 seq_printf+0x1/0x2
 cache_show+0x1/0x2
Modules linked in: syshook_linux(OE) [last unloaded: vmsecmod]
"""


def judge(text: str, *, known: bool = False) -> object:
    evidence = evidence_of(decoded(parse(text)[0]))
    fault, symptom, log = evidence.get(Fault), evidence.get(Symptom), evidence.get(Log)
    assert not isinstance(fault, Missing)
    assert not isinstance(symptom, Missing)
    assert not isinstance(log, Missing)
    loaded = modules() if known else Missing(Why.NOT_APPLICABLE, "no dump")
    return module_area_pointer(fault, symptom, log, loaded)


def test_the_module_unloaded_last_is_possible_and_no_more() -> None:
    found = judge(TEXT)
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert found.culprits[0].module == "vmsecmod"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (TEXT.replace("ffffffffc0395070", "ffff888012345678"), Clear),
        (TEXT.replace("ffffffffc0395070", "ffffffffa0395070"), Clear),
        (TEXT.replace(" [last unloaded: vmsecmod]", ""), Undecided),
        (TEXT.replace("syshook_linux(OE)", "vmsecmod(OE)"), Clear),
        (
            TEXT.replace("(0x0000) - not-present page", "(0x0003) - permissions violation").replace(
                "Oops: 0000", "Oops: 0003"
            ),
            Undecided,
        ),
    ],
)
def test_anything_less_is_not(text: str, outcome: type) -> None:
    assert isinstance(judge(text), outcome)


def test_without_a_random_place_modules_begin_lower() -> None:
    text = TEXT.replace("ffffffffc0395070", "ffffffffa0395070") + "Kernel Offset: disabled\n"
    assert isinstance(judge(text), Finding)


def test_a_dump_leaves_it_to_the_rule_that_sees_more() -> None:
    assert isinstance(judge(TEXT, known=True), Clear)
