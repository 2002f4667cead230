"""What a function stores in an object on all ways to where it is freed."""

from __future__ import annotations

import pytest
from handmade_fields import START, use

from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_marks import Mark, marks_beside

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


def test_some_of_the_bits_are_known() -> None:
    found = use("mov rbx, rdi", "and word ptr [rbx + 0x10], 0xfffe", "or dword ptr [rbx + 8], 4",
                "mov dword ptr [rbx + 0x20], 8", "or dword ptr [rbx + 0x20], 1",
                "mov dword ptr [rbx + 0x28], 8", "mov dword ptr [rbx + 0x28], eax",
                "mov rdi, rbx", "call 0x9000")  # fmt: skip
    assert found.marks == ((Mark(0x10, 2, 0, 1), Mark(8, 4, 4, 4), Mark(0x20, 4, 9)),)
    assert Mark(8, 4, 4, 4).is_in(bytes([7, 0, 0, 0]))
    assert not Mark(8, 4, 4, 4).is_in(bytes([3, 0, 0, 0]))
    assert not Mark(8, 4, 4).is_in(bytes([4, 0]))


def beside(found: FieldUse) -> tuple[Mark, ...]:
    """Of the store to the field at 0x20."""
    (end,) = {end for end, (key, _) in zip(found.stored_at, found.written, strict=True)
              if key == 0x20}  # fmt: skip
    base = next(base for key, base in found.written if key == 0x20)
    return marks_beside(found.trail, end, 0x20, base)


def test_what_is_stored_beside_a_field() -> None:
    clear = "mov qword ptr [rdi + 0x20], 0"
    assert beside(use("mov byte ptr [rdi + 8], 0", clear)) == (Mark(-0x18, 1, 0),)
    assert beside(use(clear, "mov byte ptr [rdi + 8], 0")) == (Mark(-0x18, 1, 0),)
    assert beside(use("xor edx, edx", clear, "mov word ptr [rdi + 8], dx")) == (Mark(-0x18, 2, 0),)
    # Not before what it calls in between has returned; nor on one way alone.
    after = use("mov rbx, rdi", "mov qword ptr [rbx + 0x20], 0", "call 0x9000",
                "mov byte ptr [rbx + 8], 0")  # fmt: skip
    assert beside(after) == ()
    jump = f"je {START + 4 * 4:#x}"
    assert beside(use(clear, "test esi, esi", jump, "mov byte ptr [rdi + 8], 0", "ret ")) == ()
    # It sets it again.
    again = (clear, "mov byte ptr [rdi + 8], 0", "call 0x9000", "mov byte ptr [rdi + 8], 1")
    assert beside(use(*again)) == (Mark(-0x18, 1, 0),)  # rdi is another since
    again = ("mov rbx, rdi", "mov byte ptr [rbx + 8], 0", "mov qword ptr [rbx + 0x20], 0",
             "call 0x9000", "mov byte ptr [rbx + 8], al")  # fmt: skip
    assert beside(use(*again)) == ()


def test_bits_that_are_changed_in_a_register() -> None:
    change = ("mov eax, dword ptr [rdi + 8]", "and eax, 0xfffffffe", "or eax, 4")
    clear = "mov qword ptr [rdi + 0x20], 0"
    (one,) = beside(use(clear, *change, "mov dword ptr [rdi + 8], eax"))
    assert (one.offset, one.value, one.mask) == (-0x18, 4, 5)
    # To another place, or of another's number, nothing is known.
    assert beside(use(clear, *change, "mov dword ptr [rdi + 0xc], eax")) == ()
    assert beside(use(clear, *change, "add eax, 1", "mov dword ptr [rdi + 8], eax")) == ()


def test_what_is_filled_with_its_first_and_last_word_apart() -> None:
    found = use("mov rbx, rdi", "lea rdi, [rbx + 0x14]", "mov qword ptr [rbx + 0xc], 0",
                "and rdi, 0xfffffffffffffff8", "mov qword ptr [rbx + 0x30], 0", "xor eax, eax",
                "shr ecx, 3", "rep stosq qword ptr [rdi], rax")  # fmt: skip
    (one,) = found.wipes
    assert (one.key, one.size) == (0xC, 0x2C)
    assert (one.covers([0x10]), one.covers([0x34])) == (4, None)
