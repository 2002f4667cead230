"""Keys of memory operands, by themselves and in code written by hand."""

from __future__ import annotations

import pytest
from handmade_fields import START, use

from oopsight.evidence.modules.operand_keys import entry_key


def test_the_key_of_a_pointer_in_an_entry_is_its_displacement() -> None:
    assert entry_key("qword ptr [rdx + rax*4 - 8]") == (1 << 64) - 8
    assert entry_key("qword ptr [rdx + rax]") == 0
    for other in ("qword ptr [rsp + rax + 8]", "dword ptr [rdx + rax + 8]", "qword ptr [rdx + 8]"):
        assert entry_key(other) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("mov qword ptr gs:[rip + 0x33000], 0",),
        # per_cpu(): of any CPU.
        ("mov rbp, 0x34004", "mov qword ptr [rdx + rbp], 0"),
        ("mov rbp, 0x34004", "mov qword ptr [rbp + rdx], 0"),
    ],
)
def test_a_per_cpu_variable_has_one_key(lines: tuple[str, ...]) -> None:
    assert 0x33000 + START + 4 == 0x34004
    assert 0x34004 in use(*lines, "ret ").zeroes


def test_neither_the_stacks_canary_nor_two_pointers_have_a_key() -> None:
    found = use("mov qword ptr gs:[0x28], 0", "mov qword ptr [rdx + rbp], 0", "ret ")
    assert not found.zeroes


def test_the_entry_of_a_table_is_reckoned_by_an_addition() -> None:
    # rbx = &table[i & 3], whose entries have 16 bytes
    found = use("shl rbx, 4", "add rbx, -0x3fa6bfe0", "mov qword ptr [rdi + 8], rbx",
                "shl rcx, 4", "add rcx, 0x10", "mov qword ptr [rdi + 0x10], rcx")  # fmt: skip
    assert [value.kind for _, value in found.pointers] == ["inner", "inner"]
    found = use("shl rbx, 4", "add rbx, 0x10", "mov qword ptr [rdi + 8], rbx")
    assert [value.kind for _, value in found.pointers] == ["computed"]
