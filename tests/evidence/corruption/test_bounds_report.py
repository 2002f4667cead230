"""FORTIFY_SOURCE's, usercopy's and UBSAN's words."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence import Missing
from oopsight.evidence.corruption.bounds_report import BoundsReport, collect
from oopsight.evidence.crash.symptom import Symptom
from oopsight.kinds import Kind
from oopsight.oops import parse

BUG = """\
{said}
------------[ cut here ]------------
kernel BUG at lib/string_helpers.c:1031!
invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 PID: 130 Comm: beacond Tainted: G           OE      6.1.0-57-cloud-amd64 #1
RIP: 0010:fortify_panic+0xf/0x11
Call Trace:
 bcn_set.cold+0xc/0x10 [beacon]
"""


def found(text: str) -> BoundsReport | Missing:
    log = made.log(*text.splitlines())
    (report, *_) = parse("\n".join(f"[{x.seconds:12.6f}] {x.text}" for x in log.lines))
    return collect(log, Symptom(Kind.BUG, "", "log", log.lines[report.first_line], report))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("detected buffer overflow in memcpy", {"by": "memcpy", "size": None, "room": None}),
        (
            "memcpy: detected buffer overflow: 80 byte write of buffer size 32",
            {"by": "memcpy", "size": 80, "room": 32, "access": "write"},
        ),
        (
            'memcpy: detected field-spanning write (size 29) of single field "frame->mac" at '
            "/src/esp.c:20 (size 6)",
            {"what": "frame->mac", "size": 29, "room": 6, "place": "/src/esp.c:20"},
        ),
        (
            "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-96' "
            "(offset 0, size 200)!",
            {"what": "SLUB object 'kmalloc-96'", "size": 200, "access": "exposure"},
        ),
        ("Buffer overflow detected (64 < 200)!", {"room": 64, "size": 200}),
    ],
)
def test_what_was_tried(said: str, words: dict[str, Any]) -> None:
    report = found(BUG.format(said=said))
    assert isinstance(report, BoundsReport)
    assert {key: getattr(report, key) for key in words} == words
    assert report.text.text == said


def test_an_index_out_of_bounds() -> None:
    report = found(
        "UBSAN: array-index-out-of-bounds in drivers/net/x.c:77:12\n"
        "index 9 is out of range for type 'u32 [8]'\n"
        "CPU: 1 PID: 130 Comm: x Tainted: G           OE      6.1.0-57-cloud-amd64 #1\n"
        "Call Trace:\n dump_stack_lvl+0x44/0x5c\n x_set+0xc/0x10 [x]\n"
    )
    assert isinstance(report, BoundsReport)
    assert report.words == "index 9 is outside of the array u32 [8]"


def test_a_report_of_something_else() -> None:
    assert isinstance(found(BUG.format(said="beacon: ready")), Missing)


def test_an_address_that_is_none_is_no_matter_of_length() -> None:
    said = "usercopy: Kernel memory exposure attempt detected from null address (offset 0, size 9)!"
    assert isinstance(found(BUG.format(said=said)), Missing)


def test_a_string_without_an_end_is_told_from_a_copy_too_long() -> None:
    text = "strlen: detected buffer overflow: 29 byte read of buffer size 28"
    report = found(BUG.format(said=text))
    assert isinstance(report, BoundsReport)
    assert report.no_end
    before = found(BUG.format(said="detected buffer overflow in strlen"))
    assert isinstance(before, BoundsReport)
    assert before.no_end
    report = found(BUG.format(said=text.replace("strlen", "memcpy")))
    assert isinstance(report, BoundsReport)
    assert not report.no_end


def test_a_check_that_warns_and_then_stops_says_its_words_in_the_warning() -> None:
    warning = """\
strcat: detected buffer overflow: 41 byte write of buffer size 32
WARNING: CPU: 0 PID: 178 at lib/string_helpers.c:1032 __fortify_report+0x43/0x50
RIP: 0010:__fortify_report+0x43/0x50
"""
    between = "".join(f"RAX: {n:016x}\n" for n in range(40))
    stop = BUG.partition("\n")[2].replace("fortify_panic+0xf/0x11", "__fortify_panic+0xd/0x10")
    text = warning + between + "---[ end trace 0000000000000000 ]---\n" + stop
    log = made.log(*text.splitlines())
    reports = parse("\n".join(f"[{x.seconds:12.6f}] {x.text}" for x in log.lines))
    last = reports[-1]
    assert last.kind is Kind.BUG
    report = collect(log, Symptom(Kind.BUG, "", "log", log.lines[last.first_line], last))
    assert isinstance(report, BoundsReport)
    assert (report.by, report.size, report.room) == ("strcat", 41, 32)
