"""Rows of ORC, and stacks made by hand that they lead over."""

from __future__ import annotations

import struct

import pytest

from oopsight.kernel.orc import Kind, Layout, Rule, calls

WITH_END = {"sp_reg": (0, 15), "bp_reg": (4, 15), "type": (8, 3), "end": (10, 1)}
WITHOUT_END = {"sp_reg": (0, 15), "bp_reg": (4, 15), "type": (8, 7)}
SP = 0xFFFFC90000003E00
PLAIN = Rule(Kind.CALL, False, 16, None)


def _row(sp_offset: int, bp_offset: int, flags: int) -> bytes:
    return struct.pack("<hhH", sp_offset, bp_offset, flags)


@pytest.mark.parametrize(
    ("bits", "sp", "call", "prev_sp"),
    [(WITH_END, 5, 0, 1), (WITHOUT_END, 5, 2, 1), (WITHOUT_END, 3, 2, 8)],
    ids=["5.10", "6.12", "7.2"],
)
def test_registers_are_numbered_as_the_rows_themselves_show(
    bits: dict[str, tuple[int, int]], sp: int, call: int, prev_sp: int
) -> None:
    saved = _row(24, -16, sp | prev_sp << 4 | call << 8)
    layout = Layout.of(bits, saved * 3 + _row(16, 0, 4 | call << 8))
    assert layout.decode(saved) == Rule(Kind.CALL, False, 24, -16)
    assert layout.decode(_row(16, -16, 4 | prev_sp << 4 | call << 8)) == Rule(
        Kind.CALL, True, 16, -16
    )
    assert layout.decode(_row(0, 0, sp | (call + 1) << 8)) == Rule(Kind.REGS, False, 0, None)
    rare = 6  # R10
    assert layout.decode(_row(8, 0, rare | call << 8)) is None


def test_the_start_of_a_stack_is_told() -> None:
    assert Layout(WITH_END, 5).decode(_row(0, 0, 1 << 10)) == Rule(Kind.END, False, 0, None)
    assert Layout(WITHOUT_END, 5).decode(_row(0, 0, 1 << 8)) == Rule(Kind.END, False, 0, None)


def _sleeping(bp: int, *behind: int) -> tuple[int, ...]:
    """``struct inactive_task_frame`` with 0x101 as return address, and what lies behind."""
    return (0, 0, 0, 0, 0, bp, 0x101, *behind)


def test_a_kernel_thread_is_followed_to_its_start() -> None:
    rules = {0x100: PLAIN, 0x200: Rule(Kind.END, False, 0, None)}
    found = calls(_sleeping(0, 7, 0x201, 0), SP, rules.__getitem__)
    assert found == [(0x101, SP + 56), (0x201, SP + 72)]


def test_a_frame_pointer_leads_over_a_frame_of_any_size() -> None:
    # The first function saved RBP, the second one, which moved its stack, is left by it.
    words = _sleeping(0, SP + 96, 0x201, 1, 2, 3, 0x55, 0x301, 0)
    rules = {
        0x100: Rule(Kind.CALL, False, 16, -16),
        0x200: Rule(Kind.CALL, True, 16, -16),
        0x300: Rule(Kind.END, False, 0, None),
    }
    assert calls(words, SP, rules.__getitem__) == [
        (0x101, SP + 56),
        (0x201, SP + 72),
        (0x301, SP + 112),
    ]


def test_registers_saved_on_entry_from_user_space_end_the_stack() -> None:
    regs = [0] * 21
    regs[16], regs[17], regs[19] = 0x460A63, 0x33, 0x7FFE6ECBACE8
    found = calls(_sleeping(0, *regs), SP, {0x100: Rule(Kind.REGS, False, 0, None)}.__getitem__)
    assert found == [(0x101, SP + 56), (0x460A63, 0x7FFE6ECBACE8)]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ((0, 0, 0), PLAIN),
        (_sleeping(0, 7, 0x201, 0), None),
        (_sleeping(0, 7), PLAIN),
        (_sleeping(SP - 64, 7, 0x201), Rule(Kind.CALL, True, 16, None)),
        (_sleeping(SP + 0x100000, 7, 0x201), Rule(Kind.CALL, True, 16, None)),
        (_sleeping(0, *[0] * 21), Rule(Kind.REGS, False, 0, None)),
        (_sleeping(0, 7, 0x201), Rule(Kind.CALL, False, 16, 64)),
    ],
    ids=["no frame", "no rule", "cut off", "back", "far away", "kernel regs", "bp outside"],
)
def test_what_is_not_simple_is_left_to_others(words: tuple[int, ...], rule: Rule | None) -> None:
    assert calls(words, SP, lambda _: rule) is None


def test_a_frame_that_leads_to_itself_ends() -> None:
    assert calls(_sleeping(0, 0x101), SP, lambda _: Rule(Kind.CALL, False, 0, None)) is None
