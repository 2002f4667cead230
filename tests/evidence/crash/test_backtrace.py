from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from oopsight.evidence.crash import backtrace
from oopsight.evidence.crash.backtrace import crashed_trace
from oopsight.session import Session

KERNEL = 0xFFFFFFFF81000000
OUTER = SimpleNamespace(name="vport_forward", pc=KERNEL + 9, interrupted=False)


def frame(name: str | None, *, interrupted: bool = False, pc: int = KERNEL) -> Any:
    return SimpleNamespace(name=name, pc=pc, interrupted=interrupted)


def traced(monkeypatch: pytest.MonkeyPatch, *frames: Any) -> list[str | None]:
    """Names of the frames found where the unwinder gives these."""
    monkeypatch.setattr("drgn.helpers.linux.panic.panic_task", lambda _: None)
    monkeypatch.setattr(backtrace, "load_debug_files", lambda *_: False)
    monkeypatch.setattr(backtrace, "outlived", lambda _: None)
    monkeypatch.setattr(backtrace, "_user", lambda _: False)
    monkeypatch.setattr(backtrace, "_is_code", lambda _, pc: pc >= KERNEL)
    monkeypatch.setattr(backtrace, "_beyond_bad_counter", lambda *_: [OUTER])
    prog = SimpleNamespace(stack_trace=lambda _: list(frames), symbol=lambda _: None)
    return [f.name for f in crashed_trace(cast("Session", SimpleNamespace(prog=prog)))]


def test_a_thunk_at_which_the_unwinder_ends_was_called_by_what_is_on_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thunk = frame("__x86_indirect_thunk_array", interrupted=True)
    panic = frame("panic")
    assert traced(monkeypatch, panic, thunk) == ["panic", thunk.name, "vport_forward"]


def test_a_thunk_that_was_unwound_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    thunk = frame("__x86_indirect_thunk_rax", interrupted=True)
    assert traced(monkeypatch, thunk, frame("caller")) == [thunk.name, "caller"]
    assert traced(monkeypatch, frame("strnlen", interrupted=True)) == ["strnlen"]


def test_what_follows_a_counter_that_is_no_code_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nowhere = frame(None, interrupted=True, pc=0x38)
    assert traced(monkeypatch, nowhere, frame("guess")) == [None, "vport_forward"]


def test_what_follows_a_return_to_nowhere_are_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unwinder that follows rbp where there are no unwind data may go in circles."""
    circle = [frame("0x100000002", pc=0x100000002) for _ in range(9)]
    found = traced(monkeypatch, frame("do_exit"), frame("0xa5d", pc=0xA5D), *circle)
    assert found == ["do_exit", "0xa5d"]


def test_the_stack_of_the_process_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a dump has it, the unwinder finds hundreds of frames in it by following rbp."""
    inside = [
        frame(None, interrupted=not number, pc=0x47B7A0 * (not number)) for number in range(9)
    ]
    write = frame("ksys_write")
    monkeypatch.setattr("drgn.helpers.linux.panic.panic_task", lambda _: None)
    monkeypatch.setattr(backtrace, "load_debug_files", lambda *_: False)
    monkeypatch.setattr(backtrace, "outlived", lambda _: None)
    monkeypatch.setattr(backtrace, "_user", lambda one: one.pc < 1 << 63)
    prog = SimpleNamespace(stack_trace=lambda _: [write, *inside], symbol=lambda _: None)
    found = crashed_trace(cast("Session", SimpleNamespace(prog=prog)))
    assert found == [write, inside[0]]


def test_panic_that_was_interrupted_itself_is_not_what_crashed() -> None:
    """A dump taken from outside may stop it in a thunk, from where another trace begins."""
    stopped = frame("panic", interrupted=True, pc=KERNEL + 1)
    crashed = frame("vport_forward", interrupted=True, pc=KERNEL + 9)
    frames = [frame("__x86_indirect_thunk_array"), stopped, frame("asm_exc_page_fault"), crashed]
    for one in frames:
        one.sp = KERNEL
    found = backtrace._exception_entry(
        cast("Session", None), cast("Any", frames), cast("Any", SimpleNamespace(owner=lambda _: 0))
    )
    assert found == (3, "page_fault")
