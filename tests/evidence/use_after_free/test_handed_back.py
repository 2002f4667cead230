"""Drivers that give up what they answer not to have taken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import handed_back as module
from oopsight.evidence.use_after_free.handed_back import HandedBack, collect

START = 0xFFFFFFFFC0400000
OTHER = START + 0x10000
MODULES = made.modules(
    made.module("uplink", START, START + 0x1000, "O"),
    made.module("virtio_net", OTHER, OTHER + 0x1000),
)
PACKET = made.owner(0, "slab", slab=made.slab_object(cache="skbuff_head_cache"))
KERNEL = {"__qdisc_run": Role.FAULT, "net_tx_action": Role.CALLER}
DISKS = {"blk_mq_free_request": Role.FAULT, "blk_mq_dispatch_rq_list": Role.CALLER}


class Code:
    """The module's one handler."""

    def __init__(self, *_: Any, **__: Any) -> None:
        one = ModuleFunction("uplink_xmit", START, frozenset(), frozenset(), copies=False)
        self.by_start = {START: one}

    def code(self, _: ModuleFunction) -> Any:
        return object()

    def does(self, _: int | None, __: str) -> str:
        return "frees"


@pytest.fixture(autouse=True)
def drivers(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What each handler returns on a way on which it gives up what it was handed."""
    answers: list[int | None] = [0x10]
    monkeypatch.setattr(module, "Ownership", Code)
    monkeypatch.setattr(module, "_transmitters", lambda _: iter((OTHER, START, START)))
    monkeypatch.setattr(module, "_queues", lambda _: iter((START,)))
    monkeypatch.setattr(
        module, "gives_up_and_returns", lambda _f, _v, _d, answer: any(map(answer, answers))
    )
    return answers


def found(held: Any, functions: dict[str, Role], **named: str) -> HandedBack | Missing:
    flow = made.data_flow(made.way(made.flow_step("loaded", "dequeue", 0), held_in=held))
    frames = [
        made.frame(number, name, role, named.get(name))
        for number, (name, role) in enumerate(functions.items())
    ]
    path: Any = SimpleNamespace(crash_path=tuple(frames))
    return collect(Machine().session, path, flow, MODULES)


def test_a_packet_that_was_freed_and_handed_back() -> None:
    assert found(PACKET, KERNEL) == HandedBack("packet", "uplink", ("uplink_xmit",))


def test_a_request_that_was_ended_and_refused(drivers: list[int | None]) -> None:
    drivers[:] = [None]
    assert found(None, DISKS) == HandedBack("request", "uplink", ("uplink_xmit",))
    drivers[:] = [0]
    assert isinstance(found(None, DISKS), Missing)


def test_other_crashes_and_other_answers(drivers: list[int | None]) -> None:
    assert isinstance(found(None, KERNEL), Missing)
    # A module is at work on it.
    assert isinstance(found(PACKET, {"uplink_poll": Role.FAULT}, uplink_poll="uplink"), Missing)
    drivers[:] = [0, None]
    assert isinstance(found(PACKET, KERNEL), Missing)
