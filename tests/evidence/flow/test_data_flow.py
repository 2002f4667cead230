"""Which register made the address bad, on instructions assembled by hand."""

from __future__ import annotations

import pytest
from handmade_facts import fault

from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.data_flow import bad_register
from oopsight.evidence.flow.moves import Context

KERNEL = 0xFFFF888003400000
FIVE_LEVELS = 0xFF11000003400000
"""The same with addresses of 57 bits."""


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
