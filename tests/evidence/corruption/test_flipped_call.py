"""Calls by name that lead to where no function is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
from handmade_facts import backtrace, fault, modules

from oopsight.cheap import replace
from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption.flipped_call import FlippedCall, collect
from oopsight.evidence.crash.backtrace import Role

SHOW, HELPER, STACK = 0xFFFFFFFF81000100, 0xFFFFFFFF81004000, 0xFFFFC90000003B30
RETURNS_TO = SHOW + 0x45


class Kernel:
    """``show`` calls ``helper``, with a bit of the distance turned."""

    def __init__(self, bit: int, opcode: bytes = b"\xe8") -> None:
        distance = (HELPER - RETURNS_TO) ^ 1 << bit
        self.goes = RETURNS_TO + distance
        self.memory = {
            RETURNS_TO - 5: opcode + (distance & 0xFFFFFFFF).to_bytes(4, "little"),
            STACK: RETURNS_TO.to_bytes(8, "little"),
        }

    def read(self, address: int, size: int) -> bytes:
        data = self.memory.get(address)
        if data is None or len(data) != size:
            raise drgn.FaultError("not here", address)
        return data

    def symbol(self, place: int) -> Any:
        for address, name in ((SHOW, "show"), (HELPER, "helper.constprop.0")):
            if address <= place < address + 0x80:
                return SimpleNamespace(name=name, address=address, kind=drgn.SymbolKind.FUNC)
        raise LookupError(place)


def found(made: Kernel, *, area: tuple[int, int] | None = None) -> FlippedCall | Missing:
    session: Any = SimpleNamespace(prog=made, read=made.read)
    path = replace(backtrace(f=Role.FAULT), registers=(("rsp", Address(STACK)),))
    loaded = modules(area=tuple(map(Address, area)) if area else None)
    return collect(session, fault(made.goes, pc=Address(made.goes)), path, loaded)


def test_the_bit_that_was_turned_and_the_function_that_was_meant() -> None:
    answer = found(Kernel(22))
    assert isinstance(answer, FlippedCall)
    assert (answer.caller, answer.intended) == ("show", ((22, "helper"),))


def test_a_call_through_a_pointer_says_nothing_of_the_code() -> None:
    assert isinstance(found(Kernel(22, b"\xff")), Missing)


def test_a_patched_call_into_a_module_that_is_gone_is_no_flip() -> None:
    made = Kernel(22)
    assert isinstance(found(made, area=(made.goes - 64, made.goes + 64)), Missing)
