"""Stacks unwound the quick way, for many tasks, are those unwound with debug information."""

from __future__ import annotations

import pytest
from lab_dumps import opened

import oopslab
from oopsight.shell import Shell, stack


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_both_ways_show_the_same(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        dump = oopslab.ensure("incident", kernel=kernel, capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    slow = Shell(opened(dump)).run("foreach bt")
    monkeypatch.setattr(stack, "MANY", 0)
    quick_shell = Shell(opened(dump))
    quick = quick_shell.run("foreach bt")
    assert isinstance(quick_shell.cache["unwinder"], stack._Unwinder)
    assert len(slow.rows) > 50
    assert quick.text == slow.text
