"""An oops that the machine lived on after, from the log and what memory still has of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from handmade_facts import ABSENT, log
from handmade_memory import BASE, Kernel

from oopsight.cheap import replace
from oopsight.evidence.crash import outlived as module
from oopsight.evidence.crash.outlived import Outlived, outlived, still_there
from oopsight.oops import parse

FUNCTION = BASE + 0x1000
OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
Oops: 0000 [#1] PREEMPT SMP PTI
CPU: 0 PID: 130 Comm: barologd Tainted: G           OE      6.1.0-57-cloud-amd64 #1
RIP: 0010:baro_correct+0x5/0x20 [baro]
Code: 90 90 90 90 90 90 90 90 66 0f 1f 00 <8b> 46 08 0f af 47 20 c1 f8 0a 03 46 04 c3
RSP: 0018:ffffb0e5c0433d98 EFLAGS: 00010246
RAX: 0000000000000000 RBX: 0000000000000008 RCX: 0000000000000003
RDX: 0000000000000001 RSI: 0000000000000000 RDI: ffff8b5102958800
RBP: ffff8b5102b48c00 R08: 0000000000000003 R09: 000000000000000a
Call Trace:
 <TASK>
 baro_read+0x58/0xb0 [baro]
 ? exit_to_user_mode_prepare+0x40/0x1e0
 vfs_read+0xa5/0x360
 </TASK>
---[ end trace 0000000000000000 ]---
"""
CODE = bytes.fromhex("8b46080faf4720")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that has not panicked, with the function where the log has it."""
    made = Kernel()
    names = ("r15", "r14", "bp", "bx", "ax", "si", "di", "ip", "flags", "sp")
    others = ("r13", "r12", "r11", "r10", "r9", "r8", "cx", "dx")
    made.struct("pt_regs", **dict.fromkeys((*names, *others), made.word))
    at = FUNCTION + 5 - BASE
    made.data[at : at + len(CODE)] = CODE
    found = [
        drgn.Symbol("baro_correct", FUNCTION, 0x20, drgn.SymbolBinding.LOCAL, drgn.SymbolKind.FUNC)
    ]
    made.prog.register_symbol_finder("made", lambda *_: found, enable_index=0)
    monkeypatch.setattr(module, "has_panicked", lambda _: False)
    monkeypatch.setattr(module, "read_log", lambda _: logged(OOPS))
    return SimpleNamespace(prog=made.prog, read=made.prog.read)


def logged(text: str) -> Any:
    return replace(log(*text.splitlines()), crashes=parse(text))


def test_the_registers_are_the_logs(kernel: Any) -> None:
    found = outlived(kernel)
    assert found is not None
    assert found.exception == "page_fault"
    known = {name: found.registers.member_(name).value_() for name in ("ip", "sp", "si", "bx")}
    assert known == {"ip": FUNCTION + 5, "sp": 0xFFFFB0E5C0433D98, "si": 0, "bx": 8}
    assert [one.function for one in found.trace] == ["baro_correct", "baro_read", "vfs_read"]
    assert outlived(kernel) is found  # it is looked for once


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("<8b> 46", "<cc> 46"),  # other code is there now: another module, say
        ("RSP: 0018:ffffb0e5c0433d98 ", ""),
        ("RIP: 0010:baro_correct+0x5/0x20 [baro]", "RIP: 0010:0x0"),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000008", "Run /init"),
    ],
)
def test_what_cannot_be_gone_by(
    kernel: Any, monkeypatch: pytest.MonkeyPatch, was: str, now: str
) -> None:
    lines = OOPS.replace(was, now).replace("Oops: 0000", "Oops: 0000" if "BUG" not in was else "")
    monkeypatch.setattr(module, "read_log", lambda _: logged(lines))
    assert outlived(kernel) is None


def test_a_machine_that_has_panicked_has_its_own_stack(
    kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_panicked", lambda _: True)
    assert outlived(kernel) is None
    kernel.prog.cache.clear()
    monkeypatch.setattr(module, "has_panicked", lambda _: False)
    monkeypatch.setattr(module, "read_log", lambda _: ABSENT)
    assert outlived(kernel) is None


def frame(name: str, pc: int, sp: int) -> Any:
    return SimpleNamespace(symbol=lambda: SimpleNamespace(name=name), pc=pc, sp=sp)


def test_what_another_has_written_over_the_stack_is_not_believed() -> None:
    trace = parse(OOPS)[0].trace
    known = Outlived(None, "page_fault", tuple(one for one in trace if one.reliable))
    first = [frame("baro_correct", 5, 0x100), frame("baro_correct", 5, 0x100)]  # one is inlined
    second = frame("baro_read", 0x58, 0x120)
    assert still_there([*first, second, frame("do_exit", 9, 0x140)], known) == [*first, second]
    assert still_there([*first, frame("do_exit", 9, 0x140)], known) == first
