"""What is switched off, and which functions of its module can have left it so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as facts
import pytest
from handmade_code import NAMES, START, assemble
from handmade_session import Machine
from handmade_waits import LOCK_A, LOCK_B, call, memory, stack, symptom, waits

from oopsight.evidence import Missing
from oopsight.evidence.hangs import left_off
from oopsight.evidence.hangs.left_off import SwitchedOffs, collect
from oopsight.evidence.hangs.waiting import Lock, Wait, polling
from oopsight.kernel.code_locks import Function
from oopsight.kinds import Kind

HUNG = symptom(Kind.HUNG_TASK)
DRIVER = facts.modules(facts.module("drv", START, START + 0x800, "OE"))
OFF, ON = "call mutex_lock", "call mutex_unlock"
KNOWN = {**NAMES, START + 0x1000: "napi_disable", START + 0x1100: "napi_enable"}
CODE = {
    "open": ("53", ON, "5b c3"),
    "resize": ("53", OFF, ON, "5b c3"),
    "change": ("53 4889fb", OFF, "call helper", "85c0 7508 4889df", ON, "5b c3"),
    "pause": ("53", OFF, "5b c3"),
    "stop": ("53", OFF, "5b c3"),
}


def found(
    monkeypatch: pytest.MonkeyPatch, detail: str, *functions: str, at: str = "stop"
) -> SwitchedOffs | Missing:
    # Calls are by distance: each is read as if it began at the same place.
    starts = {START + 0x100 * n: name for n, name in enumerate(functions)}
    made = {at: Function(assemble(*CODE[name]), START, KNOWN.get) for at, name in starts.items()}
    names = SimpleNamespace(function_at=KNOWN.get)
    reader: Any = SimpleNamespace(names=names, function=made.get)
    monkeypatch.setattr(left_off, "StackReader", lambda *_: reader)
    rows = [(name, at, b"") for at, name in starts.items()]
    monkeypatch.setattr(left_off, "machine_code", lambda *_: rows)
    lock = Lock("polling", LOCK_A, "of cm0", because=(memory(LOCK_A),), detail=detail)
    waiting = Wait(stack(1, call(3, "napi_disable", None), call(4, at)), lock, 9.0)
    return collect(Machine().session, HUNG, waits(waiting), DRIVER)


def test_a_function_that_switches_on_again_on_another_way_comes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = found(monkeypatch, polling.DISABLED, "change", "pause", "stop")
    assert isinstance(one, SwitchedOffs)
    (off,) = one.found
    assert (off.title, off.module.name) == ("polling of cm0", "drv")
    assert [(by.function, by.off_at, by.returns_at) for by in off.by] == [
        ("change", "change+0x4", "change+0x1b")
    ]


def test_else_those_that_never_do_but_the_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, polling.DISABLED, "pause", "stop")
    assert isinstance(one, SwitchedOffs)
    assert [(by.function, by.back) for by in one.found[0].by] == [("pause", False)]
    assert found(monkeypatch, polling.DISABLED, "stop") == SwitchedOffs(())


def test_who_switches_off_what_is_off_by_right(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, polling.DISABLED, "open", "stop", "resize", at="resize")
    assert isinstance(one, SwitchedOffs)
    assert [(by.function, by.twice) for by in one.found[0].by] == [
        ("resize", True), ("stop", False),
    ]  # fmt: skip
    # Nobody but itself switches on.
    one = found(monkeypatch, polling.DISABLED, "stop", "pause", at="pause")
    assert isinstance(one, SwitchedOffs)
    assert [(by.function, by.twice) for by in one.found[0].by] == [("stop", False)]


def test_other_waits_and_crashes() -> None:
    waiting = Wait(stack(1, call(4, "stop")), Lock("mutex", LOCK_A, "lock"), 9.0)
    assert collect(Machine().session, HUNG, waits(waiting), DRIVER) == SwitchedOffs(())
    other = collect(Machine().session, symptom(Kind.OOM), waits(waiting), DRIVER)
    assert isinstance(other, Missing)


def number(value: int) -> Any:
    return SimpleNamespace(value_=lambda: value)


@pytest.mark.parametrize(("depth", "title"), [(1, "interrupt 9"), (0, None)])
def test_an_interrupt_of_the_module_that_waits(
    depth: int, title: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = SimpleNamespace(handler=number(START + 0x40), thread_fn=number(0))
    desc = SimpleNamespace(action=action, depth=number(depth))
    monkeypatch.setattr("drgn.helpers.linux.irq.for_each_irq_desc", lambda _: [(9, desc)])
    monkeypatch.setattr(left_off, "memory_of", lambda *_: memory(LOCK_A))
    waiting = Wait(stack(1, call(3, "read")), Lock("completion", LOCK_A, "done"), 9.0)
    monkeypatch.setattr(left_off, "stopped_timers", lambda *_: [])
    things = list(left_off._things(Machine().session, waiting, DRIVER))
    assert [one.title for one in things] == ([title] if title else [])


def disk(name: str, begin: int, *, frozen: int = 0, quiesced: int = 0) -> Any:
    operations = SimpleNamespace(queue_rq=number(START + 0x40))
    queue = SimpleNamespace(
        mq_ops=operations,
        mq_freeze_depth=number(frozen),
        quiesce_depth=number(quiesced),
        value_=lambda: begin,
        type_=SimpleNamespace(type="struct request_queue"),
    )
    return SimpleNamespace(queue=SimpleNamespace(read_=lambda: queue), name=name)


@pytest.mark.parametrize(
    ("lock", "function", "titles"),
    [
        (Lock("event", LOCK_A, None), "blk_queue_enter", ["queue of d0"]),
        (Lock("event", LOCK_B, None), "blk_queue_enter", []),
        (Lock("page", LOCK_A, None), "folio_wait_bit", ["queue of d\\x1b1"]),
        (Lock("mutex", LOCK_A, None), "read", []),
    ],
)
def test_a_queue_that_hands_nothing_on(
    lock: Lock, function: str, titles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = [disk("d0", LOCK_A - 8, frozen=1), disk("d\x1b1", LOCK_B + 0x1000, quiesced=1)]
    monkeypatch.setattr("drgn.helpers.linux.block.for_each_disk", lambda _: disks)
    monkeypatch.setattr("drgn.helpers.linux.block.disk_name", lambda one: one.name.encode())
    monkeypatch.setattr("drgn.cast", lambda _, value: value)
    monkeypatch.setattr("drgn.sizeof", lambda _: 16)
    monkeypatch.setattr(left_off, "has_requests", lambda _: True)
    monkeypatch.setattr(left_off, "hardware_queues", lambda _: [])
    monkeypatch.setattr(left_off, "memory_of", lambda *_: memory(LOCK_A))
    waiting = Wait(stack(1, call(3, function, None)), lock, 9.0)
    things = list(left_off._things(Machine().session, waiting, DRIVER))
    assert [one.title for one in things] == titles
    monkeypatch.setattr(left_off, "has_requests", lambda _: False)
    idle = list(left_off._things(Machine().session, waiting, DRIVER))
    assert [one.title for one in idle] == [one for one in titles if one == "queue of d0"]


HALT, RESUME, RESTART = START, START + 0x400, START + 0x800


def partly(monkeypatch: pytest.MonkeyPatch, resume: tuple[str, ...]) -> tuple[str, ...]:
    """Of restart(), which calls halt() and resume(): halt() may return at once."""
    code = {
        HALT: Function(assemble("4885ff 7405", OFF, "c3"), HALT, KNOWN.get),
        RESUME: Function(assemble(*resume), RESUME, KNOWN.get),
        RESTART: Function(bytes.fromhex("e8fbf7ffff e8f6fbffff c3"), RESTART, lambda _: None),
    }
    # Calls are by distance, and assembled as if from START.
    known = {**KNOWN, RESUME + 0x1100: "napi_enable"}
    names = SimpleNamespace(function_at=known.get)
    reader = SimpleNamespace(names=names, function=code.get)
    monkeypatch.setattr(left_off, "StackReader", lambda *_: reader)
    rows = [("halt", HALT, b""), ("resume", RESUME, b""), ("restart", RESTART, b"")]
    monkeypatch.setattr(left_off, "machine_code", lambda *_: rows)
    search = left_off.Search(Machine().session, DRIVER, polling.KIND, DRIVER.loaded[0])
    return search.partly()


def test_a_helper_that_switches_off_on_some_ways_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert partly(monkeypatch, (ON, "c3")) == ("halt",)
    # The other one returns at once by the same.
    assert partly(monkeypatch, ("4885ff 7405", ON, "c3")) == ()
