"""Which functions of a block driver can have lost what it has not completed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as facts
import pytest
from handmade_code import NAMES, START, assemble
from handmade_session import Machine
from handmade_waits import LOCK_B, memory, task

from oopsight.evidence import Missing
from oopsight.evidence.hangs import lost_requests
from oopsight.evidence.hangs.io_in_flight import IoInFlight, Request
from oopsight.evidence.hangs.lost_requests import Driver, LostRequests, collect
from oopsight.kernel.code_locks import Function

DRIVER = facts.modules(facts.module("drv", START, START + 0x800, "OE"))
KNOWN = {**NAMES, START + 0x1100: "blk_mq_end_request"}
END = "call mutex_unlock"
CODE = {
    # mov rax,[rsi]; lea rdx,[rax+0x48]; mov [rdi+0x18],rdx; xor eax,eax; ret
    "queue": ("488b06 488d5048 48895718 31c0 c3",),
    # mov rax,[rsi]; mov [rdi+0x18],rax; xor eax,eax; ret
    "queue_one": ("488b06 48894718 31c0 c3",),
    # cmp [rdi+0x18],0; jne 1f; …; 1: mov eax,9; ret
    "queue_if_free": ("48837f1800 7508 488b06 48894718 c3 b809000000 c3",),
    # mov rdi,[rsi]; END; xor eax,eax; ret
    "queue_and_end": ("488b3e", END, "31c0 c3"),
    "work": (
        "53 4989fc 498b1c24 4939dc 7417 48891b 48895b08 807b1001 74ea 4889df",
        END,
        "ebe0 5b c3",
    ),
    "done": (END, "c3"),
    # cmp [rsi],0; je 1f; mov rdi,rsi; jmp END; 1: ret
    "store": ("803e00 7408 4889f7", "jmp mutex_unlock", "c3"),
    # mov rax,[rsi]; cmp [rax],0; je 1f; mov [rdi+0x18],rax; 1: xor eax,eax; ret
    "queue_some": ("488b06 803800 7404 48894718 31c0 c3",),
}


def driver(monkeypatch: pytest.MonkeyPatch, *functions: str) -> Driver:
    # Calls are by distance: each is read as if it began at the same place.
    starts = {START + 0x100 * n: name for n, name in enumerate(functions)}
    made = {at: Function(assemble(*CODE[name]), START, KNOWN.get) for at, name in starts.items()}
    reader: Any = SimpleNamespace(names=SimpleNamespace(function_at=KNOWN.get), function=made.get)
    monkeypatch.setattr(lost_requests, "StackReader", lambda *_: reader)
    rows = [(name, at, b"") for at, name in starts.items()]
    monkeypatch.setattr(lost_requests, "machine_code", lambda *_: rows)
    request = Request(
        *("d0", "drv", functions[0], "write", 0, 512, 1, 0, 8.0, (task(3),)),
        because=(memory(LOCK_B),),
    )
    found = collect(Machine().session, IoInFlight((request,), 1), DRIVER)
    assert isinstance(found, LostRequests)
    one = found.of("drv")
    assert one is not None
    assert found.of("other") is None
    return one


def test_one_that_ends_requests_and_skips_some(monkeypatch: pytest.MonkeyPatch) -> None:
    one = driver(monkeypatch, "queue", "work")
    assert [(lost.function, lost.at, lost.untied) for lost in one.losers] == [
        ("work", "work+0x4", True)
    ]
    assert (one.enders, one.hands_on, one.keeps_one) == (("work",), True, False)


@pytest.mark.parametrize(
    ("functions", "found"), [(("queue", "store"), "store"), (("queue_some", "done"), "queue_some")]
)
def test_one_that_is_handed_them(
    functions: tuple[str, ...], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = driver(monkeypatch, *functions)
    assert [lost.function for lost in one.losers] == [found]


@pytest.mark.parametrize(
    ("takes", "hands_on", "keeps_one"),
    [
        ("queue", True, False),
        ("queue_one", True, True),
        ("queue_if_free", True, False),
        ("queue_and_end", False, False),
    ],
)
def test_the_function_that_is_handed_them(
    takes: str, monkeypatch: pytest.MonkeyPatch, *, hands_on: bool, keeps_one: bool
) -> None:
    one = driver(monkeypatch, takes, "done")
    assert (one.hands_on, one.keeps_one) == (hands_on, keeps_one)
    assert one.losers == ()
    assert one.enders == ("done",)


def test_without_requests_no_code_is_read() -> None:
    assert isinstance(collect(Machine().session, facts.ABSENT, DRIVER), Missing)
