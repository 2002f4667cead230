from __future__ import annotations

import pytest
from handmade_facts import fault

from oopsight.evidence import Missing
from oopsight.evidence.crash.forbidden_sleep import ForbiddenSleep, collect


@pytest.mark.parametrize(
    ("function", "exception", "within"),
    [
        ("rcu_note_context_switch", "invalid_op", "rcu"),
        ("__get_vm_area_node", "invalid_op", "interrupt"),
        ("dma_free_attrs", "invalid_op", "irqs"),
        ("rcu_note_context_switch", "page_fault", None),
        ("remove_proc_entry", "invalid_op", None),
    ],
)
def test_which_checks_are_against_sleeping(
    function: str, exception: str, within: str | None
) -> None:
    found = collect(fault(None, function=function, exception=exception))
    if within is None:
        assert isinstance(found, Missing)
    else:
        assert isinstance(found, ForbiddenSleep)
        assert found.within == within
