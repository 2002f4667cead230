"""Completions that came to nobody: what is taken off a list and not completed."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, function

from oopsight.evidence.hangs.lost_completions import droppers, is_off, links_beside
from oopsight.kernel.code_locks import Function

LINK = 0xFFFF888000001000
# order = first(desk); unlink(&order->link); complete(&order->done), at 0 and at 0x20
SERVE = ("53 488b5f10 4889df", "call __list_del_entry_valid", "488d7b20", "call complete", "5b c3")
CANCEL = ("53 4889fb", "call __list_del_entry_valid", "5b c3")


def test_where_the_link_lies_beside_the_completion() -> None:
    assert links_beside({"serve": function(*SERVE)}, NAMES.get) == [-0x20 % (1 << 64)]
    assert not links_beside({"cancel": function(*CANCEL)}, NAMES.get)


@pytest.mark.parametrize(
    ("following", "off"), [(LINK, True), (0xDEAD000000000100, True), (LINK + 0x40, False)]
)
def test_an_entry_that_is_on_no_list(following: int, *, off: bool) -> None:
    assert is_off({LINK: following}.get, LINK) is off
    assert not is_off({}.get, LINK)


def test_who_takes_entries_off_and_completes_none() -> None:
    cancel = Function(bytes.fromhex("c3"), START + 0x800, NAMES.get)
    assert droppers({"serve": function(*SERVE), "other": cancel}, NAMES.get) == []
    assert droppers({"cancel": function(*CANCEL)}, NAMES.get) == ["cancel"]
    # One that puts it on another list has not lost it.
    adds = {**NAMES, START + 0x1400: "__list_add_valid"}
    moves = function("53 4889fb", "call __list_del_entry_valid", "call helper", "5b c3")
    assert not droppers({"park": moves}, adds.get)
    assert droppers({"drop": moves}, NAMES.get) == ["drop"]
