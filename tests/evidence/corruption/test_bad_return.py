"""Who returned to where no code is, by the size of the caller's frame."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
from handmade_facts import backtrace, fault, module, modules

from oopsight.cheap import replace
from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption.bad_return import BadReturn, collect
from oopsight.evidence.crash.backtrace import Role

START, STACK, KERNEL = 0xFFFFFFFFC0000000, 0xFFFFC90000003000, 0xFFFFFFFF81000000
COLLECT, WRITE, OPEN = START + 0x50, START + 0x100, START + 0x200
ASTRAY = 0x43340000
FRAME = 0x28


def _code() -> bytes:
    """``hist_write`` and ``hist_open`` call ``hist_collect``, from frames of different sizes."""
    code = bytearray(b"\xcc" * 0x1000)
    code[0x50] = 0xC3
    for at, size in ((0x100, FRAME), (0x200, FRAME + 0x10)):
        body = b"\x48\x83\xec" + bytes([size])  # sub rsp, SIZE
        distance = COLLECT - (START + at + len(body) + 5)
        body += b"\xe8" + distance.to_bytes(4, "little", signed=True)
        body += b"\x48\x83\xc4" + bytes([size]) + b"\xc3"
        code[at : at + len(body)] = body
    return bytes(code)


class Kernel:
    """A driver, its stack, and a function of the kernel that calls it through a pointer."""

    def __init__(self, *words: int) -> None:
        stack = b"".join(word.to_bytes(8, "little") for word in words)
        caller = b"\x90" * 0x3E + b"\xff\xd0" + b"\x90" * 0x40  # call rax
        self.memory = {START: _code(), STACK: stack, KERNEL: caller}

    def read(self, address: int, size: int) -> bytes:
        for start, data in self.memory.items():
            if start <= address < start + len(data):
                # Pages are read whole.
                return (data[address - start :] + bytes(size))[:size]
        raise drgn.FaultError("not here", address)

    def symbol(self, place: int | str) -> Any:
        named = [(COLLECT, "hist_collect", 1), (WRITE, "hist_write", 0x10),
                 (OPEN, "hist_open", 0x10), (KERNEL, "dispatch", 0x80)]  # fmt: skip
        for address, name, size in named:
            if isinstance(place, int) and address <= place < address + size:
                kind = drgn.SymbolKind.FUNC
                return SimpleNamespace(name=name, address=address, size=size, kind=kind)
        raise LookupError(place)


RETURNS = KERNEL + 0x40


def found(*words: int) -> BadReturn | Missing:
    made = Kernel(*words)
    session: Any = SimpleNamespace(prog=made, read=made.read)
    path = replace(
        backtrace(f=Role.FAULT),
        registers=(("rsp", Address(STACK)), ("rdi", Address(START + 0x800))),
    )
    went = fault(ASTRAY, pc=Address(ASTRAY))
    loaded = modules(
        module("hist", START, START + 0x1000), area=(Address(START), Address(START + 0x2000))
    )
    return collect(session, went, path, loaded)


def test_the_caller_is_the_one_whose_frame_is_as_large_as_what_is_there() -> None:
    answer = found(ASTRAY, 0, 0, 0, 0, RETURNS, 1, 2, 3)
    assert isinstance(answer, BadReturn)
    assert [(r.function, r.caller, r.seen) for r in answer.returners] == [
        ("hist_collect", "hist_write", False)
    ]


def test_a_call_that_was_there_before_is_told() -> None:
    answer = found(ASTRAY, 0, 0, 0, 0, RETURNS, 1, WRITE + 9, 3)
    assert isinstance(answer, BadReturn)
    assert [r.seen for r in answer.returners] == [True]


def test_where_a_call_led_there_nothing_was_returned_to() -> None:
    assert isinstance(found(RETURNS, 0, 0, 0, 0, RETURNS), Missing)
