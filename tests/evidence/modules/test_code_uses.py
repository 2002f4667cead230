"""What a function does with fields, its unlikely part included."""

from __future__ import annotations

from typing import Any, cast

import pytest

from oopsight.evidence.modules.code_uses import _moved, uses_of
from oopsight.evidence.modules.module_code import ModuleFunction

TEXT, COLD = 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000
REGISTERS = 0xFFFFFFFFC0002000
# rbx = rdi; if (!rsi) go to the cold part; call misc_register; [rbx + 8] = rbp; return
HOT = "4889fb 4885f6 0f84 f40f0000 e8 ef1f0000 48896b08 c3"
# [rbx + 0x10] = rbp; return
PARTS = {TEXT: ("rec_probe", HOT), COLD: ("rec_probe.cold", "48896b10 c3")}


class Reader:
    """Two parts of a function, and one of the kernel's."""

    def function(self, address: int) -> tuple[str, int, int] | None:
        if address == REGISTERS:
            return "misc_register", REGISTERS, 16
        return self.code_symbol(address)

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        for start, (name, text) in PARTS.items():
            size = len(bytes.fromhex(text.replace(" ", "")))
            if start <= address < start + size:
                return name, start, size
        return None

    def read(self, address: int, size: int) -> bytes:
        return bytes.fromhex(PARTS[address][1].replace(" ", ""))[:size]


def test_the_unlikely_part_goes_on_with_what_the_function_has() -> None:
    code = [
        ModuleFunction(name, start, frozenset(), frozenset(), copies=False)
        for start, (name, _) in PARTS.items()
    ]
    (use,) = uses_of(cast("Any", Reader()), code).values()
    assert [(one.key, one.late) for one in use.stores] == [(8, "misc_register"), (0x10, None)]
    # Where it comes first it is read by itself.
    (use,) = uses_of(cast("Any", Reader()), code[::-1]).values()
    assert sorted(one.key for one in use.stores) == [8, 0x10]


AWAY, SIZE, BY = 0xFFFFFFFFC0400000, 0x40, 0x1000
MOVED = [(AWAY, SIZE, BY)]


@pytest.mark.parametrize(
    ("at", "mnemonic", "operands", "expected"),
    [
        (0xFFFFFFFFC0400800, "jne", "0xffffffffc0400010", "0xffffffffc0401010"),
        (0xFFFFFFFFC0400010, "jmp", "0xffffffffc0400820", "0xffffffffc0400820"),
        (0xFFFFFFFFC0400010, "call", "0xffffffffc0400010", "0xffffffffc0400010"),
        (0xFFFFFFFFC0400010, "mov", "rdi, qword ptr [rip + 0x20]",
         "rdi, qword ptr [0xffffffffc0400034]"),
    ],
)  # fmt: skip
def test_a_part_is_moved_behind_the_function(
    at: int, mnemonic: str, operands: str, expected: str
) -> None:
    address, _, _, now = _moved((at, b"\x90" * 4, mnemonic, operands), MOVED)
    assert now == expected
    assert address == (at + BY if AWAY <= at < AWAY + SIZE else at)
