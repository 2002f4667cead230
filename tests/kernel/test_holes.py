"""Memory of which a page is not in the dump."""

from __future__ import annotations

import handmade_facts as made
from handmade_session import Machine

from oopsight.evidence.modules.modules import contents
from oopsight.kernel.holes import read_with_holes

PAGE = 0xFFFFFFFFC0001000


def test_a_missing_page_costs_no_other() -> None:
    machine = Machine()
    machine.memory[PAGE - 16] = b"a" * 16
    machine.memory[PAGE + 0x1000] = b"b" * 0x1000
    data = read_with_holes(machine, PAGE - 16, 0x2000)
    assert data == b"a" * 16 + bytes(0x1000) + b"b" * (0x1000 - 16)
    assert read_with_holes(machine, PAGE, 0) == b""


def test_a_modules_data_beside_a_missing_page_is_kept() -> None:
    machine = Machine()
    machine.memory[PAGE] = b"a" * 0x1000
    module = made.module("panel", PAGE, PAGE + 0x2000)
    assert list(contents(machine.session, module)) == [(PAGE, b"a" * 0x1000 + bytes(0x1000))]
