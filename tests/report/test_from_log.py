"""The report on a dump without symbols."""

from __future__ import annotations

from typing import Any

import pytest

from oopsight.dump.info import DumpInfo, VmcoreInfo
from oopsight.report import from_log
from oopsight.session import NoSymbolsError
from oopsight.symbols import SymbolStatus

COMPLAINT = """\
[    3.900000] sysfs: cannot create duplicate filename '/devices/virtual/rides/gate'
[    3.900100] CPU: 0 PID: 119 Comm: fairground Tainted: G           OE     5.10.0-43-amd64 #1
[    3.900200] Call Trace:
[    3.900300]  dump_stack+0x6b/0x83
[    3.900400]  sysfs_warn_dup.cold+0x17/0x24
[    3.900500]  sysfs_create_dir_ns+0xba/0xd0
[    3.900600]  kobject_add_internal+0xc2/0x2b0
[    3.900700]  ride_add+0xdb/0x100 [rides]
"""
FATAL = """\
[    3.940000] kernel BUG at mm/slub.c:305!
[    3.940100] invalid opcode: 0000 [#1] SMP PTI
[    3.940200] CPU: 0 PID: 119 Comm: fairground Tainted: G           OE     5.10.0-43-amd64 #1
[    3.940300] RIP: 0010:kfree+0x415/0x490
[    3.940400] Call Trace:
[    3.940500]  ride_add+0xf1/0x100 [rides]
[    3.940600]  ride_write+0xa6/0x110 [rides]
[    3.940700] ---[ end trace 0123456789abcdef ]---
[    3.950000] Kernel panic - not syncing: Fatal exception
"""


@pytest.mark.parametrize("log", [FATAL, COMPLAINT + FATAL])
def test_the_report_that_brought_the_machine_down_is_judged(
    log: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(from_log, "log_text", lambda _missing: log)
    info = DumpInfo(
        tmp_path / "vmcore", "elf", 0, "x86_64", VmcoreInfo(b"OSRELEASE=5.10.0-43-amd64")
    )
    report = from_log.analyze_log(NoSymbolsError("none", info, SymbolStatus(None, None, ())))
    assert report["verdict"]["kind"] == "bug"
    culprit = report["verdict"]["culprit"]
    assert (culprit["module"], culprit["function"]) == ("rides", "ride_add")
    assert "Linux 5.10.0-43-amd64" in report["mail"]
