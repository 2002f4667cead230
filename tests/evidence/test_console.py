from __future__ import annotations

from oopsight.evidence import Evidence, Missing
from oopsight.evidence.console import evidence_of
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.modules.modules import Modules
from oopsight.oops import decoded, parse
from oopsight.report import build

NULL = """\
[   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000010
[   12.000002] #PF: supervisor read access in kernel mode
[   12.000002] Oops: 0000 [#1] SMP
[   12.000002] CPU: 1 PID: 77 Comm: reader Not tainted 6.1.0-9-amd64 #1
[   12.000003] RIP: 0010:widget_read+0x1a/0x40 [widget]
[   12.000003] Code: 90 <48> 8b 40 10
[   12.000004] RAX: 0000000000000000 RBX: 0000000000000001 RCX: 0000000000000002
[   12.000005] Call Trace:
[   12.000007]  vfs_read+0x9d/0x2a0
"""
JUMP = """\
BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor instruction fetch in kernel mode
Oops: 0010 [#1] SMP
CPU: 1 PID: 77 Comm: reader Not tainted 6.1.0-9-amd64 #1
RIP: 0010:0x0
Code: Unable to access opcode bytes at 0xffffffffffffffd6.
Call Trace:
 widget_ioctl+0x1a/0x40
 vfs_ioctl+0x1/0x2
"""


def facts(text: str) -> Evidence:
    return evidence_of(decoded(parse(text)[0]))


def test_a_fault_in_text_is_the_fact_that_a_dump_gives() -> None:
    evidence = facts(NULL)
    fault, backtrace = evidence.get(Fault), evidence.get(Backtrace)
    assert not isinstance(fault, Missing)
    assert not isinstance(backtrace, Missing)
    assert (fault.exception, fault.address, fault.access) == ("page_fault", 0x10, "read")
    assert (fault.function, fault.module) == ("widget_read", "widget")
    assert fault.operand is not None
    assert (fault.operand.base, fault.operand.base_value) == ("rax", 0)
    assert [(frame.function, frame.role) for frame in backtrace.crash_path] == [
        ("widget_read", Role.FAULT),
        ("vfs_read", Role.CALLER),
    ]
    task, log = evidence.get(CrashedTask), evidence.get(Log)
    assert not isinstance(task, Missing)
    assert not isinstance(log, Missing)
    assert (task.pid, task.comm, task.cpu) == (77, "reader", 1)
    assert log.lines[0].seconds == 12.000001


def test_what_text_does_not_tell_is_missing_with_a_reason() -> None:
    modules = facts(NULL).get(Modules)
    assert isinstance(modules, Missing)
    assert modules.detail == "console text does not tell where modules are loaded"


def test_the_same_rule_judges_text_and_dump() -> None:
    verdict = build(facts(NULL))["verdict"]
    # Text does not tell where the NULL came from.
    assert (verdict["cause"], verdict["certainty"]) == ("null_dereference", "possible")
    assert verdict["faulting_function"] == "widget_read"


def test_a_call_of_null_is_one_of_a_function_pointer() -> None:
    verdict = build(facts(JUMP))["verdict"]
    assert verdict["cause"] == "null_dereference"
    assert "NULL function pointer" in verdict["title"]
    assert "widget_ioctl" in verdict["summary"]


def test_a_warning_has_no_fault_and_no_cause() -> None:
    evidence = facts(
        "WARNING: CPU: 0 PID: 1 at a.c:1 widget_open+0x1/0x2\nCall Trace:\n vfs_open+0x1/0x2\n"
    )
    assert isinstance(evidence.get(Fault), Missing)
    assert build(evidence)["verdict"]["cause"] is None
