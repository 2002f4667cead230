"""A number that a function waits for, in code as compilers make it."""

from __future__ import annotations

from typing import Any, cast

import handmade_facts as made
import pytest
from handmade_code import function
from handmade_driver import DRIVER, MODULES, Driver

from oopsight.evidence.hangs import counted_wait, module_functions
from oopsight.evidence.hangs.conditions import Looked, NumberAt
from oopsight.evidence.hangs.counted_wait import _changed, _dropping
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.kernel.machine_code import Expression


@pytest.mark.parametrize(
    ("code", "down"),
    [
        ("f0ff4b38", True),  # lock dec dword ptr [rbx + 0x38]
        ("f0ff4338", False),  # lock inc
        ("836b3801", True),  # sub dword ptr [rbx + 0x38], 1
        ("834338ff", True),  # add …, -1
        ("83433801", False),
        ("b8ffffffff f00fc14338", True),  # mov eax, -1; lock xadd [rbx + 0x38], eax
        ("b801000000 f00fc14338", False),
        ("836c243801", False),  # of the own stack
        ("8b4338 83e801 894338", True),  # eax = [rbx + 0x38]; eax -= 1; [rbx + 0x38] = eax
        ("8b4338 83c001 894338", False),
    ],
)
def test_what_takes_a_number_down(code: str, down: bool) -> None:
    count = NumberAt(0x1050, Expression("rdi", 0x38), 0x18)
    places = _changed(function("53 4889fb", code, "5b c3"), down=True)
    assert any(count.may_be(place, []) for place in places) is down


@pytest.mark.parametrize(
    ("done", "dropping"),
    [
        ("kfree wake_up", ("feed_recall",)),
        # Who takes it down frees nothing: what others free need not be counted.
        ("wake_up", ()),
    ],
)
def test_who_frees_as_those_do_that_count_and_does_not_count(
    monkeypatch: pytest.MonkeyPatch, done: str, dropping: tuple[str, ...]
) -> None:
    calls = {
        "feed_done": done,
        "feed_cancel": "feed_done",
        "feed_recall": "kfree",
        "feed_close": "kfree",
    }
    code = [
        ModuleFunction(name, 0, frozenset(called.split()), frozenset(), copies=False)
        for name, called in calls.items()
    ]
    # What is freed when the file is closed was on no list.
    uses = {name: FieldUse((), (), False, unlinks=name != "feed_close") for name in calls}
    monkeypatch.setattr(counted_wait, "SessionReader", lambda _: None)
    monkeypatch.setattr(counted_wait, "inner_functions", lambda *_: code)
    monkeypatch.setattr(counted_wait, "uses_of", lambda *_: uses)
    module = made.module("feed", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0410000, "O")
    assert _dropping(cast("Any", None), module, ("feed_done",)) == dropping


# lock inc [rdi+0x38]; if (rsi) return; mod_timer(); ret
SEND = ("f0ff4738 4885f6 7405", "call mod_timer", "c3")
# The same, and lock dec [rdi+0x38] before it returns early.
CAREFUL = ("f0ff4738 4885f6 7406", "call mod_timer", "c3 f0ff4f38 c3")


@pytest.mark.parametrize(("code", "kept"), [(SEND, ["send"]), (CAREFUL, [])])
def test_who_raises_it_and_hands_on_on_some_ways_only(
    monkeypatch: pytest.MonkeyPatch, code: tuple[str, ...], kept: list[str]
) -> None:
    monkeypatch.setattr(module_functions, "start_and_end", lambda *_: set())
    driver = Driver(send=code)
    count = NumberAt(0x1050, Expression("rdi", 0x38), 0x18)
    reader = StackReader(driver.session, MODULES)
    assert list(counted_wait._keeping(driver.session, reader, DRIVER, count)) == kept


@pytest.mark.parametrize(
    ("code", "number", "rises"),
    [
        ("83bf8000000008 7401", 5, True),  # cmp dword ptr [rdi + 0x80], 8; je
        ("83bf8000000008 7401", 0, True),
        ("83bf8000000008 7201", 9, False),  # jb
        ("83bf8000000000 7401", 5, False),
        ("833f08 7401", 1 << 21, False),  # by no number near
    ],
)
def test_a_count_that_is_to_rise(code: str, number: int, rises: bool) -> None:
    looking = function(code, "90 c3")
    at = NumberAt(0x1050, Expression("rdi", 0x38), 0x18)
    looked = Looked(looking.code[looking.start], at, number.to_bytes(4, "little"))
    assert counted_wait._is_to_rise(looking, looked) is rises


def test_who_empties_a_queue_of_packets_and_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"sent": "consume_skb", "tick": "skb_dequeue sent", "flush": "skb_queue_purge_reason"}
    code = [
        ModuleFunction(name, 0, frozenset(called.split()), frozenset(), copies=False)
        for name, called in calls.items()
    ]
    monkeypatch.setattr(counted_wait, "SessionReader", lambda _: None)
    monkeypatch.setattr(counted_wait, "inner_functions", lambda *_: code)
    uses = {name: FieldUse((), (), counts=False) for name in calls}
    monkeypatch.setattr(counted_wait, "uses_of", lambda *_: uses)
    assert _dropping(cast("Any", None), DRIVER, ("sent",)) == ("flush",)
