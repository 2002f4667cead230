"""What told how far to go, on code assembled by hand."""

from __future__ import annotations

from handmade_machine import OBJECT, STACK, TEXT, Machine

from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.extent import Extent, Origin
from oopsight.evidence.flow.moves import Context

CALL, MEMORY = Origin.CALL, Origin.MEMORY
# mov rdi,[rbx]; mov edx,[rbx+8]; call f1
BY_FIELD = "488b3b 8b5308 e8f50f0000 90"
# mov rdi,[rbx]; mov rdx,rsi; call f1
BY_ARGUMENT = "488b3b 4889f2 e8f50f0000 90"


def origins(machine: Machine, at: int, *callers: int, **registers: int) -> set[Origin]:
    """Of f0, at a byte; callers by the offsets of their return addresses, from f2 on."""
    machine.words |= {OBJECT: 0xFFFFC90000400000, OBJECT + 8: 77}
    frames = [PhysicalFrame(0, TEXT + at, STACK, dict(registers), faulted=True)]
    for number, offset in enumerate(callers, 2):
        sp = STACK + 8 * (number - 1)
        frames.append(PhysicalFrame(number, machine.start(number) + offset, sp, {}, faulted=False))
    calls = Calls(machine, frames, {})
    context = calls.context(0)
    assert context is not None
    names = {"f0", "f2"}
    found = Extent(calls.tracer, lambda outer: outer.function.name in names).taken(context)
    return {one.origin for one in found}


def copying(code: str, *more: str) -> Machine:
    machine = Machine(code, "c3", *more)
    machine.names[1] = "__memset"
    return machine


def test_a_length_from_a_field_or_an_argument() -> None:
    assert origins(copying(BY_FIELD), 6, rbx=OBJECT) == {MEMORY}
    assert origins(copying(BY_ARGUMENT), 6, rbx=OBJECT, rdx=77) == {CALL}


def test_what_a_caller_of_the_same_module_took_from_a_field() -> None:
    # mov esi,[rbx+8]; call f0
    caller = "8b7308 e8f8dfffff 90"
    machine = copying(BY_ARGUMENT, caller)
    assert origins(machine, 6, 8, rbx=OBJECT, rdx=77) == {MEMORY}
    machine.names[2] = "another_module"
    assert origins(machine, 6, 8, rbx=OBJECT, rdx=77) == {CALL}


def test_memory_of_the_call_itself_is_no_field() -> None:
    # call f1; mov rbx,rax; mov [rdi+rcx],al with rcx from [rbx+8]
    machine = Machine("e8fb0f0000 4889c3 8b4b08 88040f 90", "c3")
    assert origins(machine, 11, rbx=OBJECT, rcx=77) == {MEMORY}
    machine.names[1] = "memdup_user"
    assert origins(machine, 11, rbx=OBJECT, rcx=77) == {CALL}


def test_the_end_of_a_loop_tells_how_far_it_goes() -> None:
    # xor ecx,ecx; 1: mov [rdi+rcx],al; inc rcx; cmp ecx,[rbx+8]; jb 1b; with rdi from [rbx]
    by_field = "488b3b 31c9 88040f 48ffc1 3b4b08 72f5 c3"
    registers = {"rbx": OBJECT, "rdi": 0xFFFFC90000400000, "rcx": 9}
    assert origins(Machine(by_field), 5, **registers) == {MEMORY}
    # The same, with cmp rcx,rsi.
    by_argument = "488b3b 31c9 88040f 48ffc1 4839f1 72f5 c3"
    assert origins(Machine(by_argument), 5, **registers, rsi=90) == {CALL}
    # Without the loop nothing told it.
    once = "488b3b 31c9 88040f 48ffc1 4839f1 90 90 c3"
    assert not origins(Machine(once), 5, **registers, rsi=90)


def test_what_tells_where_to_end_is_asked_for_alone() -> None:
    """At any time: nothing is known of the registers."""
    # 1: mov [rdi+rcx],al; inc rcx; cmp rcx,rsi; jb 1b
    machine = Machine("88040f 48ffc1 4839f1 72f5 c3")
    calls = Calls(machine, (), {})
    code = calls.function(TEXT)
    assert code is not None
    extent = Extent(calls.tracer, lambda _: False)
    found = extent.limits(Context(code, 0, {}, None, -1))
    assert {one.argument for one in found} == {"rsi"}
    # 1: mov [rdi],al; inc rdi; cmp rdi,rsi; jb 1b: how far is told by where it ends.
    machine = Machine("8807 48ffc7 4839f7 72f6 c3")
    calls = Calls(machine, (), {})
    code = calls.function(TEXT)
    assert code is not None
    found = Extent(calls.tracer, lambda _: False).limits(Context(code, 0, {}, None, -1))
    assert {one.argument for one in found} == {"rsi"}
    # mov rsi,[rbx+8]; call snprintf
    machine = Machine("488b7308 e8f70f0000 90", "c3")
    machine.names[1] = "snprintf"
    calls = Calls(machine, (), {})
    code = calls.function(TEXT)
    assert code is not None
    (one,) = Extent(calls.tracer, lambda _: False).limits(Context(code, 1, {}, None, -1))
    assert (one.origin, one.index) == (MEMORY, 0)


def test_where_a_count_begins_is_no_limit_of_how_far_it_goes() -> None:
    # mov ecx,[rbx+8]; lea eax,[rcx+rcx*8]; add eax,esi
    # 1: mov [rdi],edx; add rdi,4; add esi,9; cmp esi,eax; jne 1b
    end = "8b4b08 8d04c9 01f0"
    loop = "8917 4883c704 83c609 39c6 75f3 c3"
    assert told_by(end + loop) == {(MEMORY, None)}
    # The end is no more than the number that it begins at, three times: that is the limit.
    assert told_by("8d0476" + loop, at=1) == {(CALL, "rsi")}
    # Another argument is the end.
    assert told_by("89c8" + loop, at=1) == {(CALL, "rsi"), (CALL, "rcx")}


def told_by(code: str, at: int = 3) -> set[tuple[Origin, str | None]]:
    calls = Calls(Machine(code), (), {})
    function = calls.function(TEXT)
    assert function is not None
    found = Extent(calls.tracer, lambda _: False).limits(Context(function, at, {}, None, -1))
    return {(one.origin, one.argument) for one in found}


def test_a_variable_that_is_lent_to_be_filled_is_of_the_call() -> None:
    # sub rsp,24; lea rsi,[rsp+8]; call f1; mov rcx,[rsp+8]; mov [rdi+rcx],al
    lent = "4883ec18 488d742408 e8f20f0000 488b4c2408 88040f 90"
    assert origins(Machine(lent, "c3"), 19, rdi=0xFFFFC90000400000, rcx=9) == {CALL}
