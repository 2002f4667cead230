"""What loops write, on code assembled by hand."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.code_loops import Store, written_in_loops
from oopsight.kernel.disassembler import disassemble

START = 0xFFFFFFFFC0400000


def widths(code: str, at: int, width: int, *registers: str) -> frozenset[int]:
    """Of a loop from the first instruction to the last, with a store at an offset."""
    rows = disassemble(bytes.fromhex(code.replace(" ", "")), START)
    stores = {START + at: Store(frozenset(registers), width)}
    return written_in_loops(rows, {START: rows[-1].address}, stores)


@pytest.mark.parametrize(
    ("code", "registers"),
    [
        # mov [rdi],al; inc rdi
        ("8807 48ffc7 75f9", ("rdi",)),
        # mov [rbx],al; lea rdi,[rbx+1]; mov rbx,rdi
        ("8803 488d7b01 4889fb 75f5", ("rbx",)),
        # mov [rdi+rcx],al; add ecx,1
        ("88040f 83c101 75f8", ("rdi", "rcx")),
    ],
)
def test_what_goes_on_by_itself_is_written_at_length(code: str, registers: tuple[str, ...]) -> None:
    assert widths(code, 0, 1, *registers) == {1}


def test_an_address_may_follow_the_counter() -> None:
    # mov rax,[rbx]; add rax,rcx; mov [rax],dl; inc rcx
    assert widths("488b03 4801c8 8810 48ffc1 75f3", 6, 1, "rax") == {1}
    # mov [rdi+rax],cl; mov rax,r8; lea r8,[r8+1]
    assert widths("880c07 4c89c0 4d8d4001 75f4", 0, 1, "rdi", "rax") == {1}
    # As the first, but the counter tells no address: mov rax,[rbx]; mov [rax],dl; inc rcx
    assert not widths("488b03 8810 48ffc1 75f6", 3, 1, "rax")


def test_a_walk_of_a_list_writes_to_one_place_in_each_object() -> None:
    # mov [rbx+32],eax; mov rax,[rbx+8]; lea rbx,[rax-8]; inc ecx
    assert not widths("894320 488b4308 488d58f8 ffc1 75f0", 0, 4, "rbx")
    # mov [rbx+32],eax; mov rbx,[rbx]; sub rbx,8
    assert not widths("894320 488b1b 4883eb08 75f4", 0, 4, "rbx")


def test_a_call_leaves_its_registers_with_other_values() -> None:
    # lea rdi,[rbx+1]; call; mov [rdi],al; inc rbx
    assert not widths("488d7b01 e800000000 8807 48ffc3 75f0", 9, 1, "rdi")
