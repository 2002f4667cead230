"""Registers before instructions, against the registers as these were carried out."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.history import LOW, history

MASK = (1 << 64) - 1
NAMES = ("rax", "rbx", "rcx", "rdi")
Registers = dict[str, int]
CODE: list[tuple[str, Callable[[Registers], Registers]]] = [
    ("4883c301", lambda r: {"rbx": r["rbx"] + 1}),  # add rbx,1
    ("4883eb10", lambda r: {"rbx": r["rbx"] - 0x10}),  # sub rbx,0x10
    ("48ffc1", lambda r: {"rcx": r["rcx"] + 1}),  # inc rcx
    ("48ffcf", lambda r: {"rdi": r["rdi"] - 1}),  # dec rdi
    ("488d5bf8", lambda r: {"rbx": r["rbx"] - 8}),  # lea rbx,[rbx-8]
    ("4801d8", lambda r: {"rax": r["rax"] + r["rbx"]}),  # add rax,rbx
    ("4829d8", lambda r: {"rax": r["rax"] - r["rbx"]}),  # sub rax,rbx
    ("4831c8", lambda r: {"rax": r["rax"] ^ r["rcx"]}),  # xor rax,rcx
    ("4801c0", lambda r: {"rax": 2 * r["rax"]}),  # add rax,rax
    ("48f7df", lambda r: {"rdi": -r["rdi"]}),  # neg rdi
    ("48f7d1", lambda r: {"rcx": ~r["rcx"]}),  # not rcx
    ("488d0419", lambda r: {"rax": r["rcx"] + r["rbx"]}),  # lea rax,[rcx+rbx]
    ("488d04d9", lambda r: {"rax": r["rcx"] + 8 * r["rbx"]}),  # lea rax,[rcx+rbx*8]
    ("4889f8", lambda r: {"rax": r["rdi"]}),  # mov rax,rdi
    ("89f8", lambda r: {"rax": r["rdi"] & 0xFFFFFFFF}),  # mov eax,edi
    ("4863f8", lambda r: {"rdi": (r["rax"] & 0x7FFFFFFF) - (r["rax"] & 0x80000000)}),  # movsxd
    ("01d8", lambda r: {"rax": r["rax"] + r["rbx"] & 0xFFFFFFFF}),  # add eax,ebx
    ("83c301", lambda r: {"rbx": r["rbx"] + 1 & 0xFFFFFFFF}),  # add ebx,1
    ("4893", lambda r: {"rax": r["rbx"], "rbx": r["rax"]}),  # xchg rax,rbx
    ("48c1e003", lambda r: {"rax": r["rax"] << 3}),  # shl rax,3
    ("4883e0f0", lambda r: {"rax": r["rax"] & -16}),  # and rax,-16
    ("31c0", lambda _: {"rax": 0}),  # xor eax,eax
]


@given(
    st.lists(st.sampled_from(CODE), max_size=12),
    st.fixed_dictionaries(dict.fromkeys(NAMES, st.integers(0, MASK))),
)
def test_what_is_told_of_the_past_is_true(
    steps: list[tuple[str, Callable[[Registers], Registers]]], registers: Registers
) -> None:
    past = [registers]
    for _, carried_out in steps:
        changed = {name: value & MASK for name, value in carried_out(past[-1]).items()}
        past.append({**past[-1], **changed})
    code = "".join(text for text, _ in steps) + "90"
    made = function("f", (0xFFFFFFFF81000000, bytes.fromhex(code)))
    for index, known in history(made, len(steps), past[-1], frozenset()).items():
        true = {**past[index], **{LOW + name: past[index][name] & 0xFFFFFFFF for name in NAMES}}
        assert known.items() <= true.items()


def told(code: str, at: int, preserving: frozenset[int] = frozenset()) -> dict[int, Registers]:
    made = function("f", (0xFFFFFFFF81000000, bytes.fromhex(code.replace(" ", ""))))
    return history(made, at, {"rax": 1, "rbx": 0x20, "rsp": 0x30}, preserving)


def test_a_step_and_a_copy_are_undone() -> None:
    # mov rcx,rax; add rbx,8; nop
    assert told("4889c1 4883c308 90", 2)[0] == {"rax": 1, "rbx": 0x18}


def test_of_half_a_register_half_is_told() -> None:
    # add eax,1; nop; and before it mov edx,eax
    assert told("83c001 90", 1)[0] == {f"{LOW}rax": 0, "rbx": 0x20}


def test_it_ends_where_ways_meet() -> None:
    # test ecx,ecx; je 1f; inc rbx; 1: dec rbx; nop
    assert list(told("85c9 7403 48ffc3 48ffcb 90", 4)) == [4, 3]


def test_a_loop_is_undone_once() -> None:
    # 1: inc rbx; nop; jmp 1b
    assert list(told("48ffc3 90 ebfa", 1)) == [1, 0]


def test_what_a_call_leaves_alone_is_known_before_it() -> None:
    # call .+5; nop
    assert told("e800000000 90", 1)[0] == {"rbx": 0x20}
    assert told("e800000000 90", 1, frozenset([0]))[0] == {"rax": 1, "rbx": 0x20}
