"""Whether a function calls another on all of its ways."""

from __future__ import annotations

import pytest

from oopsight.evidence.modules import calls_always as calls
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.kernel.disassembler import Row

START = 0x1000
ADD = "call 0x9000"


class Reader:
    def function(self, address: int) -> tuple[str, int, int] | None:
        return {0x9000: ("__list_add_valid", 0x9000, 8)}.get(address)


@pytest.mark.parametrize(
    ("lines", "always"),
    [
        ((ADD, "ret "), True),
        (("test eax, eax", "jne 0x100c", ADD, "ret "), False),
        (("test eax, eax", "jne 0x100c", ADD, "ud2 "), True),
        (("test eax, eax", "jne 0x1010", ADD, "ret "), False),  # out of what is known
        (("test eax, eax", "jne 0x1010", ADD, "ret ", ADD, "ret "), True),
        (("test eax, eax", "jne 0x1000", "jmp 0x9000"), True),
        (("call 0x9100", "ret "), False),
        ((), False),
    ],
)
def test_on_all_ways(monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], always: bool) -> None:
    rows = []
    for number, line in enumerate(lines):
        mnemonic, _, operands = line.partition(" ")
        rows.append(Row(START + 4 * number, b"\x90" * 4, mnemonic, operands, b""))
    monkeypatch.setattr(calls, "instructions", lambda *_: rows)
    one = ModuleFunction("add", START, frozenset(), frozenset(), copies=False)
    assert calls.calls_always(Reader(), one, ("__list_add_valid",)) is always
