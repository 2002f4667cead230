"""Data flow on code assembled by hand (GNU as, Intel syntax beside each line)."""

from __future__ import annotations

from typing import Any

import pytest
from handmade_machine import BAD, OBJECT, STACK, TEXT, Machine, trace, ways

from oopsight.cheap import replace
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.moves import How


def test_a_load_from_an_object() -> None:
    # mov rbx,rdi; mov rax,[rbx+0x60]; movzx eax,byte ptr [rax]
    machine = Machine("4889fb 488b4360 0fb600")
    machine.words[OBJECT + 0x60] = BAD
    moves = trace(machine, "rax", 7, rax=BAD, rbx=OBJECT, rdi=OBJECT)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].found) == (OBJECT + 0x60, BAD)


def test_memory_that_has_changed_since_is_told() -> None:
    machine = Machine("4889fb 488b4360 0fb600")
    machine.words[OBJECT + 0x60] = OBJECT
    moves = trace(machine, "rax", 7, rax=BAD, rbx=OBJECT)
    assert (moves[0].value, moves[0].found) == (BAD, OBJECT)


def test_an_argument_through_its_caller_s_saved_register() -> None:
    # f0: push rbx; mov rbx,rdi; mov eax,[rbx+8]
    # f1: push rbx; mov rbx,rsi; mov rdi,[rbx+0x18]; call f0; pop rbx; ret
    machine = Machine("53 4889fb 8b4308", "53 4889f3 488b7b18 e8f3efffff 5b c3")
    # f0 saved its caller's rbx one word below its return address.
    machine.words[STACK] = OBJECT
    machine.words[OBJECT + 0x18] = 0
    moves = trace(machine, "rbx", 4, (1, 13, STACK + 16), (1, 13, STACK + 64), rbx=0)
    assert ways(moves) == ["copied", "passed", "loaded"]
    assert moves[-1].address == OBJECT + 0x18
    assert moves[-1].context.frame == 1


def test_constants_are_added_and_zeroing_is_a_constant() -> None:
    # xor edi,edi; add rdi,0x10; lea rax,[rdi+8]; mov ecx,[rax]
    moves = trace(Machine("31ff 4883c710 488d4708 8b08"), "rax", 10, rax=0x18)
    assert ways(moves) == ["computed", "computed", "set"]
    assert [move.value for move in moves] == [0x18, 0x10, 0]


def test_what_a_function_returned() -> None:
    # call f1; mov ecx,[rax]
    moves = trace(Machine("e8fb0f0000 8b08", "31c0c3"), "rax", 5, rax=0)
    assert ways(moves) == ["returned"]
    row = moves[0].context.function.instructions[moves[0].index]
    assert row.target == TEXT + 0x1000


def test_a_spill_to_the_frame_and_back() -> None:
    # sub rsp,0x18; mov [rsp+8],rsi; call f1; mov rax,[rsp+8]; mov ecx,[rax]
    machine = Machine("4883ec18 4889742408 e8f20f0000 488b442408 8b08", "c3")
    machine.words[STACK + 8] = BAD
    machine.words[STACK + 0x18] = 0
    moves = trace(machine, "rax", 19, (1, 1, STACK + 0x20), rax=BAD)
    assert ways(moves)[:2] == ["reloaded", "copied"]
    assert moves[0].found == BAD
    # Who called f0 is not known to have called: nothing is claimed beyond.
    assert moves[-1].how is How.LOST


def test_two_ways_are_told_apart_by_what_memory_holds() -> None:
    # test edx,edx; je 1f; mov rax,[rdi]; jmp 2f; 1: mov rax,[rsi]; 2: mov ecx,[rax]
    machine = Machine("85d2 7405 488b07 eb03 488b06 8b08")
    machine.words |= {OBJECT: BAD, OBJECT + 64: 0x1234}
    moves = trace(machine, "rax", 12, rax=BAD, rdi=OBJECT, rsi=OBJECT + 64)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].certain) == (OBJECT, False)


def test_two_ways_that_agree_are_not_guessed_between() -> None:
    machine = Machine("85d2 7405 488b07 eb03 488b06 8b08")
    machine.words |= {OBJECT: 0, OBJECT + 64: 0}
    moves = trace(machine, "rax", 12, rax=0, rdi=OBJECT, rsi=OBJECT + 64)
    assert ways(moves) == ["lost"]
    assert "2 ways" in moves[0].why


@pytest.mark.parametrize("now", [BAD, OBJECT])
def test_two_ways_that_read_the_same_memory_are_one(now: int) -> None:
    # mov rbx,rdi; mov rbp,[rbx+0x60]; 1: movzx eax,[rbp]; mov rbp,[rbx+0x60]; test; jne 1b; ret
    machine = Machine("4889fb 488b6b60 0fb64500 488b6b60 4885ed 75f3 c3")
    machine.words[OBJECT + 0x60] = now
    moves = trace(machine, "rbp", 7, rbp=BAD, rbx=OBJECT)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].found, moves[0].certain) == (OBJECT + 0x60, now, True)


def test_a_walk_through_memory_goes_back_to_where_it_began() -> None:
    # mov rdx,[rdi]; 1: movzx eax,byte ptr [rdx]; inc rdx; test al,al; jne 1b; ret
    machine = Machine("488b17 0fb602 48ffc2 84c0 75f6 c3")
    machine.words[OBJECT] = TEXT + 0x5000
    moves = trace(machine, "rdx", 3, rdx=TEXT + 0x5003, rdi=OBJECT)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].value) == (OBJECT, TEXT + 0x5000)


def test_a_list_is_walked_to_the_entry_before() -> None:
    # mov rax,[rdi]; 1: mov ecx,[rax+0x10]; mov rax,[rax]; jmp 1b
    machine = Machine("488b07 8b4810 488b00 ebf8")
    first, second = OBJECT + 0x100, OBJECT + 0x200
    machine.words |= {OBJECT: first, first: second, second: BAD}
    moves = trace(machine, "rax", 3, rax=BAD, rdi=OBJECT)
    assert ways(moves) == ["loaded"]
    assert moves[0].address == second


def test_cmov_takes_what_agrees() -> None:
    # xor eax,eax; mov rcx,[rdi]; test esi,esi; cmovne rax,rcx; mov edx,[rax]
    machine = Machine("31c0 488b0f 85f6 480f45c1 8b10")
    machine.words[OBJECT] = BAD
    moves = trace(machine, "rax", 11, rax=BAD, rcx=BAD, rdi=OBJECT)
    assert ways(moves)[-1] == "loaded"
    assert moves[-1].address == OBJECT


def test_a_tail_call_leaves_no_frame_but_a_context() -> None:
    # f0: mov eax,[rdi]   f1: mov rdi,[rsi]; jmp f0   f2: push rbx; mov rbx,rsi; call f1; pop rbx
    machine = Machine("8b07", "488b3e e9f8efffff", "53 4889f3 e8f7efffff 5b c3")
    machine.words[STACK] = machine.start(2) + 9
    moves = trace(machine, "rdi", 0, (2, 9, STACK + 8), (2, 9, STACK + 64), rdi=0)
    assert ways(moves) == ["passed", "loaded"]
    assert moves[1].context.function.name == "f1"


def test_the_part_moved_aside_belongs_to_its_function() -> None:
    # f0: mov rbx,[rdi]; test rbx,rbx; je f0.cold; ret   f0.cold: mov eax,[rbx+8]
    machine = Machine("488b1f 4885db 0f84f40f0000 c3", "8b4308")
    machine.names[1] = "f0.cold"
    machine.words[OBJECT] = 0
    frames = [PhysicalFrame(0, machine.start(1), STACK, {"rbx": 0, "rdi": OBJECT}, faulted=True)]
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    moves = calls.tracer.trace(context, "rbx", context.at, 0)
    assert ways(moves) == ["loaded"]
    assert moves[0].address == OBJECT


def test_per_cpu_memory_is_found_through_the_segment() -> None:
    # mov rax, gs:[0x1c0]; mov ecx,[rax]
    machine = Machine("65488b0425c0010000 8b08")
    machine.words[0xFFFF8880070001C0] = BAD
    moves = trace(machine, "rax", 9, rax=BAD)
    assert moves[0].address == 0xFFFF8880070001C0


@pytest.mark.parametrize("code", ["", "06", "ff", "48"])
def test_bytes_that_are_no_code_give_no_context(code: str) -> None:
    frames: list[Any] = [PhysicalFrame(0, TEXT, STACK, {}, faulted=True)]
    assert Calls(Machine(code), frames, {}).context(0) is None


def test_an_endless_loop_ends() -> None:
    # 1: mov rax,rcx; mov rcx,rax; jmp 1b
    moves = trace(Machine("4889c8 4889c1 ebf8"), "rax", 3, rax=1, rcx=1)
    assert len(moves) <= 64


def test_a_jump_to_no_code_leads_to_the_call() -> None:
    # f0: mov rax,[rbx+0x18]; call rax; ret
    machine = Machine("488b4318 ffd0 c3")
    machine.words |= {OBJECT + 0x18: 0, STACK: TEXT + 6}
    frames = [
        PhysicalFrame(0, 0, STACK, {"rax": 0, "rbx": OBJECT}, faulted=True, no_code=True),
        PhysicalFrame(1, TEXT + 6, STACK + 8, {"rbx": OBJECT}, faulted=False),
    ]
    calls = Calls(machine, frames, {})
    found = calls.jump_nowhere()
    assert found is not None
    context, place = found
    assert place == "rax"
    moves = calls.tracer.trace(context, "rax", context.at, 0)
    assert ways(moves) == ["loaded"]
    assert moves[0].address == OBJECT + 0x18


def test_code_that_was_taken_away_while_it_ran_was_called_rightly() -> None:
    # A function that goes on through a pointer: call [rbx+0x18]; ret
    machine = Machine("ff5318 c3")
    gone = 0xFFFFFFFFC0401000
    machine.words |= {OBJECT + 0x18: gone, STACK: TEXT + 3}
    frames = [
        PhysicalFrame(0, gone + 0x11, STACK, {"rbx": OBJECT}, faulted=True, no_code=True),
        PhysicalFrame(1, TEXT + 3, STACK + 8, {"rbx": OBJECT}, faulted=False),
    ]
    assert Calls(machine, frames, {}).jump_nowhere() is None
    frames[0] = replace(frames[0], pc=gone)
    assert Calls(machine, frames, {}).jump_nowhere() is not None


def test_whoever_was_called_may_have_jumped_on_to_no_code() -> None:
    # f0: mov rax,[rbx+0x18]; call rax; ret    f1: mov rax,[rdi+8]; jmp rax
    machine = Machine("488b4318 ffd0 c3", "488b4708 ffe0")
    called = TEXT + 0x1000
    machine.words |= {OBJECT + 0x18: called, OBJECT + 8: 0x123, STACK: TEXT + 6}
    frames = [
        PhysicalFrame(
            0, 0x123, STACK, {"rax": 0x123, "rbx": OBJECT, "rdi": OBJECT}, faulted=True,
            no_code=True,
        ),
        PhysicalFrame(1, TEXT + 6, STACK + 8, {"rbx": OBJECT}, faulted=False),
    ]  # fmt: skip
    calls = Calls(machine, frames, {})
    found = calls.jump_nowhere()
    assert found is not None
    context, place = found
    assert (context.function.start, place) == (called, "rax")
    moves = calls.tracer.trace(context, "rax", context.at, 0x123)
    assert moves[0].address == OBJECT + 8


def test_a_thunk_is_read_for_its_register() -> None:
    # f0: call thunk; ret    thunk: call 1f; pause; lfence; jmp; 1: mov [rsp],rcx; ret
    machine = Machine("e8fb0f0000 c3", "e807000000 f390 0faee8 ebf9 48890c24 c3")
    machine.names[1] = "__pi___x86_indirect_thunk_rcx"
    frames = [
        PhysicalFrame(0, 8, STACK, {"rcx": 8}, faulted=True, no_code=True),
        PhysicalFrame(1, TEXT + 5, STACK + 8, {}, faulted=False),
    ]
    found = Calls(machine, frames, {}).jump_nowhere()
    assert found is not None
    assert found[1] == "rcx"


def test_what_a_function_received_is_found_where_it_keeps_it() -> None:
    # f0: push rbx; mov rbx,rdi; call f1; mov eax,[rax]
    machine = Machine("53 4889fb e8f70f0000 8b00", "c3")
    frames = [
        PhysicalFrame(0, TEXT + 9, STACK, {"rbx": OBJECT, "rax": 0}, faulted=True),
    ]
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    assert calls.tracer.entering(context, "rdi") == OBJECT
    assert calls.tracer.entering(context, "rsi") is None


def test_a_spill_in_an_aligned_frame() -> None:
    # push rbp; mov rbp,rsp; and rsp,-64; sub rsp,0x40; mov [rsp+8],rdi; call f1; mov rax,[rsp+8];
    # mov ecx,[rax]
    code = "55 4889e5 4883e4c0 4883ec40 48897c2408 e8ea0f0000 488b442408 8b08"
    machine = Machine(code, "c3")
    base = STACK + 0x40 + 0x28 + 16
    machine.words |= {STACK + 8: BAD, base: 0}
    moves = trace(machine, "rax", 27, (1, 1, base), rax=BAD)
    assert ways(moves)[:2] == ["reloaded", "copied"]
    assert (moves[0].address, moves[1].source) == (STACK + 8, "rdi")


@pytest.mark.parametrize("called", ["call [rdx]", "call rax"])
def test_an_indirect_call_of_a_function_that_jumps_on(called: str) -> None:
    # f0: mov eax,[rdi]   f1: mov rdi,rsi; jmp f0
    # f2: push rbx; mov rbx,rdx; mov rsi,[rdi+8]; mov rax,[rbx]; call [rbx] or rax; pop rbx; ret
    call = {"call [rdx]": "ff13", "call rax": "ffd0"}[called]
    machine = Machine("8b07", "4889f7 e9f8efffff", f"53 4889d3 488b7708 488b03 {call} 5b c3")
    machine.words |= {OBJECT: machine.start(1), OBJECT + 0x48: BAD, STACK: machine.start(2) + 13}
    registers = {"rbx": OBJECT, "rdi": BAD, "rsi": BAD, "rcx": 0}
    moves = trace(machine, "rdi", 0, (2, 13, STACK + 8), (2, 13, STACK + 64), **registers)
    assert [(m.how.value, m.context.function.name) for m in moves] == [
        ("passed", "f1"),
        ("copied", "f1"),
        ("passed", "f2"),
        ("loaded", "f2"),
    ]


def test_two_functions_that_jump_on_one_after_the_other() -> None:
    # f0: mov eax,[rdi]   f1: jmp f0   f2: mov rdi,[rdi]; jmp f1   f3: call f2; ret
    machine = Machine("8b07", "e9fbefffff", "488b3f e9f8efffff", "e8fbefffff c3")
    machine.words[STACK] = machine.start(3) + 5
    moves = trace(machine, "rdi", 0, (3, 5, STACK + 8), (3, 5, STACK + 64), rdi=BAD)
    assert [m.context.function.name for m in moves] == ["f1", "f2", "f2"]
    assert ways(moves) == ["passed", "passed", "loaded"]


# f0: mov rax,[rdi]; jmp 2f; 1: mov rax,[rax]; 2: cmp [rax+0x10],rsi; jne 1b;
# mov rax,[rax+0x40]; add [rax],1
HASH_CHAIN = "488b07 eb03 488b00 48397010 75f7 488b4040 48830001"


def test_the_entry_of_a_chain_by_what_it_holds() -> None:
    machine = Machine(HASH_CHAIN)
    entries = [OBJECT + 0x100 * number for number in (1, 2, 3)]
    machine.words |= dict(zip([OBJECT, *entries], [*entries, 0], strict=True))
    machine.words |= {entry + 0x40: OBJECT for entry in entries}
    machine.words[entries[1] + 0x40] = BAD
    moves = trace(machine, "rax", 18, rax=BAD, rdi=OBJECT, rsi=5)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].certain) == (entries[1] + 0x40, False)


def test_two_entries_that_hold_it_are_not_guessed_between() -> None:
    machine = Machine(HASH_CHAIN)
    first, second = OBJECT + 0x100, OBJECT + 0x200
    machine.words |= {OBJECT: first, first: second, first + 0x40: BAD, second + 0x40: BAD}
    moves = trace(machine, "rax", 18, rax=BAD, rdi=OBJECT, rsi=5)
    assert moves[0].address is None


# f0: mov rax,[rdi]; jmp 2f; 1: mov rax,[rcx]; 2: lea rcx,[rax+0x10]; cmp rsi,[rax+0x18]; jl 3f;
# lea rcx,[rax+8]; 3: jmp 1b
TREE = "488b07 eb03 488b01 488d4810 483b7018 7c04 488d4808 ebed"


def test_of_two_children_of_a_node_that_hold_it_either_tells_the_node() -> None:
    machine = Machine(TREE)
    first, filled = OBJECT + 0x100, OBJECT + 0x200
    machine.words |= {OBJECT: first, first + 8: filled, first + 16: 0}
    machine.words |= {filled + 8: BAD, filled + 16: BAD}
    moves = trace(machine, "rax", 12, rax=BAD, rdi=OBJECT, rsi=5)
    assert (moves[0].address, moves[0].certain) == (filled + 8, False)
    machine.words[first + 16] = BAD
    assert trace(machine, "rax", 12, rax=BAD, rdi=OBJECT, rsi=5)[0].address is None


def test_the_instruction_that_faulted_gave_the_pointer_in_the_pass_before() -> None:
    # f0: mov rax,[rsi+0x10]; jmp 2f; 1: mov rax,rdx; 2: mov rdx,[rax+0x10]; test rdx,rdx; jne 1b
    machine = Machine("488b4610 eb03 4889d0 488b5010 4885d2 75f4 c3")
    nodes = [OBJECT, OBJECT + 0x100, OBJECT + 0x200]
    machine.words |= {nodes[0] + 16: nodes[1], nodes[1] + 16: nodes[2], nodes[2] + 16: BAD}
    moves = trace(machine, "rax", 9, rax=BAD, rsi=OBJECT)
    assert ways(moves) == ["copied", "loaded"]
    assert moves[-1].address == nodes[2] + 16


def test_a_number_of_32_bits_that_is_counted_in_a_register() -> None:
    # f0: mov edx,[rdi+4]; jmp 2f; 1: add edx,1; mov [rdi+4],edx; 2: cmp eax,r8d; jne 1b;
    # cmp edx,0x20
    machine = Machine("8b5704 eb06 83c201 895704 4439c0 75f5 83fa20")
    machine.words[OBJECT + 4] = 35
    moves = trace(machine, "rdx", 16, rdx=35, rdi=OBJECT)
    assert ways(moves) == ["loaded"]
    assert (moves[0].address, moves[0].found, moves[0].certain) == (OBJECT + 4, 35, False)


def test_a_step_between_a_load_and_its_use_is_undone() -> None:
    # f0: xor ebx,ebx; 1: mov rax,[rdi+rbx*8]; add rbx,1; mov rax,[rax]; jmp 1b
    machine = Machine("31db 488b04df 4883c301 488b00 ebf3")
    machine.words[OBJECT + 3 * 8] = BAD
    moves = trace(machine, "rax", 10, rax=BAD, rbx=4, rdi=OBJECT)
    assert moves[0].address == OBJECT + 3 * 8


def test_a_loop_may_have_been_carried_out_before_the_fault() -> None:
    # f0: mov rax,[rbx]; 1: mov rcx,[rbx+8]; add rbx,0x10; jmp 1b
    machine = Machine("488b03 488b4b08 4883c310 ebf6")
    machine.words[OBJECT] = BAD
    moves = trace(machine, "rax", 3, rax=BAD, rbx=OBJECT)
    # By what rbx was at first, which is not what it is now.
    assert moves[0].address is None


def test_an_index_of_32_bits_that_was_stepped() -> None:
    # f0: call f1; movsxd rcx,eax; add eax,1; mov rcx,[rdi+rcx*8]; mov rcx,[rcx]
    machine = Machine("e8fb0f0000 4863c8 83c001 488b0ccf 488b09", "c3")
    machine.words[OBJECT + 2 * 8] = BAD
    moves = trace(machine, "rcx", 15, rcx=BAD, rax=3, rdi=OBJECT)
    assert moves[0].address == OBJECT + 2 * 8


def test_a_list_whose_entries_are_stepped_into() -> None:
    # f0: mov rdx,[rdi]; lea rax,[rdx-8]; jmp 2f; 1: mov rdx,[rax+8]; lea rax,[rdx-8];
    # 2: cmp [rax],rsi; jne 1b; mov rcx,[rax]
    machine = Machine("488b17 488d42f8 eb08 488b5008 488d42f8 483930 75f3 488b08")
    links = [OBJECT + 8 + 0x100 * number for number in range(5)]
    machine.words |= dict(zip([OBJECT + 0x1000, *links], [*links, 0], strict=True))
    moves = trace(machine, "rdx", 22, rdx=links[3], rax=links[3] - 8, rdi=OBJECT + 0x1000)
    assert moves[0].address == links[2]


def test_a_variable_of_the_caller_is_followed_to_what_was_stored_there() -> None:
    # f0: mov rax,[rdi+8]; mov ecx,[rax]
    # f1: sub rsp,0x18; mov rax,[rbx]; mov [rsp+8],rax; mov rdi,rsp; call f0; add rsp,0x18; ret
    machine = Machine("488b4708 8b08", "4883ec18 488b03 4889442408 4889e7 e8ecefffff 4883c418 c3")
    frame = STACK + 8
    machine.words |= {STACK: machine.start(1) + 20, frame + 8: BAD, OBJECT: BAD}
    frames = [
        PhysicalFrame(0, TEXT + 4, STACK, {"rax": BAD, "rdi": frame, "rbx": OBJECT}, faulted=True),
        PhysicalFrame(1, TEXT + 0x1014, frame, {"rbx": OBJECT}, faulted=False),
        PhysicalFrame(2, TEXT + 0x1014, frame + 0x20, {}, faulted=False),
    ]
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    moves = calls.tracer.trace(context, "rax", context.at, BAD)
    assert ways(moves) == ["loaded", "copied", "loaded"]
    assert [move.address for move in moves] == [frame + 8, None, OBJECT]
    # The pointer it was read through is an address in f1's frame, which f1 set itself.
    moves = calls.tracer.trace(context, "rdi", context.at, frame)
    assert ways(moves) == ["passed", "set"]


def test_nothing_comes_after_a_call_that_does_not_return() -> None:
    # f0: mov rax,[rdi]; test eax,eax; jne 2f; mov rax,[rsi]; call f1; 2: mov ecx,[rax]
    machine = Machine("488b07 85c0 7508 488b06 e8f10f0000 8b08", "ebfe")
    machine.words |= {OBJECT: BAD, OBJECT + 64: BAD}
    registers = {"rax": BAD, "rdi": OBJECT, "rsi": OBJECT + 64}
    machine.names[1] = "__stack_chk_fail"
    moves = trace(machine, "rax", 15, **registers)
    assert [(move.address, move.certain) for move in moves] == [(OBJECT, True)]
    machine.names[1] = "f1"
    assert ways(trace(machine, "rax", 15, **registers)) == ["lost"]


def test_a_variable_that_another_was_to_fill_was_not_set_by_its_function() -> None:
    # f0: sub rsp,0x18; mov qword ptr [rsp+8],0; lea rdi,[rsp+8]; call f1; mov rax,[rsp+8];
    # mov ecx,[rax]
    code = "4883ec18 48c744240800000000 488d7c2408 e8e90f0000 488b442408 8b08"
    machine = Machine(code, "c3")
    machine.words |= {STACK + 8: BAD, STACK + 0x18: 0}
    moves = trace(machine, "rax", 28, (1, 1, STACK + 0x20), rax=BAD)
    assert ways(moves) == ["reloaded", "lost"]
    assert moves[-1].why == "was written to through its address"


@pytest.mark.parametrize(
    ("second", "how"),
    [
        ("488b03", How.LOADED),  # the same again
        ("488b4308", How.LOST),  # another field
        ("488b034889f3", How.LOST),  # and the pointer was changed since
    ],
)
def test_two_ways_that_read_the_same_by_the_same_operand(second: str, how: How) -> None:
    # test rsi,rsi; je 1f; mov rax,[rbx]; jmp 2f; 1: SECOND; 2: mov eax,[rax]
    size = len(bytes.fromhex(second))
    code = f"4885f6 7405 488b03 eb{size:02x} {second} 8b00"
    moves = trace(Machine(code), "rax", 10 + size, rax=0)
    assert moves[-1].how is how


def test_a_pointer_that_each_pass_of_a_loop_steps_back() -> None:
    # f0: mov rax,[rdx]; 1: sub rax,0x10; cmp edi,[rax]; je 2f; mov rax,[rax+0x10]; jmp 1b; 2: ret
    machine = Machine("488b02 4883e810 3b38 7406 488b4010 ebf2 c3")
    first = OBJECT + 0x110
    machine.words |= {OBJECT: first, first: BAD}
    # The first entry's link is bad: what the load went through is not what is there now.
    moves = trace(machine, "rax", 7, rax=BAD - 0x10, rdx=OBJECT)
    assert ways(moves) == ["computed", "loaded"]
    assert moves[-1].address == first


def test_who_saved_its_arguments_before_one_of_several_jumped_on() -> None:
    # f0: mov rdx,[rdi]; movzx eax,[rdx]     f1: sub rsp,0x18; mov [rsp+8],rsi; call f2
    # f2: test eax,eax; je f3; jmp f4        f3, f4: jmp f0
    machine = Machine(
        "488b17 0fb602",
        "4883ec18 4889742408 e8f20f0000 90",
        "85c0 0f84f80f0000 e9f31f0000",
        "e9fbcfffff",
        "e9fbbfffff",
    )
    # f1 keeps rsi in its own frame.
    machine.words[STACK + 16] = BAD
    moves = trace(machine, "rdx", 3, (1, 14, STACK + 8), (1, 14, STACK + 0x28), rdx=BAD)
    assert ways(moves)[:1] == ["saved"]
    assert moves[0].context.function.name == "f1"


def test_what_the_function_has_counted_up_since_is_undone() -> None:
    # mov eax,[rdi]; add dword ptr [rdi],1; mov rax,[rbx+rax*8]; mov rax,[rax]
    machine = Machine("8b07 830701 488b04c3 488b00")
    machine.words |= {OBJECT: 5, OBJECT + 0x100 + 4 * 8: BAD, OBJECT + 0x100 + 5 * 8: 0}
    moves = trace(machine, "rax", 9, rax=BAD, rbx=OBJECT + 0x100, rdi=OBJECT)
    assert (moves[0].address, moves[0].found) == (OBJECT + 0x100 + 4 * 8, BAD)


def test_what_was_received_is_what_is_kept_and_not_what_the_caller_would_read_now() -> None:
    # f0: mov rdi,[rsi]; call f1; f1: push rbx; mov rbx,rdi; xor edi,edi; mov eax,[rdi]
    machine = Machine("488b3e e8f80f0000 c3", "53 4889fb 31ff 8b07")
    machine.words[OBJECT] = 0
    frames = [
        PhysicalFrame(0, machine.start(1) + 6, STACK, {"rbx": BAD, "rdi": 0}, faulted=True),
        PhysicalFrame(1, TEXT + 8, STACK + 16, {"rsi": OBJECT}, faulted=False),
    ]
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    assert calls.tracer.entering(context, "rdi") == BAD
