"""What a function stores in an object on all ways to where it is freed."""

from __future__ import annotations

import pytest
from handmade_fields import START, use

from oopsight.evidence.modules.field_marks import Mark

POISON = "movabs rax, 0xdead000000000100"


def test_what_is_stored_before_the_free() -> None:
    found = use(
        "mov rbx, rdi",
        "mov dword ptr [rbx + 0x10], 7",
        POISON,
        "mov qword ptr [rbx + 0x18], rax",
        "mov qword ptr [r12 + 8], 0",  # another object
        "mov rdi, rbx",
        "call 0x9000",
        "mov dword ptr [rbx + 0x10], 9",  # too late
    )
    assert found.marks == ((Mark(0x10, 4, 7), Mark(0x18, 8, 0xDEAD000000000100)),)


def test_offsets_are_counted_from_what_is_freed() -> None:
    # container_of() an argument
    found = use("lea rbx, [rdi - 0x20]", "mov qword ptr [rdi + 8], 0", "mov rdi, rbx",
                "call 0x9000")  # fmt: skip
    assert found.marks == ((Mark(0x28, 8, 0),),)


@pytest.mark.parametrize(
    ("jump", "lines"),
    [
        # Past the store, from before it and from behind the call.
        (f"je {START + 4 * 3:#x}", ()),
        ("nop ", (f"jmp {START + 4 * 3:#x}",)),
    ],
)
def test_what_is_not_stored_on_every_way_is_no_mark(jump: str, lines: tuple[str, ...]) -> None:
    found = use("mov rbx, rdi", jump, "mov qword ptr [rbx + 8], 0", "mov rdi, rbx", "call 0x9000",
                *lines)  # fmt: skip
    assert found.marks == ((),)


def test_a_way_that_joins_behind_the_store_came_through_it() -> None:
    # list_del(): the check that fails goes past the unlinking, not past the poison.
    found = use("mov rbx, rdi", "mov qword ptr [rbx + 8], 0", f"je {START + 4 * 4:#x}",
                "mov dword ptr [r12], 1", "mov rdi, rbx", "call 0x9000")  # fmt: skip
    assert found.marks == ((Mark(8, 8, 0),),)
