"""A module that takes another's object for one of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import taken_for_own
from oopsight.evidence.corruption.taken_for_own import TakenForOwn, collect
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.disassembler import Row

PORT, TAP = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000
AT = int(made.slab_object().address)
TEXT = 0x83DEB994EFCAA580
MODULES = made.modules(
    made.module("port", PORT, PORT + 0x1000, "O"), made.module("tap", TAP, TAP + 0x1000, "O")
)


def refers(module: str, value: int) -> Reference:
    memory = BytesPointer(Address(AT + 8), value.to_bytes(8, "little").hex())
    return Reference(8, Address(value), f"{module}_ops", module, memory)


THEIRS = made.slab_object(refers=(refers("tap", TAP + 0x100),))
TRACE = Backtrace(
    (
        made.frame(0, "port_follow", Role.FAULT, "port"),
        replace(made.frame(1, "port_event", Role.CALLER, "port"), pc=Address(PORT + 0x20)),
    ),
    (),
    interrupted=True,
    exception="general_protection",
)


def flow(one: Any = THEIRS, *, bad: str = "non-canonical", own: bool = False) -> Any:
    read = made.flow_step("loaded", "port_follow", TEXT, "port")
    given = made.flow_step("passed", "port_event", AT + 0x20, "port")
    outer = made.flow_step(
        "lost" if own else "passed", "port_open" if own else "dev_set_mtu", AT, "port" * own or None
    )
    held = made.owner(AT + 0x40, "slab", slab=one, offset=0x40)
    return made.data_flow(
        made.way(read, held_in=held), made.way(given, outer), bad=made.owner(TEXT, bad)
    )


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_for_own, "acquainted", lambda *_: False)
    monkeypatch.setattr(taken_for_own, "instructions", lambda *_: [])


def collected(given: Any) -> Any:
    return collect(Machine().session, given, TRACE, MODULES)


def test_who_had_it_from_the_kernel() -> None:
    found = collected(flow())
    assert isinstance(found, TakenForOwn)
    assert (found.function, found.owner, found.asked) == ("port_event", "tap", None)


def test_the_object_that_led_to_it_is_anothers() -> None:
    plain = made.owner(AT + 0x1040, "slab", slab=made.slab_object(address=Address(AT + 0x1000)))
    inner, outer = flow().ways
    ways = (replace(inner, held_in=plain), replace(inner, function="port_event"), outer)
    ways = (ways[0], replace(ways[1], held_in=inner.held_in), outer)
    found = collected(replace(flow(), ways=ways))
    assert isinstance(found, TakenForOwn)
    assert found.function == "port_event"


@pytest.mark.parametrize(
    "given",
    [
        flow(replace(THEIRS, state="free")),
        flow(replace(THEIRS, refers=())),
        flow(replace(THEIRS, refers=(*THEIRS.refers, refers("port", PORT + 0x100)))),
        flow(bad="slab"),
        flow(own=True),  # the kernel never had it
    ],
)
def test_anything_else(given: Any) -> None:
    assert isinstance(collected(given), Missing)


def test_modules_that_know_each_other_share_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_for_own, "acquainted", lambda *_: True)
    assert isinstance(collected(flow()), Missing)


@pytest.mark.parametrize(
    ("before", "behind", "asked"),
    [
        ((), ("test al, al",), "port_is_ours"),
        ((), ("mov al, al",), None),
        (
            ("mov rbx, rdx", "mov rdi, rbx"),
            ("mov edx, eax", "xor eax, eax", "test dl, dl"),
            "port_is_ours",
        ),
        (("mov rdi, qword ptr [rdx]",), ("test al, al",), "port_is_ours"),
        (("mov rdi, qword ptr [rdx + 0x78]",), ("test al, al",), None),  # asks about its own data
        ((), ("xor eax, eax", "test eax, eax"), None),
    ],
)
def test_the_function_whose_answer_it_went_by(
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
    behind: tuple[str, ...],
    asked: str | None,
) -> None:
    code = [
        *before,
        f"call {PORT + 0x80:#x}",
        *behind,
        f"call {PORT + 0xC0:#x}",
        "test eax, eax",
    ]
    rows = [
        Row(PORT + 4 * number, b"", *text.split(" ", 1), b"") for number, text in enumerate(code)
    ]
    names = {PORT + 0x80: ("port_is_ours", 0, 0), PORT + 0xC0: ("port_follow", 0, 0)}
    monkeypatch.setattr(taken_for_own, "instructions", lambda *_: rows)
    monkeypatch.setattr(
        taken_for_own.SessionReader, "function", lambda _, address: names.get(address)
    )
    found = collected(flow())
    assert isinstance(found, TakenForOwn)
    assert found.asked == asked
