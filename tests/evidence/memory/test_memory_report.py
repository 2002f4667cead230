"""Reports of SLUB, KFENCE and KASAN, as the log has them."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.memory import memory_report
from oopsight.evidence.memory.memory_report import (
    MemoryReport,
    Mistake,
    blamable,
    collect,
    parse,
)
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.oops import parse as parse_text

MODULE = 0xFFFFFFFFC0400000
MODULES = made.modules(made.module("stage", MODULE, MODULE + 0x1000, "O"))
SLUB = """\
=============================================================================
BUG stg_request (Tainted: G           OE     ): {what}
-----------------------------------------------------------------------------

Allocated in stg_submit+0x1b/0x80 [stage] age=108 cpu=1 pid=130
 stg_submit+0x1b/0x80 [stage]
 stg_write+0xd9/0xeb [stage]
 vfs_write+0xc7/0x3f0
Freed in stg_abort+0x1d/0x30 [stage] age=81 cpu=1 pid=130
 stg_write+0xc3/0xeb [stage]
 vfs_write+0xc7/0x3f0
Slab 0xfffff864c00cd680 objects=30 used=1 fp=0xffff8b5d0335a800 flags=0xfffffc0000200
Object 0x000000005a0ef001 @offset=2048 fp=0x0000000000000000
CPU: 1 PID: 28 Comm: kworker/1:1 Tainted: G           OE      6.1.0-57-cloud-amd64 #1
Workqueue: events stg_work [stage]
Call Trace:
 <TASK>
 dump_stack_lvl+0x44/0x5c
 object_err+0x8a/0xb6
 free_to_partial_list.cold+0x82/0x106
 ? stg_work+0xa/0x20 [stage]
 stg_work+0xa/0x20 [stage]
 process_one_work+0x1c7/0x380
 </TASK>
"""
KFENCE = """\
==================================================================
BUG: KFENCE: {what} in rec_count+0xa/0x20 [stage]

{what} at 0x00000000c3f1a7b2 (in kfence-#17):
 rec_count+0xa/0x20 [stage]
 rec_work+0x1f/0x50 [stage]
 process_one_work+0x1c7/0x380

kfence-#17: 0x00000000c3f1a7b0-0x00000000c3f1a81f, size=112, cache=kmalloc-128

allocated by task 31 on cpu 0 at 7.123456s:
 rec_make+0x20/0x70 [stage]
 process_one_work+0x1c7/0x380

freed by task 31 on cpu 0 at 7.123999s:
 rec_drop+0x12/0x20 [stage]
 rec_make+0x50/0x70 [stage]
 process_one_work+0x1c7/0x380

CPU: 0 PID: 31 Comm: kworker/0:1 Tainted: G           OE      6.12.117 #1
==================================================================
"""
KASAN = """\
==================================================================
BUG: KASAN: {what} in rec_count+0xa/0x20 [stage]
Read of size 4 at addr ff11000000b4da00 by task cat/71

CPU: 1 UID: 0 PID: 71 Comm: cat Tainted: G           O       6.12.117 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x53/0x70
 print_report+0xd2/0x650
 kasan_report+0xc6/0xf0
 rec_count+0xa/0x20 [stage]
 vfs_read+0x190/0x590
 </TASK>

Allocated by task 60:
 kasan_save_stack+0x33/0x50
 __kasan_kmalloc+0x87/0x90
 rec_make+0x23/0x40 [stage]
 vfs_write+0x190/0x590

Freed by task 61:
 kasan_save_stack+0x33/0x50
 __kasan_slab_free+0x37/0x50
 kfree+0xc9/0x300
 rec_drop+0xf3/0x110 [stage]
 vfs_write+0x190/0x590

The buggy address belongs to the object at ff11000000b4da00
 which belongs to the cache kmalloc-64 of size 64
The buggy address is located 0 bytes inside of
 freed 64-byte region [ff11000000b4da00, ff11000000b4da40)
==================================================================
"""


def logged(text: str) -> Log:
    lines = made.log(*text.splitlines())
    stamped = "\n".join(f"[{line.seconds:12.6f}] {line.text}" for line in lines.lines)
    return Log(lines.lines, None, None, None, parse_text(stamped))


def found(text: str, machine: Machine | None = None) -> MemoryReport:
    session = (machine or Machine()).session
    report = collect(session, logged(text), made.ABSENT, MODULES)
    assert isinstance(report, MemoryReport)
    return report


def names(frames: Any) -> list[str]:
    return [frame.function for frame in frames]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("BUG kmalloc-32 (Not tainted): Right Redzone overwritten", Mistake.OVERWRITTEN),
        ("BUG kmalloc-64 (Tainted: G    B  ): kmalloc Redzone overwritten", Mistake.OVERWRITTEN),
        ("BUG dentry (Not tainted): Poison overwritten", Mistake.WRITTEN_FREE),
        ("BUG dentry (Not tainted): End Poison overwritten", Mistake.WRITTEN_FREE),
        ("BUG dentry (Not tainted): Object corrupt", None),
        ("BUG dentry (Not tainted): Object already free", Mistake.DOUBLE_FREE),
        ("BUG dentry (Not tainted): Invalid object pointer 0x0000000012", Mistake.INVALID_FREE),
        ("BUG: KFENCE: out-of-bounds write in crf_seal+0x2/0x9", Mistake.OUT_OF_BOUNDS),
        ("BUG: KFENCE: memory corruption in kfree+0x2/0x9", Mistake.OVERWRITTEN),
        ("BUG: KASAN: slab-use-after-free in crf_seal+0x2/0x9", Mistake.USE_AFTER_FREE),
        ("BUG: KASAN: use-after-free in crf_seal+0x2/0x9", Mistake.USE_AFTER_FREE),
        ("BUG: KASAN: slab-out-of-bounds in crf_seal+0x2/0x9", Mistake.OUT_OF_BOUNDS),
        ("BUG: KASAN: double-free in crf_seal+0x2/0x9", Mistake.DOUBLE_FREE),
        ("BUG: KASAN: double-free or invalid-free in kfree+0x2/0x9", Mistake.INVALID_FREE),
        ("BUG: KASAN: stack-out-of-bounds in crf_seal+0x2/0x9", None),
        ("BUG: unable to handle page fault for address: ffff", None),
        ("BUG dentry (Not tainted): Objects remaining on __kmem_cache_shutdown()", None),
    ],
)
def test_headlines(text: str, mistake: Mistake | None) -> None:
    known = parse(text)
    assert (known[1] if known else None) is mistake


def test_what_is_overwritten_stands_before_the_head_since_6_12(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module_roles, "functions", lambda *_: [])
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    said = (
        "[Right Redzone overwritten] 0xffff8881026f7420-0xffff8881026f7420 @offset=1056. "
        "First byte 0x0 instead of 0xcc\n"
    )
    report = found(said + SLUB.format(what="Object corrupt"))
    assert (report.mistake, report.cache) == (Mistake.OVERWRITTEN, "stg_request")
    assert (report.start, report.length, report.byte) == (0xFFFF8881026F7420, 1, 0)


def test_slub_tells_who_frees_who_freed_and_who_allocated() -> None:
    report = found(SLUB.format(what="Object already free"))
    assert (report.checker, report.cache) == ("SLUB", "stg_request")
    assert names(report.blamable) == ["stg_work"]
    assert names(report.allocated)[:2] == ["stg_submit", "stg_write"]
    # The stack lacks the caller, which the line above it names.
    assert names(report.freed)[:2] == ["stg_abort", "stg_write"]
    # Whom stg_work() called is in its code, which is not there to be read.
    assert report.jumped


def test_whoever_jumped_to_the_allocator_is_named_by_its_callers_code() -> None:
    machine = Machine()
    machine.symbols = {
        MODULE + 0x100: ("stg_work", 0x20),
        MODULE + 0x200: ("stg_complete", 0x20),
    }
    machine.memory[MODULE + 0x105] = b"\xe8" + (0x200 - 0x10A).to_bytes(4, "little", signed=True)
    report = found(SLUB.format(what="Object already free"), machine)
    assert report.by is not None
    assert report.by.function == "stg_complete"


def test_kfence_tells_a_double_free_by_who_had_freed_it() -> None:
    report = found(KFENCE.format(what="use-after-free read"))
    assert (report.mistake, report.cache) == (Mistake.USE_AFTER_FREE, "kmalloc-128")
    assert names(report.stack)[0] == "rec_count"
    assert names(report.freed)[0] == "rec_drop"
    assert found(KFENCE.format(what="invalid free")).mistake is Mistake.DOUBLE_FREE
    never = KFENCE[: KFENCE.index("freed by")] + KFENCE[KFENCE.index("CPU: 0") :]
    assert found(never.format(what="invalid free")).mistake is Mistake.INVALID_FREE


def test_kasan_tells_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def owner_of(_session: Any, _modules: Any, address: int) -> Any:
        asked.append(address)
        return made.owner(address, "slab")

    monkeypatch.setattr(memory_report, "owner_of", owner_of)
    report = found(KASAN.format(what="slab-use-after-free"))
    assert (report.checker, report.mistake) == ("KASAN", Mistake.USE_AFTER_FREE)
    assert report.cache == "kmalloc-64"
    assert asked == [0xFF11000000B4DA00]
    assert names(report.blamable)[0] == "rec_count"
    assert [names(blamable(one))[0] for one in (report.allocated, report.freed)] == [
        "rec_make",
        "rec_drop",
    ]
    # Until Linux 5.18 one headline stood for both; that somebody had freed it tells them apart.
    either = "double-free or invalid-free"
    assert found(KASAN.format(what=either)).mistake is Mistake.DOUBLE_FREE


def test_who_can_have_written_beside_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(name: str, at: int, **does: Any) -> ModuleFunction:
        calls = frozenset(does.pop("calls", ()))
        return ModuleFunction(name, MODULE + at, calls, frozenset(), **{"copies": False, **does})

    code = [
        function("stg_init", 0, copies=True),
        function("stg_tag", 0x100, indexed=True),
        function("stg_write", 0x200, calls=["memcpy"], to_stack=frozenset(["memcpy"])),
    ]
    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: {MODULE})
    report = found(SLUB.format(what="Right Redzone overwritten"))
    assert (report.owner, report.writers, report.only_writer) == ("stage", ("stg_tag",), True)


def test_a_log_without_such_a_report() -> None:
    nothing = collect(Machine().session, logged("Run /init"), made.ABSENT, MODULES)
    assert isinstance(nothing, Missing)
