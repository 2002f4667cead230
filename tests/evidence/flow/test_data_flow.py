"""Which register made the address bad, on instructions assembled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import fault, owner

from oopsight.evidence.flow import data_flow
from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.data_flow import bad_register
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.values import Values

KERNEL = 0xFFFF888003400000


@pytest.mark.parametrize(
    ("code", "registers", "address", "chosen"),
    [
        # mov rax,[rdi+0x38]
        ("488b4738", {"rdi": 0}, 0x38, "rdi"),
        # mov rax,[rdi+rcx*8]: a good base with a wild index, and the reverse
        ("488b04cf", {"rdi": KERNEL, "rcx": 0x6B6B6B6B6B6B6B6B}, None, "rcx"),
        ("488b04cf", {"rdi": 0x6B6B6B6B6B6B6B6B, "rcx": 4}, None, "rdi"),
        ("488b04cf", {"rdi": 0, "rcx": KERNEL}, None, "rdi"),
        # rep movsb: source or destination
        ("f3a4", {"rsi": 0x1000, "rdi": KERNEL}, 0x1000, "rsi"),
        ("f3a4", {"rsi": KERNEL, "rdi": 0x2000}, 0x2000, "rdi"),
        # bts [rdi], rdx: a bit of the word there, or far behind it
        ("480fab17", {"rdi": 0x10, "rdx": 5}, 0x10, "rdi"),
        ("480fab17", {"rdi": KERNEL, "rdx": 1 << 40}, None, "rdx"),
        # mov rax, gs:[0x28]: per-CPU memory is no pointer that somebody kept
        ("65488b042528000000", {}, None, None),
        # ud2
        ("0f0b", {}, None, None),
    ],
)
def test_the_register_that_is_followed(
    code: str, registers: dict[str, int], address: int | None, chosen: str | None
) -> None:
    made = function("f", (0xFFFFFFFF81000000, bytes.fromhex(code)))
    context = Context(function=made, at=0, registers=registers, base=None, frame=0)
    assert bad_register(fault(address), context) == chosen


# call kfree, and kfree's own: push rbx; mov rbx, rdi; mov rax, [rax+8]
CALLER, KFREE = 0xFFFFFFFFC0400000, 0xFFFFFFFF81000000
CALL = b"\xe8" + (KFREE - CALLER - 5).to_bytes(4, "little", signed=True)


@pytest.mark.parametrize(
    ("entering", "rbx", "kind", "given"),
    [
        (0xFFFFFFFFFFFFFFF2, 0, "error-pointer", (0xFFFFFFFFFFFFFFF2, "operand")),
        # Several ways lead to the copy in rbx; an error code is believed, another value is not.
        (None, 0xFFFFFFFFFFFFFFF2, "error-pointer", (0xFFFFFFFFFFFFFFF2, "operand")),
        (None, 0x6C2F7261762F2066, "non-canonical", None),
        # There is no page of the slab allocator's for it; for a slab object there is.
        (0xFFFFC90000400000, 0, "vmalloc", (0xFFFFC90000400000, "freed")),
        (0xFFFFFFFFC0403000, 0, "module", (0xFFFFFFFFC0403000, "freed")),
        (KERNEL, 0, "slab", None),
        (KERNEL, 0, "page", None),
    ],
)
def test_of_what_is_freed_the_address_given_counts(
    entering: int | None,
    rbx: int,
    kind: str,
    given: tuple[int, str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner = function("kfree", (KFREE, bytes.fromhex("534889fb488b4008")))
    outer = function("drv_set", (CALLER, CALL))
    contexts = [
        Context(function=inner, at=2, registers={"rbx": rbx, "rdi": 7}, base=None, frame=0),
        Context(function=outer, at=0, registers={}, base=None, frame=1),
    ]
    contexts[0].caller = lambda: contexts[1]
    nothing: Any = None  # no memory is read
    tracer = SimpleNamespace(entering=lambda *_: entering, definitions=Values(nothing).definitions)
    found: Any = SimpleNamespace(
        context=contexts.__getitem__, tracer=tracer, target_of=lambda _: KFREE
    )
    monkeypatch.setattr(data_flow, "owner_of", lambda *_: owner(0, kind))
    freed = data_flow._freed(nothing, None, found)
    assert (freed[1:] if freed else None) == (None if given is None else ("rdi", *given))
