"""What is decoded is what capstone's own Python package says."""

from __future__ import annotations

import ctypes

import capstone
import pytest
from capstone import x86

from oopsight.kernel.disassembler import IMMEDIATE, MEMORY, REGISTER
from oopsight.kernel.machine_code import GS, RIP, decode, register_of

CODE_AT = 0xFFFFFFFF81000000
# xchg, a division, a string instruction, a system call, an atomic one, one of gs
ODD = bytes.fromhex("4887d8 48f7f1 f348ab 0f05 f0480fc107 65ff0d00010000 86c4 d1e0 0fa2")


def code_of(name: str) -> bytes:
    """Instructions that nobody wrote for this test: of the C library."""
    function = getattr(ctypes.CDLL(None), name)
    return ctypes.string_at(ctypes.cast(function, ctypes.c_void_p).value, 0x400)


def named(numbers: list[int]) -> set[str]:
    return {name for number in numbers if (name := register_of(number)) is not None}


@pytest.mark.parametrize("name", ["qsort", "strtod", "regexec", "strftime", ""])
def test_every_part_of_an_instruction_is_as_the_package_says(name: str) -> None:
    code = code_of(name) if name else ODD
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    expected = list(engine.disasm(code, CODE_AT))
    found = decode(code, CODE_AT)
    assert list(found) == [one.address for one in expected]
    for one in expected:
        row = found[one.address]
        read, written = one.regs_access()
        assert (row.end, row.text) == (one.address + one.size, one.op_str)
        assert (set(row.read), set(row.written)) == (named(read), named(written))
        assert [(o.type, o.size) for o in row.operands] == [(o.type, o.size) for o in one.operands]
        for mine, other in zip(row.operands, one.operands, strict=True):
            if mine.type == MEMORY:
                mem = other.mem
                assert mine.mem == (mem.segment, mem.base, mem.index, mem.scale, mem.disp)
            elif mine.type == IMMEDIATE:
                assert mine.imm == other.imm
            else:
                assert (mine.type, mine.reg) == (REGISTER, other.reg)


def test_what_an_instruction_sets_first_is_its_first_operand() -> None:
    (row,) = decode(bytes.fromhex("4887d8"), CODE_AT).values()  # xchg rax, rbx
    assert row.written == ("rax", "rbx")
    (row,) = decode(bytes.fromhex("b401"), CODE_AT).values()  # mov ah, 1
    assert row.written == ("rax",)


def test_registers_by_their_numbers() -> None:
    assert (x86.X86_REG_RIP, x86.X86_REG_GS) == (RIP, GS)
    numbers = (x86.X86_REG_RAX, x86.X86_REG_EDI, x86.X86_REG_R8W, x86.X86_REG_SIL, x86.X86_REG_AH)
    assert [register_of(number) for number in numbers] == ["rax", "rdi", "r8", "rsi", "rax"]
    assert register_of(x86.X86_REG_EFLAGS) is None
