"""Which value is followed, on instructions assembled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_facts import fault

from oopsight.evidence.flow import data_flow, type_names
from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.data_flow import DataFlow, bad_register
from oopsight.evidence.flow.moves import Context

KERNEL = 0xFFFF888003400000
FIVE_LEVELS = 0xFF11000003400000
"""The same with addresses of 57 bits."""
START, QUEUE = 0xFFFFFFFFC0400000, 0xFFFFFFFF81000000
FREED, USED = 0xFFFF888003400000, 0xFFFF888003500000
CALL = b"\xe8" + (QUEUE - START - 5).to_bytes(4, "little", signed=True)


@pytest.mark.parametrize(
    ("code", "registers", "address", "chosen"),
    [
        # mov rax,[rdi+0x38]
        ("488b4738", {"rdi": 0}, 0x38, "rdi"),
        # mov rax,[rdi+rcx*8]: a good base with a wild index, and the reverse
        ("488b04cf", {"rdi": KERNEL, "rcx": 0x6B6B6B6B6B6B6B6B}, None, "rcx"),
        ("488b04cf", {"rdi": 0x6B6B6B6B6B6B6B6B, "rcx": 4}, None, "rdi"),
        ("488b04cf", {"rdi": 0, "rcx": KERNEL}, None, "rdi"),
        ("488b04cf", {"rdi": FIVE_LEVELS, "rcx": 0x6B6B6B6B6B6B6B6B}, None, "rcx"),
        ("488b04cf", {"rdi": 0, "rcx": FIVE_LEVELS}, None, "rdi"),
        # rep movsb: source or destination
        ("f3a4", {"rsi": 0x1000, "rdi": KERNEL}, 0x1000, "rsi"),
        ("f3a4", {"rsi": KERNEL, "rdi": 0x2000}, 0x2000, "rdi"),
        # bts [rdi], rdx: a bit of the word there, or far behind it
        ("480fab17", {"rdi": 0x10, "rdx": 5}, 0x10, "rdi"),
        ("480fab17", {"rdi": KERNEL, "rdx": 1 << 40}, None, "rdx"),
        # mov rax, gs:[0x28]: per-CPU memory is no pointer that somebody kept
        ("65488b042528000000", {}, None, None),
        # ud2
        ("0f0b", {}, None, None),
    ],
)
def test_the_register_that_is_followed(
    code: str, registers: dict[str, int], address: int | None, chosen: str | None
) -> None:
    made = function("f", (0xFFFFFFFF81000000, bytes.fromhex(code)))
    context = Context(function=made, at=0, registers=registers, base=None, frame=0)
    assert bad_register(fault(address), context) == chosen


def found(
    monkeypatch: pytest.MonkeyPatch,
    *given: int,
    called: str = "queue_work_on",
    module: str | None = "beacon",
    dead: int = 0,
    parameters: tuple[str, ...] = ("rdi", "rsi"),
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
    monkeypatch.setattr(type_names, "parameter", lambda *at: at[3] in parameters or None)
    session: Any = SimpleNamespace(prog=None)
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


def test_what_a_register_holds_that_is_no_parameter_was_not_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert found(monkeypatch, USED, FREED, parameters=("rdi",)) is None
    assert found(monkeypatch, FREED, USED, parameters=("rdi",)) is not None
    assert found(monkeypatch, 0x2000, USED, parameters=("rdi",), dead=USED) is not None
