"""Where code goes on to read, from what its registers held."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.loops import loop_at
from oopsight.kernel.run_on import reads_ahead

MEMORY = 0xFFFFC90000001000
REGISTERS = {"rdi": MEMORY, "rsi": 64, "rdx": 0x10, "rcx": 2, "rbx": MEMORY + 8}


def reads(code: str, memory: bytes = bytes(64)) -> list[tuple[str, int]]:
    """What a row of instructions reads: their mnemonics, and how far into the memory."""

    def read(address: int, size: int) -> bytes | None:
        offset = address - MEMORY
        return memory[offset : offset + size] if 0 <= offset <= len(memory) - size else None

    rows = function(code).code.values()
    return [(row.mnemonic, at - MEMORY) for row, at in reads_ahead(rows, REGISTERS, read)]


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("89d0 4801f8 0fb700", [("movzx", 0x10)]),  # eax = edx; rax += rdi; eax = *(u16 *)rax
        ("8b448f04", [("mov", 0xC)]),  # [rdi + rcx * 4 + 4]
        ("488d4310 488b00", [("mov", 0x18)]),  # lea rax, [rbx + 16]
        ("4883eb04 8b03", [("mov", 0x4)]),
        ("4d8b01", []),  # of a register that is not known
        ("0fafd2 8b0417", []),  # edx *= edx
        ("b610 8b0437", [("mov", 0x40)]),  # dh leaves nothing that is known of rdx
        ("b610 8b0417", []),
    ],
)
def test_what_is_read(code: str, read: list[tuple[str, int]]) -> None:
    assert reads(code) == read


def test_what_was_read_leads_on() -> None:
    memory = (MEMORY + 0x30).to_bytes(8, "little") + (0xFFFFFFF8).to_bytes(4, "little")
    assert reads("488b07 8b08", memory) == [("mov", 0), ("mov", 0x30)]
    # rax = *(int *)rbx, which is -8; of what is not in the dump nothing is known
    assert reads("486303 8b0407", memory)[1] == ("mov", -8)
    assert reads("8b4740 8b0407", memory) == [("mov", 0x40)]


def test_a_turn_of_a_loop() -> None:
    code = function("31d2 85f6 740e 89d0 4801f8 0fb700 01c2 39f2 72f2 c3")
    loop = loop_at(code, START + 0xE)
    (one,) = reads_ahead(loop, {**REGISTERS, "rax": 0}, lambda _, size: bytes(size))
    assert one[1] == MEMORY + 0x10
