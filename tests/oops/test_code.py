from __future__ import annotations

import pytest

from oopsight.oops import decoded, parse
from oopsight.oops.code import decode


@pytest.mark.parametrize(
    ("machine", "code", "registers", "words"),
    [
        (
            "x86_64",
            "53 48 89 fb <48> 8b 40 10 c3",
            {"RAX": 0},
            "read of 8 bytes at rax+0x10 = 0x10, rax = 0",
        ),
        (
            "x86_64",
            "<c7> 04 8f 01 00 00 00",
            {"RDI": 0x1000, "RCX": 2},
            "write of 4 bytes at rdi+rcx*4 = 0x1008, rdi = 0x1000, rcx = 0x2",
        ),
        ("x86_64", "<8a> 40 ff", {}, "read of 1 byte at rax-0x1"),
        ("x86_64", "<0f> 0b 48 89", {}, "ud2"),
        ("x86_32", "90 <8b> 50 04", {"EAX": 0}, "read of 4 bytes at eax+0x4 = 0x4, eax = 0"),
        (
            "arm64",
            "aa1303e0 97fffff1 (f9400c00) d65f03c0",
            {"x0": 0},
            "read of 8 bytes at x0+0x18 = 0x18, x0 = 0",
        ),
        (
            "arm64",
            "(39000041)",
            {"x2": 0x10},
            "write of 1 byte at x2, x2 = 0x10",
        ),
        ("arm", "e1a00000 (e5932004)", {"r3": 0}, "read of 4 bytes at r3+0x4 = 0x4, r3 = 0"),
    ],
)
def test_the_instruction_is_said_in_words(
    machine: str, code: str, registers: dict[str, int], words: str
) -> None:
    instruction = decode(code, machine, registers)
    assert instruction is not None
    assert instruction.words == words


@pytest.mark.parametrize(
    ("machine", "code"),
    [
        ("x86_64", "Bad RIP value."),
        ("x86_64", "53 48 89 fb"),
        ("x86_64", "<06>"),
        ("arm64", "f9400c00"),
        ("s390x", "<48> 8b"),
        (None, "<48> 8b 40 10"),
    ],
)
def test_what_cannot_be_decoded_is_left(machine: str | None, code: str) -> None:
    assert decode(code, machine, {}) is None


def test_a_report_is_decoded_with_its_own_registers() -> None:
    (report,) = parse(
        "BUG: kernel NULL pointer dereference, address: 0000000000000010\n"
        "RIP: 0010:f+0x1/0x2\nCode: 90 <48> 8b 40 10\n"
        "RAX: 0000000000000000 RBX: 0000000000000001 RCX: 0000000000000002\n"
        "RIP: 0033:0x7f00\nRAX: 00000000000000ff RBX: 0000000000000001 RCX: 0000000000000002\n"
    )
    instruction = decoded(report).decoded
    assert instruction is not None
    assert instruction.words == "read of 8 bytes at rax+0x10 = 0x10, rax = 0"
    assert report.access is not None
    assert report.access.address == 0x10
