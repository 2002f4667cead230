"""What a function returned, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import BAD, OBJECT, Machine, trace, ways

# f1: xor eax,eax; 1: mov rcx,[rdi+rax*8]; inc rax; cmp [rcx],rsi; jne 1b; mov rax,rcx; ret
FIND = "31c0 488b0cc7 48ffc0 483931 75f4 4889c8 c3"
# f0: push rbx; mov rdi,rbx; call f1; mov rax,[rax+0x28]; mov ecx,[rax]
USE = "53 4889df e8f70f0000 488b4028 8b08"


def table(machine: Machine) -> list[int]:
    entries = [OBJECT + 0x100 * number for number in range(1, 5)]
    for number, entry in enumerate(entries):
        machine.words |= {OBJECT + 8 * number: entry, entry: number, entry + 0x28: OBJECT}
    return entries


def test_what_was_read_through_a_pointer_that_a_function_found() -> None:
    machine = Machine(USE, FIND)
    entries = table(machine)
    machine.words[entries[2] + 0x28] = BAD
    moves = trace(machine, "rax", 13, rax=BAD, rbx=OBJECT)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].certain) == (entries[2] + 0x28, False)


def test_what_a_function_returned_is_followed_into_it() -> None:
    # f0: push rbx; mov rdi,rbx; call f1; mov ecx,[rax]   f1: mov rax,[rdi+8]; ret
    machine = Machine("53 4889df e8f70f0000 8b08", "488b4708 c3")
    machine.words[OBJECT + 8] = BAD
    moves = trace(machine, "rax", 9, rax=BAD, rbx=OBJECT)
    assert ways(moves) == ["returned", "loaded"]
    assert (moves[1].address, moves[1].context.function.name) == (OBJECT + 8, "f1")


def test_what_a_function_found_in_a_table_and_read() -> None:
    # f1: mov rax,rdi; 1: mov rdx,[rax]; cmp [rdx],rsi; je 2f; add rax,8; jmp 1b;
    # 2: mov rax,[rdx+0x28]; ret
    code = "4889f8 488b10 483932 7406 4883c008 ebf2 488b4228 c3"
    machine = Machine("53 4889df e8f70f0000 8b08", code)
    entries = table(machine)
    machine.words[entries[3] + 0x28] = BAD
    moves = trace(machine, "rax", 9, rax=BAD, rbx=OBJECT)
    assert ways(moves) == ["returned", "loaded"]
    assert moves[1].address == entries[3] + 0x28


@pytest.mark.parametrize(
    ("decided", "code"),
    [
        ((1 << 64) - 22, "488b4708 c3"),
        # xor eax,eax; test rdi,rdi; je 1f; mov rax,[rdi+8]; ret; 1: ret
        (0, "31c0 4885ff 7405 488b4708 c3 c3"),
    ],
)
def test_what_a_function_decided_to_return_is_its_own(decided: int, code: str) -> None:
    machine = Machine("53 4889df e8f70f0000 8b08", code)
    machine.words[OBJECT + 8] = decided
    assert ways(trace(machine, "rax", 9, rax=decided, rbx=OBJECT)) == ["returned"]


def test_a_zero_that_a_function_had_no_choice_but_to_return() -> None:
    machine = Machine("53 4889df e8f70f0000 8b08", "488b4708 c3")
    machine.words[OBJECT + 8] = 0
    assert ways(trace(machine, "rax", 9, rax=0, rbx=OBJECT)) == ["returned", "loaded"]
    # Its argument is not known any more.
    assert ways(trace(machine, "rax", 9, rax=0)) == ["returned", "loaded"]
    machine.words[OBJECT + 8] = 7
    assert ways(trace(machine, "rax", 9, rax=0, rbx=OBJECT)) == ["returned"]


def test_what_a_function_added_to_null() -> None:
    # f1: call f2; lea rax,[rax+1]; ret
    machine = Machine("53 4889df e8f70f0000 8b08", "e8fb0f0000 488d4001 c3", "c3")
    moves = trace(machine, "rax", 9, rax=1, rbx=OBJECT)
    assert ways(moves) == ["returned", "computed", "returned"]
    assert moves[-1].value == 0
    # f1: mov rax,[rdi+8]; add rax,1; ret
    machine = Machine("53 4889df e8f70f0000 8b08", "488b4708 4883c001 c3")
    machine.words[OBJECT + 8] = 0x30
    assert ways(trace(machine, "rax", 9, rax=0x31, rbx=OBJECT)) == ["returned"]


def test_what_was_returned_is_known_by_its_copy() -> None:
    # f0: push rbx; call f1; mov rbx,rax; mov rdi,[rax+8]; xor eax,eax; mov ecx,[rdi]
    machine = Machine("53 e8fa0f0000 4889c3 488b7808 31c0 8b0f", "c3")
    machine.words[OBJECT + 8] = BAD
    moves = trace(machine, "rdi", 15, rdi=BAD, rbx=OBJECT)
    assert moves[0].address == OBJECT + 8


def test_what_serves_any_caller_is_not_looked_into() -> None:
    machine = Machine("53 4889df e8f70f0000 8b08", "488b4708 c3")
    machine.names[1] = "kmalloc_trace"
    machine.words[OBJECT + 8] = BAD
    assert ways(trace(machine, "rax", 9, rax=BAD, rbx=OBJECT)) == ["returned"]


def test_calls_of_itself_end() -> None:
    # f1: push rbx; call f1; pop rbx; ret
    machine = Machine("53 4889df e8f70f0000 8b08", "53 e8faffffff 5b c3")
    assert ways(trace(machine, "rax", 9, rax=BAD, rbx=OBJECT)) == ["returned"]
