"""Who moves a list's entries away and does not empty its head."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.field_code import FieldUse, field_use
from oopsight.evidence.modules.splicing import splicing

START = 0x1000
SPLICED = (
    "mov rcx, qword ptr [rdi + 0x10]",  # the first entry
    "mov rdx, qword ptr [rdi + 0x18]",  # the last
    "mov rax, qword ptr [rsi + 8]",
    "mov qword ptr [rcx + 8], rax",
    "mov qword ptr [rax], rcx",
    "mov qword ptr [rdx], rsi",
    "mov qword ptr [rsi + 8], rdx",
)
EMPTIED = ("lea rax, [rdi + 0x10]", "mov qword ptr [rdi + 0x10], rax")


def use(*lines: str) -> FieldUse:
    parts = [line.partition(" ") for line in (*lines, "ret ")]
    rows = [(START + 4 * n, b"\x90" * 4, name, rest) for n, (name, _, rest) in enumerate(parts)]
    names = {0x9000: "kfree"}.get
    return field_use(rows, lambda at: START <= at < START + 4 * len(rows), names)


def test_a_head_that_leads_on_to_what_was_moved_away() -> None:
    assert splicing({"flush": use(*SPLICED), "other": use("mov rax, rdi")}) == ("flush",)


@pytest.mark.parametrize(
    "lines",
    [
        (*SPLICED, *EMPTIED),
        # One entry is taken off: its neighbours lead to each other.
        (
            "mov rcx, qword ptr [rdi]",
            "mov rdx, qword ptr [rdi + 8]",
            "mov qword ptr [rcx + 8], rdx",
            "mov qword ptr [rdx], rcx",
        ),
        # What has the head is freed; the head is on the stack.
        (*SPLICED, "call 0x9000"),
        ("lea rdi, [rsp + 0x20]", *SPLICED),
    ],
)
def test_a_head_that_nobody_goes_by_any_more(lines: tuple[str, ...]) -> None:
    assert splicing({"flush": use(*lines)}) == ()
