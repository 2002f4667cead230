"""Calls found by their bytes."""

from __future__ import annotations

from typing import Any

from handmade_code import ADDRESSES, START, assemble

from oopsight.kernel.call_sites import addresses, call_sites

CODE = assemble("53", "call mutex_lock", "90", "call helper", "5b", "jmp mutex_unlock")


class Program:
    """A program that is all code."""

    def read(self, address: int, size: int) -> bytes:
        return CODE[address - START :][:size]

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
