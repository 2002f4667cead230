"""Who keeps a packet that a handler hands it."""

from __future__ import annotations

import pytest
from handmade_driver import MODULES, Driver

from oopsight.evidence.exhaustion.packet_handlers import _inner, _stolen
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules import module_roles

# With the packet as its second argument.
SENDS = ("4889f0 4889fe 4889c7", "jmp queue")


@pytest.mark.parametrize(
    ("queue", "sends", "function"),
    [
        (("837e7020 7709 488d7f08", "call skb_queue_tail", "31c0 c3"), SENDS, "queue"),
        (("488d7f08", "call skb_queue_tail", "31c0 c3"), SENDS, None),  # on every way
        (("837e7020 7709 488d7f08", "call skb_queue_tail", "b810000000 c3"), SENDS, None),  # busy
        (("837e7020 7709 488d7f08", "call skb_queue_tail", "31c0 c3"), ("31ff", "jmp queue"), None),
    ],
)
def test_who_keeps_it_on_some_ways_only(
    monkeypatch: pytest.MonkeyPatch,
    queue: tuple[str, ...],
    sends: tuple[str, ...],
    function: str | None,
) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    driver = Driver(queue=queue, sends=sends)
    reader = StackReader(driver.session, MODULES)
    found = _inner(reader, driver.ownership(), driver.starts["sends"])
    assert (found[0] if found is not None else None) == function


# If the packet, its first argument, is too long, it is counted; else it is put in a list.
KEEP = ("837f7020 7709 48893e b802000000 c3 83461401 b802000000 c3",)  # of its first one
HANDS = ("4889f7 4889d6", "jmp keep")


@pytest.mark.parametrize(
    ("code", "function"),
    [
        ({"hook": ("837e7020 7704 48897710 b802000000 c3",)}, "hook"),
        ({"hook": ("48897710 b802000000 c3",)}, None),  # on every way
        ({"hook": ("837e7020 770a 48897710 b802000000 c3 b801000000 c3",)}, None),  # it accepts
        ({"hook": HANDS, "keep": KEEP}, "keep"),
    ],
)
def test_who_says_that_it_has_stolen_what_it_has_not(
    monkeypatch: pytest.MonkeyPatch, code: dict[str, tuple[str, ...]], function: str | None
) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    driver = Driver(**code)
    reader = StackReader(driver.session, MODULES)
    found = _stolen(reader, driver.ownership(), driver.starts["hook"], "rsi", 2)
    assert (found[0] if found is not None else None) == function
