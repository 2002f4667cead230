"""What is read from capstone's structures is what its own Python package says."""

from __future__ import annotations

import ctypes

import capstone
import pytest
from capstone import x86

from oopsight.kernel import disassembler as d

CODE_AT = 0xFFFFFFFF81000000


FUNCTIONS = ("qsort", "strtod", "getaddrinfo", "regexec", "glob", "malloc", "strftime", "fma")


def code_of(name: str) -> bytes:
    """Instructions that nobody wrote for this test: of the C library."""
    function = getattr(ctypes.CDLL(None), name)
    return ctypes.string_at(ctypes.cast(function, ctypes.c_void_p).value, 0x400)


def test_the_structures_are_laid_out_as_the_package_has_them() -> None:
    insn, detail = capstone._cs_insn, capstone._cs_detail
    assert ctypes.sizeof(insn) == d.INSTRUCTION.size
    assert [getattr(insn, name).offset for name, *_ in insn._fields_] == [
        0, 8, 16, 18, 42, 74, 240,
    ]  # fmt: skip
    assert detail.regs_read.offset == 0
    assert detail.regs_read_count.offset == d.READ_COUNT_AT
    assert detail.regs_write.offset == d.WRITTEN_AT
    assert detail.regs_write_count.offset == d.WRITTEN_COUNT_AT
    arch = detail.arch.offset
    assert arch + x86.CsX86.op_count.offset == d.OPERAND_COUNT_AT
    assert arch + x86.CsX86.operands.offset == d.OPERANDS_AT
    assert ctypes.sizeof(x86.X86Op) == d.OPERAND.size
    assert ctypes.sizeof(x86.X86OpMem) == d.MEMORY_OPERAND.size


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_part_of_an_instruction_is_as_the_package_says(name: str) -> None:
    code = code_of(name)
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    engine.detail = True
    expected = list(engine.disasm(code, CODE_AT))
    rows = d.disassemble(code, CODE_AT, detail=True)
    assert len(rows) == len(expected) > 10
    for row, item in zip(rows, expected, strict=True):
        assert row[:4] == (item.address, bytes(item.bytes), item.mnemonic, item.op_str)
        assert len(row.parts) == len(item.operands)
        for part, operand in zip(row.parts, item.operands, strict=True):
            kind, value, size, access = d.OPERAND.unpack(part)
            assert (kind, size, access) == (operand.type, operand.size, operand.access)
            if kind == d.MEMORY:
                memory = operand.mem
                parts = memory.segment, memory.base, memory.index, memory.scale, memory.disp
                assert d.MEMORY_OPERAND.unpack(value) == parts
            elif kind == d.REGISTER:
                assert int.from_bytes(value[:4], "little") == operand.reg
                assert d.register_name(operand.reg) == engine.reg_name(operand.reg)
            else:
                assert int.from_bytes(value[:8], "little", signed=True) == operand.imm
        assert list(row.changed) == list(item.regs_write)
        assert list(row.used) == list(item.regs_read)


def test_less_is_read_where_less_is_asked_for() -> None:
    code = code_of("qsort")
    rows = d.disassemble(code, CODE_AT, 3)
    assert [row[:4] for row in rows] == [
        row[:4] for row in d.disassemble(code, CODE_AT, detail=True)[:3]
    ]
    assert {row.detail for row in rows} == {b""}


def test_what_is_no_instruction_ends_the_list() -> None:
    assert d.disassemble(b"", 0) == []
    assert d.disassemble(b"\x06", 0) == []
    assert [row.mnemonic for row in d.disassemble(bytes.fromhex("90c306"), 0)] == ["nop", "ret"]
    assert d.register_name(0) is None


def test_a_lock_prefix_that_a_machine_with_one_processor_lacks_is_put_back() -> None:
    patched = d.disassemble(bytes.fromhex("3e0fc14724"), 0)
    assert [row[2:4] for row in patched] == [("lock xadd", "dword ptr [rdi + 0x24], eax")]
    assert [row[2:4] for row in d.disassemble(bytes.fromhex("f00fc14724"), 0)] == [
        row[2:4] for row in patched
    ]
    assert [row.mnemonic for row in d.disassemble(bytes.fromhex("3effe0"), 0)] == ["notrack jmp"]
