"""What was handed to a function that frees, on instructions assembled by hand."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import owner

from oopsight.evidence.flow import freed as module
from oopsight.evidence.flow.code import function
from oopsight.evidence.flow.freed import freed
from oopsight.evidence.flow.moves import Context
from oopsight.evidence.flow.values import Values

KERNEL, AREA = 0xFFFF888003400000, 0xFFFFC90000400000
# call FREE, and its own: push rbx; mov rbx, rdi; mov rax, [rax+8]
CALLER, FREE, INNER = 0xFFFFFFFFC0400000, 0xFFFFFFFF81000000, 0xFFFFFFFF81002000
BODY = bytes.fromhex("534889fb488b4008")


def call(at: int, target: int) -> bytes:
    return b"\xe8" + (target - at - 5).to_bytes(4, "little", signed=True)


def asked(
    contexts: list[Context], entering: int | None, kind: str, patch: pytest.MonkeyPatch
) -> tuple[Any, ...] | None:
    for inner, outer in pairwise(contexts):
        inner.caller = lambda outer=outer: outer
    nothing: Any = None  # no memory is read
    tracer = SimpleNamespace(entering=lambda *_: entering, definitions=Values(nothing).definitions)
    found: Any = SimpleNamespace(
        context=contexts.__getitem__,
        tracer=tracer,
        target_of=lambda one: one.function.instructions[one.at].target,
    )
    patch.setattr(module, "owner_of", lambda *_: owner(0, kind))
    given = freed(nothing, None, found)
    return given[1:] if given else None


def context(name: str, start: int, code: bytes, at: int = 0, **registers: int) -> Context:
    made = function(name, (start, code))
    return Context(function=made, at=at, registers=registers, base=None, frame=0)


@pytest.mark.parametrize(
    ("name", "entering", "rbx", "kind", "given"),
    [
        ("kfree", 0xFFFFFFFFFFFFFFF2, 0, "error-pointer", "operand"),
        # Several ways lead to the copy in rbx; an error code is believed, another value is not.
        ("kfree", None, 0xFFFFFFFFFFFFFFF2, "error-pointer", "operand"),
        ("kfree", None, 0x6C2F7261762F2066, "non-canonical", None),
        # There is no page of the slab allocator's for it; for a slab object there is.
        ("kfree", AREA, 0, "vmalloc", "freed"),
        ("kfree", 0xFFFFFFFFC0403000, 0, "module", "freed"),
        ("kfree", KERNEL, 0, "slab", None),
        ("kfree", KERNEL, 0, "page", None),
        # Each function has memory of its own.
        ("kvfree", AREA, 0, "vmalloc", None),
        ("kvfree", AREA, 0, "stack", "freed"),
        ("vfree", AREA, 0, "vmalloc", None),
        ("vfree", KERNEL, 0, "slab", "freed"),
        ("free_percpu", KERNEL, 0, "slab", "freed"),
        ("free_percpu", 0x3B0A0, 0, "user", None),
        ("strlen", AREA, 0, "vmalloc", None),
    ],
)
def test_of_what_is_freed_the_address_given_counts(
    name: str,
    entering: int | None,
    rbx: int,
    kind: str,
    given: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner = context(name, FREE, BODY, 2, rbx=rbx, rdi=7)
    outer = context("drv_set", CALLER, call(CALLER, FREE))
    value = rbx if entering is None else entering
    found = asked([inner, outer], entering, kind, monkeypatch)
    assert found == (None if given is None else ("rdi", value, given))


@pytest.mark.parametrize(
    ("inner", "kind", "given"),
    [
        ("ksize", "user", "operand"),
        ("free_large_kmalloc", "module", "freed"),
        ("free_large_kmalloc", "page", "freed"),
        ("free_large_kmalloc", "user", None),
        ("__slab_free", "page", None),
        ("memset", "module", None),
    ],
)
def test_it_may_stop_in_a_function_of_its_own(
    inner: str, kind: str, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = [
        context(inner, INNER, BODY, 2),
        context("kfree", FREE, call(FREE, INNER)),
        context("drv_set", CALLER, call(CALLER, FREE)),
    ]
    found = asked(contexts, AREA, kind, monkeypatch)
    assert found == (None if given is None else ("rdi", AREA, given))


@pytest.mark.parametrize(("name", "given"), [("kfree", "freed"), ("free_percpu", None)])
def test_per_cpu_memory_is_known_by_no_address(
    name: str, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "per_cpu_memory", lambda *_: owner(0x6169F08000E8, "per-cpu"))
    inner = context(name, FREE, BODY, 2, rdi=7)
    outer = context("drv_set", CALLER, call(CALLER, FREE))
    found = asked([inner, outer], 0x6169F08000E8, "user", monkeypatch)
    assert found == (None if given is None else ("rdi", 0x6169F08000E8, given))
