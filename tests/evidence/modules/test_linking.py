"""Who puts entries into lists of any kind, and who takes them off."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules.field_code import FieldUse, field_use
from oopsight.evidence.modules.linking import linking
from oopsight.evidence.modules.module_code import ModuleFunction

START = 0x1000
# hlist_add_head(): rdi is the entry, rsi the head.
HASHED = (
    "mov rax, qword ptr [rsi]",
    "mov qword ptr [rdi + 0x18], rax",
    "lea rcx, [rdi + 0x18]",
    "test rax, rax",
    "mov qword ptr [rax + 8], rcx",
    "mov qword ptr [rsi], rcx",
    "mov qword ptr [rdi + 0x20], rsi",
)
# __skb_queue_tail(): rdi is the packet.
QUEUED = (
    "mov rax, qword ptr [rsi + 8]",
    "mov qword ptr [rdi], rsi",
    "mov qword ptr [rdi + 8], rax",
    "mov qword ptr [rsi + 8], rdi",
    "mov qword ptr [rax], rdi",
)
# __skb_unlink(), or hlist_del() without its test.
UNLINKED = (
    "mov rax, qword ptr [rdi + 8]",
    "mov rdx, qword ptr [rdi]",
    "mov qword ptr [rdx + 8], rax",
    "mov qword ptr [rax], rdx",
)


def use(*lines: str) -> FieldUse:
    parts = [line.partition(" ") for line in (*lines, "ret ")]
    rows = [(START + 4 * n, b"\x90" * 4, name, rest) for n, (name, _, rest) in enumerate(parts)]
    return field_use(rows, lambda at: START <= at < START + 4 * len(rows), {}.get)


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, START, frozenset(calls), frozenset(), copies=False)


@pytest.mark.parametrize("lines", [HASHED, QUEUED])
def test_who_links_an_entry_in_by_its_own_stores(lines: tuple[str, ...]) -> None:
    found = linking({"add": use(*lines)}, [function("add")])
    assert (found.adds, found.takes_off) == (("add",), ())


def test_who_takes_one_off_by_its_own_stores() -> None:
    found = linking({"del": use(*UNLINKED)}, [function("del")])
    assert (found.adds, found.takes_off) == ((), ("del",))


def test_who_has_the_kernel_do_so() -> None:
    uses = {"put": use("mov rax, rdi"), "get": use("mov rax, rdi"), "look": use("mov rax, rdi")}
    code = [function("put", "skb_queue_tail"), function("get", "skb_dequeue"), function("look")]
    found = linking(uses, code)
    assert (found.adds, found.takes_off) == (("put",), ("get",))
