"""Calls found by their bytes."""

from __future__ import annotations

from typing import Any

from handmade_code import ADDRESSES, START, assemble

from oopsight.kernel.call_sites import addresses, call_sites, mentions

CODE = assemble("53", "call mutex_lock", "90", "call helper", "5b", "jmp mutex_unlock")


class Program:
    """A program that is all code."""

    def __init__(self, code: bytes = CODE) -> None:
        self.code = code

    def read(self, address: int, size: int) -> bytes:
        return self.code[address - START :][:size]

    def symbol(self, name: str) -> Any:
        if name not in ADDRESSES:
            raise LookupError(name)
        return type("Symbol", (), {"address": ADDRESSES[name]})()


def test_calls_and_jumps_to_the_targets_are_found() -> None:
    targets = addresses(Program(), ("mutex_lock", "mutex_unlock", "of_another_kernel"))
    assert set(targets.values()) == {"mutex_lock", "mutex_unlock"}
    assert call_sites(Program(), START, len(CODE), targets) == [START + 1]
    both = call_sites(Program(), START, len(CODE), targets, jumps=True)
    assert both == [START + 1, START + 13]


def test_a_jump_to_what_is_near_is_short() -> None:
    near = Program(b"\x90" * 16 + b"\xeb\xee")
    assert call_sites(near, START, 18, {START}, jumps=True) == [START + 16]
    assert call_sites(near, START, 18, {START}) == []


def test_addresses_that_code_and_data_hold() -> None:
    taken = START + 0x40
    code = b"\x48\xc7\xc7" + taken.to_bytes(8, "little")[:4]  # mov rdi, imm32
    code += b"\x48\x8d\x35" + (0x40 - len(code) - 7).to_bytes(4, "little")  # lea rsi, [rip + ...]
    data = taken.to_bytes(8, "little")
    found = mentions(Program(code + data), START, len(code + data), {taken, START + 0x50})
    assert found == [(START + 3, taken), (START + 10, taken), (START + 14, taken)]
