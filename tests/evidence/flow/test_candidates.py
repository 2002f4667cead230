"""All values a place can have had, on code assembled by hand."""

from __future__ import annotations

from handmade_machine import OBJECT, TEXT, Machine

from oopsight.evidence.flow import candidates
from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.candidates import Candidates
from oopsight.evidence.flow.effects import Copy, Load, Lost


def found(machine: Machine, at: int, **registers: int) -> tuple[Candidates, int]:
    frames = [PhysicalFrame(0, TEXT + at, 0, registers, faulted=True)]
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    return Candidates(calls.tracer, context), context.at


# mov rax,[rdi]; 1: mov rax,[rax+8] or by a jump [rax+0x10]; jmp 1b
TREE = "488b07 85c9 7406 488b4008 eb04 488b4010 ebf0"


def test_every_node_of_a_tree() -> None:
    machine = Machine(TREE)
    nodes = [OBJECT + 0x100 * number for number in range(1, 6)]
    machine.words |= {OBJECT: nodes[0]}
    for number, node in enumerate(nodes):
        left, right = 2 * number + 1, 2 * number + 2
        machine.words[node + 8] = nodes[left] if left < len(nodes) else 0
        machine.words[node + 16] = nodes[right] if right < len(nodes) else 0
    tree, at = found(machine, 3, rdi=OBJECT)
    assert sorted(tree.of(Copy("rax"), at)) == [0, *nodes]
    assert tree.complete


def test_a_list_in_a_ring_ends() -> None:
    machine = Machine(TREE)
    machine.words |= {OBJECT: OBJECT, OBJECT + 8: OBJECT, OBJECT + 16: OBJECT}
    ring, at = found(machine, 3, rdi=OBJECT)
    assert ring.of(Copy("rax"), at) == [OBJECT]


def test_arithmetic_on_the_way() -> None:
    # mov rax,[rdi]; and eax,7; shl rax,4; lea rax,[rdi+rax*2+0x10]; mov rax,[rax]; nop
    machine = Machine("488b07 83e007 48c1e004 488d444710 488b00 90")
    machine.words |= {OBJECT: 0xFFFF888000001235, OBJECT + 5 * 32 + 0x10: 7}
    computed, at = found(machine, 18, rdi=OBJECT)
    assert computed.of(Copy("rax"), at) == [7]


def test_what_a_call_returned_is_not_known() -> None:
    # call f1; 1: mov rax,[rax]; jmp 1b
    machine = Machine("e8fb0f0000 488b00 ebfb", "c3")
    unknown, at = found(machine, 5)
    assert unknown.of(Copy("rax"), at) == []
    assert not unknown.complete


def test_what_is_not_followed_says_nothing() -> None:
    machine = Machine("488b07 90")
    nothing, at = found(machine, 3, rdi=OBJECT)
    assert nothing.of(Lost("popped from an unknown place"), at) == []
    assert not nothing.complete


def test_endless_steps_are_bounded() -> None:
    # xor eax,eax; 1: add rax,8; mov rcx,[rdi+rax]; jmp 1b
    machine = Machine("31c0 4883c008 488b0c07 ebf6")
    steps, at = found(machine, 6, rdi=OBJECT)
    row = steps._context.function.instructions[at]
    memory = row.operands[1].memory
    assert memory is not None
    assert Load(memory).memory.index == "rax"
    assert 1000 < len(steps.addresses(memory, at)) <= candidates.MOST_VALUES
    assert not steps.complete


def test_an_entry_that_is_not_in_the_dump_may_have_led_anywhere() -> None:
    machine = Machine(TREE)
    machine.words |= {OBJECT: OBJECT + 0x100}
    torn, at = found(machine, 3, rdi=OBJECT)
    assert torn.of(Copy("rax"), at) == [OBJECT + 0x100]
    assert not torn.complete


def test_one_crash_has_one_budget() -> None:
    machine = Machine("31c0 4883c008 488b0c07 ebf6")
    steps, at = found(machine, 6, rdi=OBJECT)
    steps._values.budget = 10
    assert len(steps.of(Copy("rax"), at)) <= 10
    assert steps._values.budget == 0
    assert not steps.complete


def test_an_index_of_a_hash_is_one_of_few() -> None:
    # call f1; shr eax,29; mov rax,[rbx+rax*8]; nop
    machine = Machine("e8fb0f0000 c1e81d 488b04c3 90", "c3")
    machine.words |= {OBJECT + 8 * number: 0x100 + number for number in range(16)}
    entry, at = found(machine, 12, rbx=OBJECT)
    assert entry.of(Copy("rax"), at) == list(range(0x100, 0x108))
