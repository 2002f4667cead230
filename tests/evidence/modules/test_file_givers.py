"""Who puts files, by what the functions of modules call."""

from __future__ import annotations

from typing import Any, cast

import handmade_facts as made
import pytest

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules import file_givers
from oopsight.evidence.modules.file_givers import FileGivers, collect
from oopsight.evidence.modules.module_code import ModuleFunction

CLOSED = made.log("VFS: Close: file count is 0 (f_op=pipe_fops)", "kernel BUG at fs/open.c:1526!")
AT = made.backtrace(filp_flush=Role.FAULT, filp_close=Role.CALLER)
MODULES = made.modules(
    made.module("meter", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O"),
    made.module("camera", 0xFFFFFFFFC0420000, 0xFFFFFFFFC0430000, "O"),
    made.module("pipefs", 0xFFFFFFFFC0440000, 0xFFFFFFFFC0450000),
)
CODE = {
    "meter": {"meter_close": "fput put_unused_fd", "meter_read": "copy_to_user"},
    "camera": {"cam_drop": "dma_buf_put", "cam_export": "dma_buf_put dma_buf_fd", "cam_fd": "f_fd"},
    "pipefs": {"pipefs_open": "fd_install fput"},
}


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    def inner(_: object, module: Any) -> list[ModuleFunction]:
        return [
            ModuleFunction(name, 0, frozenset(calls.split()), frozenset(), copies=False)
            for name, calls in CODE[module.name].items()
        ]

    monkeypatch.setattr(file_givers, "inner_functions", inner)


def test_who_gives_files_and_puts_them_comes_first() -> None:
    found = collect(cast("Any", None), CLOSED, AT, MODULES)
    assert isinstance(found, FileGivers)
    assert [(one.module.name, one.functions, one.both) for one in found.modules] == [
        ("camera", ("cam_export", "cam_drop"), True),
        ("meter", ("meter_close",), False),
    ]


def test_without_the_check_nothing_is_concluded() -> None:
    session = cast("Any", None)
    elsewhere = made.backtrace(strlen=Role.FAULT, cam_ioctl=Role.CALLER, filp_close=Role.CALLER)
    assert isinstance(collect(session, CLOSED, elsewhere, MODULES), Missing)
    assert isinstance(collect(session, made.log("hello"), AT, MODULES), Missing)
