"""What a function keeps on its stack, on disassembly written by hand."""

from __future__ import annotations

from handmade_fields import use


def test_what_is_kept_on_the_stack_over_a_call() -> None:
    keeps = ("call 0x9200", "mov qword ptr [rsp + 8], rax", "call 0x9000",
             "mov rax, qword ptr [rsp + 8]", "mov qword ptr [rbx + 0x18], rax")  # fmt: skip
    (one,) = use(*keeps).stores
    assert (one.what, one.called) == ("returned", "crypto_alloc_shash")
    # Another may have written there, or it is another slot.
    for between in ("lea rdi, [rsp + 8]", "push rdi"):
        (one,) = use(*keeps[:2], between, *keeps[2:]).stores
        assert one.what == "value"
