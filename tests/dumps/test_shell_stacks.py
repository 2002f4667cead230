"""Stacks unwound by the kernel's bare tables, for many tasks, are those that drgn unwinds."""

from __future__ import annotations

import pytest
from lab_dumps import opened

import oopslab
from oopsight.shell import Shell
from oopsight.shell.sleeping import SleepingStacks
from oopsight.shell.stack import physical_calls, stack_size
from oopsight.shell.tasks import basics


@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.2"])
def test_both_ways_find_the_same_calls(kernel: str) -> None:
    try:
        dump = oopslab.ensure("incident", kernel=kernel, capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    shell = Shell(opened(dump))
    quick = SleepingStacks(shell.prog, stack_size(shell))
    sleeping = [(t, b) for t in shell.tasks() if (b := basics(t)) is not None and not b.on_cpu]
    assert len(sleeping) > 50
    for task, known in sleeping:
        quick.calls(task, known)  # drgn's own answers, which prove the rules
    assert not quick.refuted
    left = 0
    for task, known in sleeping:
        calls = quick.calls(task, known)
        if calls is None:
            left += 1  # interrupted in the kernel, or on its way out
            continue
        assert all(call.frame is None for call in calls)
        by_drgn = list(physical_calls(shell.prog.stack_trace(task)))
        assert [(c.pc, c.sp, c.interrupted) for c in calls] == [
            (c.pc, c.sp, c.interrupted) for c in by_drgn
        ]
    assert left < 3


def test_a_rule_that_leads_elsewhere_than_drgn_is_not_believed() -> None:
    try:
        dump = oopslab.ensure("incident", kernel="6.1", capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    shell = Shell(opened(dump))
    quick = SleepingStacks(shell.prog, stack_size(shell))
    task = shell.find_task("1")
    known = basics(task)
    assert known is not None
    by_drgn = quick.calls(task, known)
    assert by_drgn is not None
    wrong = [(call.pc, call.sp) for call in by_drgn]
    wrong[3] = (wrong[3][0], wrong[3][1] + 8)
    assert quick._prove(task, wrong)[3].sp == by_drgn[3].sp
    assert quick.refuted == {wrong[2][0]}
    assert wrong[2][0] not in quick.proved
    assert quick.calls(task, known) is None
