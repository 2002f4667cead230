"""Threads that a module starts, and those that return by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from oopsight.evidence.modules import threads as this
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.threads import returns_unasked, threads_of
from oopsight.kernel.disassembler import Row

START = 0x1000
ASK = "call 0x9000"
KEPT = Value("loaded", 0x20, Value("argument", 1))
RUNS = Value("number", START)


class Reader:
    def function(self, address: int) -> tuple[str, int, int] | None:
        return {0x9000: ("kthread_should_stop", 0x9000, 8)}.get(address)


READER: Any = Reader()


def function(name: str, *calls: str, start: int = START) -> ModuleFunction:
    return ModuleFunction(name, start, frozenset(calls), frozenset(), copies=False)


def use(*calls: tuple[str, Value], counts: bool = False, **changes: Any) -> FieldUse:
    handed = tuple(Handed(0x10, name, False, (value,)) for name, value in calls)
    return FieldUse((), (), counts=counts, handed=handed, **changes)


@pytest.mark.parametrize(
    ("lines", "by_itself"),
    [
        # while (!kthread_should_stop()) work();
        ((ASK, "test al, al", "je 0x1000", "ret "), False),
        (("jmp 0x1008", "call 0x9100", ASK, "test al, al", "je 0x1004", "ret "), False),
        # The same, and a break in it.
        ((ASK, "test al, al", "jne 0x1018", "cmp dword ptr [rbx], 0", "jne 0x1000", "nop ",
          "ret "), True),
        (("call 0x9100", "jmp 0x9200"), True),
        ((ASK, "mov ebx, eax", "xor ebx, 1", "ret "), False),  # what follows is not seen through
        (("call 0x9100", "jmp 0x1000"), False),
    ],
)  # fmt: skip
def test_who_returns_although_nobody_has_asked(
    monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], by_itself: bool
) -> None:
    rows = []
    for number, line in enumerate(lines):
        mnemonic, _, operands = line.partition(" ")
        rows.append(Row(START + 4 * number, b"\x90" * 4, mnemonic, operands, b""))
    monkeypatch.setattr(this, "instructions", lambda *_: rows)
    assert returns_unasked(READER, function("run")) is by_itself


def test_who_starts_threads_what_these_run_and_who_leaves_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(this, "inlined_callers", lambda *_: (("store", "start"),))
    monkeypatch.setattr(this, "returns_unasked", lambda _, one: one.name == "run")
    create = "kthread_create_on_node"
    code = [function("run"), function("store", create, start=0x2000), function("held", create)]
    uses = {
        "store": use((create, RUNS)),
        "held": use((create, RUNS), counts=True),
        "suspend": use(("kthread_stop", KEPT)),
        "stop": use(("kthread_stop", KEPT), written=((0x20, KEPT.of),)),
        "release": use(("kthread_stop", KEPT), freed=((0x20, KEPT.of),)),
    }
    found = threads_of(None, READER, code, uses)  # type: ignore[arg-type]
    assert found.starters == ("start", "store")
    assert found.returning == ("run",)
    assert found.leaving == ("suspend",)
