"""What a module handed to the kernel, where the trace of the bad value is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.flow import data_flow
from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.moves import Context

START, QUEUE = 0xFFFFFFFFC0400000, 0xFFFFFFFF81000000
FREED, USED = 0xFFFF888003400000, 0xFFFF888003500000
CALL = b"\xe8" + (QUEUE - START - 5).to_bytes(4, "little", signed=True)


def found(
    monkeypatch: pytest.MonkeyPatch,
    *given: int,
    called: str = "queue_work_on",
    module: str | None = "beacon",
    dead: int = 0,
) -> DataFlow | None:
    code = function("beacon_tick", (START, CALL))
    context = Context(function=code, at=0, registers={}, base=None, frame=0)
    values = dict(zip(("rdi", "rsi"), given, strict=True))
    calls: Any = SimpleNamespace(
        reader=SimpleNamespace(function=lambda _: (called, QUEUE, 64)),
        tracer=SimpleNamespace(value=lambda _c, register, _a: values[register]),
    )
    follower: Any = SimpleNamespace(
        namer=SimpleNamespace(module=lambda _: module),
        ways=lambda _c, register, _v: (made.way(made.flow_step("loaded", register)),),
    )
    free, used = made.slab_object("free"), made.slab_object()
    owners = {
        FREED: made.owner(FREED, "slab", slab=free),
        USED: made.owner(USED, "slab", slab=used),
    }
    monkeypatch.setattr(data_flow, "_who_handed_it", lambda *_: context)
    monkeypatch.setattr(
        data_flow, "owner_of", lambda _s, _m, at: owners.get(at, made.owner(at, "user"))
    )
    monkeypatch.setattr(data_flow, "is_dead", lambda _s, _c, at: at == dead)
    session: Any = None
    return data_flow._handed_gone(session, None, calls, made.backtrace(), follower)


def test_freed_memory_was_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = found(monkeypatch, 0x2000, FREED)
    assert flow is not None
    assert (flow.subject, flow.checker) == ("argument", "queue_work_on")
    assert flow.bad is not None
    assert flow.bad.address == FREED


def test_a_workqueue_that_was_destroyed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, 0x2000, USED, dead=USED) is not None
    assert found(monkeypatch, 0x2000, USED) is None


def test_who_gives_back_may_have_freed_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, FREED, USED, called="kobject_put") is None
    assert found(monkeypatch, FREED, USED, module=None) is None
